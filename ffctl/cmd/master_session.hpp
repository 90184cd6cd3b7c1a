// What every command that talks to a master begins with: where it is, as whom, a reactor to run on; and how its errors
// become exit codes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ffctl/cmd/exit_codes.hpp"
#include "ffctl/executor/executor.hpp"
#include "ffctl/proto/master.ff.hpp"
#include "ffctl/slurm/settings.hpp"
#include "libcommon/cli/output.hpp"
#include "libcommon/net/address.hpp"
#include "libcommon/runtime/task.hpp"

namespace ff::ctl {

// Where masters are, and how long to bear with them; or the Slurm that answers in their place.
struct MasterTarget {
  std::optional<SlurmSettings> slurm = {};
  std::vector<net::PeerAddress> masters;
  std::string key_file;  // empty: none
  runtime::Duration timeout = std::chrono::seconds(30);
  // Of the first question, while none answers at all.
  runtime::Duration first_patience = std::chrono::seconds(1);
};

// The options --master, --key, --timeout, --executor and --cluster; must outlive run().
class MasterChoice {
 public:
  MasterChoice() = default;
  MasterChoice(const MasterChoice&) = delete;
  MasterChoice& operator=(const MasterChoice&) = delete;
  void add_to(cli::Command& command);

  // A Slurm where one was chosen; else the masters of --master or FF_MASTER, or the socket of the local cluster.
  // kInvalidArgument; kUnavailable: there is none.
  Result<MasterTarget> target() const;
  // None was named: the cluster of this machine is meant.
  bool is_local() const noexcept { return masters_.empty(); }
  const std::string& key_file() const noexcept { return key_; }

 private:
  std::string masters_, key_, executor_, cluster_;
  cli::Duration timeout_ = std::chrono::seconds(30);
};

// Calls to the master that leads, or to the executor that answers in its place. Each is sent to the one that answered
// last, and to the others where that is gone or does not lead.
//
// Deadlines  The timeout, of each call, plus what it may wait for by itself. Nobody there at the first call: an error
//            after first_patience. Later, a master that is restarted is waited for until the deadline.
// Errors     Those of the master, without the name of the method; kUnavailable where none answers.
class MasterSession {
 public:
  MasterSession(runtime::Env& env, const MasterTarget& target);
  ~MasterSession();

  template <class Request, class Reply>
  using Method = runtime::Task<Result<Reply>> (MasterClient::*)(const Request&, rpc::CallOptions) const;

  // Fills in the caller.
  template <class Request, class Reply>
  runtime::Task<Result<Reply>> ask(Method<Request, Reply> method, Request request,
                                   runtime::Duration own_wait = runtime::Duration(0)) {
    *request.mutable_caller() = caller_;
    const runtime::Time until = runtime::saturating_add(env_.now(), timeout_ + own_wait);
    if (executor_ != nullptr) {
      if constexpr (requires { executor_->answer(request, until); }) {
        co_return co_await executor_->answer(request, until);
      } else {
        co_return fail(lacks(Request::descriptor()->name()));
      }
    }
    for (;;) {
      rpc::Client& client = *clients_[at_];
      Result<Reply> reply = co_await (MasterClient(client).*method)(request, call_options(until, own_wait));
      if (reply) {
        answered_ = true;
        co_return reply;
      }
      FF_CO_TRY(co_await next_try(std::move(reply).error(), until));
    }
  }

  runtime::Env& env() const noexcept { return env_; }
  const Caller& caller() const noexcept { return caller_; }
  runtime::Task<void> stop();

 private:
  // Of the executor, which has no answer to such a question.
  Error lacks(std::string request) const;
  rpc::CallOptions call_options(runtime::Time until, runtime::Duration own_wait) const;
  // The error, where asking again is no use.
  runtime::Task<Result<>> next_try(Error error, runtime::Time until);

  runtime::Env& env_;
  const runtime::Duration timeout_;
  const runtime::Time patience_;  // until which a first answer is waited for
  Caller caller_;
  std::unique_ptr<Executor> executor_;
  std::vector<std::unique_ptr<rpc::Client>> clients_;
  std::size_t at_ = 0;
  std::size_t tried_ = 0;
  bool answered_ = false;
};

class MasterBody {
 public:
  virtual ~MasterBody() = default;
  virtual runtime::Task<Result<int>> run(MasterSession& master) = 0;
};
// The exit code: of the body, of its error, which was told, or 128 + the signal that stopped it.
Result<int> run_with_master(Result<MasterTarget> target, bool json, MasterBody& body);

template <class F>
Result<int> with_master(Result<MasterTarget> target, bool json, F body) {
  struct Body final : MasterBody {
    explicit Body(F f) : call(std::move(f)) {}
    [[clang::coro_wrapper]] runtime::Task<Result<int>> run(MasterSession& master) override { return call(master); }
    F call;
  } holder(std::move(body));
  return run_with_master(std::move(target), json, holder);
}

template <class Options>
using MasterCall = runtime::Task<Result<int>> (*)(MasterSession&, const Options&);
template <class Options>
using MasterReport = runtime::Task<Result<int>> (*)(MasterSession&, const Options&, report::Format);

// What ends the description of a command: the options that all have, their exit codes, and what it runs. `Options` has
// a member MasterChoice master, and for reports(), cli::OutputOptions output.
template <class Options>
void asks(cli::Command& command, const std::shared_ptr<Options>& options, MasterCall<Options> body) {
  options->master.add_to(command);
  for (cli::ExitCode& code : master_exit_codes()) command.exit_codes.push_back(std::move(code));
  command.run = [options, body]() -> Result<int> {
    return with_master(options->master.target(), false,
                       [&] [[clang::coro_wrapper]] (MasterSession & master) { return body(master, *options); });
  };
}

template <class Options>
void reports(cli::Command& command, const std::shared_ptr<Options>& options, MasterReport<Options> body) {
  options->output.add_to(command);
  options->master.add_to(command);
  for (cli::ExitCode& code : master_exit_codes()) command.exit_codes.push_back(std::move(code));
  command.run = [options, body]() -> Result<int> {
    FF_TRY_ASSIGN(const report::Format format, options->output.format());
    return with_master(options->master.target(), format == report::Format::kJson,
                       [&] [[clang::coro_wrapper]] (MasterSession & master) { return body(master, *options, format); });
  };
}

// Since 1970, as times of jobs are.
std::uint64_t wall_ms(const runtime::Env& env);
// To standard output, whole, at once. kIo.
Result<> print(std::string_view text);

}  // namespace ff::ctl
