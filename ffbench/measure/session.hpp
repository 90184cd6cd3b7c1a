// Session: runs the cases of one command and makes its Document: environment, warm-up, repeats in interleaved rounds,
// pinning, noise, output. Every measuring command of ffbench is a list of Cases handed to a Session.
//
//   MeasureOptions options;                     // --repeat --duration --warmup --cpus --json/-o --out ...
//   options.add_to(command);
//   command.run = [=] { FF_TRY_ASSIGN(auto session, Session::open("mem", *options, arguments));
//                       return session.run(stream_cases(...)); };
//
// Order     Round 0 of all cases, then round 1, ...; the warm-up of a case goes before its first round. A machine that
//           drifts therefore changes all cases alike, and the spread over rounds says how far it drifted.
// Output    Rows appear when their last round has been measured (text on a terminal, or the whole document as JSON at
//           the end); progress on stderr. --out FILE writes the JSON document too, and never over an existing file.
// Stopping  SIGINT or SIGTERM ends the running case through its stop token; what was measured is printed and written,
//           `complete` is false, and the exit code is 128 + the signal. A second one ends the process at once.
// Errors    A case that fails is a row with `error`; the others go on. Exit code: 0 all measured, 3 some, 1 none. The
//           first one is said on stderr, too.
// Threads   One Session a process, on main's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "ffbench/result/document.hpp"
#include "libcommon/cli/app.hpp"
#include "libcommon/cli/output.hpp"
#include "libcommon/cli/progress.hpp"

namespace ff::bench {

// One value for each metric and one histogram for each latency of the case's row, in the row's order. No value: nothing
// happened that it could be of (the latency of writes where there was none), which is not 0; the row gets no sample.
struct Reading {
  std::vector<std::optional<double>> values;
  std::vector<metrics::Histogram> latencies = {};
  std::string error = {};  // why it ended early (a full disk): the values count, the case is not measured again
};

struct Case {
  Row row;  // without samples; latencies give names, their histograms are ignored
  // Measures once for about `duration`. A case that counts operations instead ignores it. Returns soon (100 ms) after
  // a stop was requested, with kCancelled or with what it has. Called on main's thread, again and again.
  std::function<Result<Reading>(std::chrono::nanoseconds duration, std::stop_token stop)> measure;
};

// The options that every measuring command has. Must outlive run().
class MeasureOptions {
 public:
  // Defaults that a command may set before add_to().
  std::int64_t repeat = 5;
  cli::Duration duration = std::chrono::seconds(1);
  cli::Duration warmup = std::chrono::milliseconds(200);

  // Of commands whose cases count operations: no --duration and no --warmup. Set before add_to().
  void count_operations() noexcept {
    counts_ = true;
    duration = warmup = cli::Duration(0);
  }

  // Of commands whose work is done by other processes: --cpus is for them, and this process stays where it is. The
  // command hands listed_processors() on.
  void leave_unbound() noexcept { binds_ = false; }

  MeasureOptions() = default;
  MeasureOptions(const MeasureOptions&) = delete;
  MeasureOptions& operator=(const MeasureOptions&) = delete;
  void add_to(cli::Command& command);

  // Of --cpus "0-3,8"; empty when not given. kInvalidArgument: no list, or processors that this process may not use.
  Result<std::vector<int>> processors() const;
  // The same without asking whether this process may use them.
  Result<std::vector<int>> listed_processors() const;

 private:
  friend class Session;
  bool counts_ = false;
  bool binds_ = true;
  std::string cpus_;
  std::string out_;
  bool quiet_ = false;
  cli::OutputOptions output_;
  cli::ProgressOption progress_;
};

class Session {
 public:
  // Checks the options (an existing --out FILE is refused here, before anything runs), pins this process to --cpus,
  // captures the environment. `arguments` as main got them, without the program's name.
  static Result<Session> open(std::string command, const MeasureOptions& options, std::vector<std::string> arguments);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Measures, prints, writes. The exit code. REQUIRES: names of rows differ.
  Result<int> run(std::vector<Case> cases);

  // For commands that fill rows in their own way: add to document(), then finish(). run() does both.
  Document& document() noexcept;
  // What run() prints; below a text a command may print more.
  report::Format format() const noexcept;
  // Requested by SIGINT and SIGTERM.
  std::stop_token stop() const noexcept;
  Result<int> finish();

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace ff::bench
