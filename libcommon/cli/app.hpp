// The common face of every executable: a tree of commands with typed options, described once in plain structs that
// feed the parser (CLI11, hidden in app.cc), --help, shell completion, --dump-cli and the man page check.
//
// A program fills an App and returns run(app, argc, argv) from main. See CONTRIBUTING.md, "How to add a command".
//
// Exit codes  what the command's run function returns; kExitUsage for wrong usage (CLI11's own codes never leak).
// Output      help and --version go to stdout; errors go to stderr as "tool: what: reason (how to fix)", one line;
//             when the options --json or -o json are among the arguments, an object on stderr instead:
//             {"schema":"ff.error/1","tool":..,"code":..,"message":..}.
// Values      flag, then the environment variable, then the default. A scalar given twice keeps the last value.
//             Sizes and durations are read by libcommon/base; "--flag=false" takes a flag back.
// Log         run() opens it (libcommon/log) at the level that FF_LOG names, as JSON records where errors are JSON.
// Signals     run() restores the default action of SIGPIPE, so that `tool | head` ends quietly. Sockets therefore
//             send with MSG_NOSIGNAL.
// Threads     run() is called once, from main's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitPartial = 3;

// Byte counts and durations are types of their own so that the option's kind is known from its target.
struct ByteSize {
  std::uint64_t bytes = 0;
  friend bool operator==(ByteSize, ByteSize) = default;
};
using Duration = std::chrono::nanoseconds;

// Where the parsed value goes. The value found there before parsing is the default that help shows.
// Pointers must outlive run(). A bool is a flag. A vector may be given several times; as a positional it takes the
// rest.
using Target =
    std::variant<bool*, std::int64_t*, double*, std::string*, ByteSize*, Duration*, std::vector<std::string>*>;

struct Option {
  std::string names;  // "-n,--ranks"; a positional has no dash: "file"
  Target target;
  std::string help;             // one line, no full stop
  std::string value_name = {};  // "N", "FILE", "SIZE"; chosen by kind when empty
  std::vector<std::string> choices = {};
  std::optional<double> min = {};  // for numbers, sizes (bytes) and durations (seconds)
  std::optional<double> max = {};
  bool required = false;
  std::string environment = {};  // FF_* or HFR_* variable that sets it when the flag is absent
  bool hidden = false;           // not in help nor in man; for test hooks
  std::string complete = {};     // "file", "dir", "host": what completion offers
  bool* given = nullptr;         // becomes true when the flag or its variable gave the value
};

struct Example {
  std::string command;
  std::string what;
};

struct ExitCode {
  int code = 0;
  std::string meaning;
};

struct Command {
  std::string name;
  std::string summary;               // one line, imperative
  std::string description = {};      // paragraphs for --help
  std::vector<Option> options = {};  // positionals too, in order
  std::vector<Example> examples = {};
  std::vector<ExitCode> exit_codes = {};  // beyond 0, 1, 2
  std::vector<Command> commands = {};     // nested commands
  // Called when this command is the one chosen; absent for a command that only groups others. An Error is printed
  // as the house style wants and becomes kExitFailed (kExitUsage for kInvalidArgument).
  std::function<Result<int>()> run = {};
  bool hidden = false;
  // Everything after "--" goes here verbatim (for launchers).
  std::vector<std::string>* trailing = nullptr;
  std::string trailing_name = {};  // "CMD [ARG…]" as shown in usage
};

struct App {
  Command root;              // root.name is the tool's name
  std::string version = {};  // filled from the build when empty
};

// Parses, runs, prints errors. `tool --help`, `--version`, `--dump-cli`, and `tool completion bash|zsh|fish` come for
// free, and so does `tool version [--json]` (schema ff.version/1). Names of the program's own commands win over these.
// After the command ran, standard output is flushed; a failed write is an error. A tool without arguments and without a
// root run function prints its short help to stderr and exits 2.
int run(App app, int argc, char** argv);

// Prints an error the way run() does, for programs that must go on (rank processes); returns the exit code.
int report_error(std::string_view tool, const Error& error, bool as_json);

// Version text of this build: "0.1.0 (git abcdef)"; features() such as "isal numa".
std::string build_version();
std::string build_features();

}  // namespace ff::cli
