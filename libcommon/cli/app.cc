#include "libcommon/cli/app.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <utility>

#include "libcommon/cli/builtin.hpp"
#include "libcommon/cli/parser.hpp"
#include "libcommon/log/log.hpp"
#include "libcommon/report/json.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::cli {
namespace {

// Targets of the options that every program has.
struct Builtin {
  bool help = false;
  bool version = false;
  bool dump = false;
  bool version_json = false;
  std::string shell;
};

void print(std::FILE* stream, const std::string& text) { std::fwrite(text.data(), 1, text.size(), stream); }

// Looked for in the bare words, since the answer must be known even when these do not parse.
bool wants_json(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    const std::string& word = words[i];
    if (word == "--json" || word == "-ojson" || word == "-o=json" || word == "--output=json") return true;
    if ((word == "-o" || word == "--output") && i + 1 < words.size() && words[i + 1] == "json") return true;
  }
  return false;
}

std::string version_text(const App& app, bool as_json) {
  if (as_json) {
    report::JsonWriter json;
    json.begin_object().field("schema", "ff.version/1").field("tool", std::string_view(app.root.name));
    json.field("version", std::string_view(app.version)).field("features", std::string_view(build_features()));
    json.end_object();
    return json.take() + '\n';
  }
  const std::string features = build_features();
  return fmt::format("{} {} features: {}\n", app.root.name, app.version, features.empty() ? "none" : features);
}

bool has_command(const Command& root, std::string_view name) {
  return std::any_of(root.commands.begin(), root.commands.end(), [&](const Command& c) { return c.name == name; });
}

// `app` and `builtin` must outlive the commands' run functions, which look at both.
void add_builtin(App& app, Builtin& builtin) {
  auto& options = app.root.options;
  options.push_back({.names = "-h,--help", .target = &builtin.help, .help = "show this help"});
  options.push_back({.names = "--version", .target = &builtin.version, .help = "show version, commit and features"});
  options.push_back(
      {.names = "--dump-cli", .target = &builtin.dump, .help = "print the command tree as JSON", .hidden = true});
  if (!app.root.commands.empty() && !has_command(app.root, "version")) {
    app.root.commands.push_back(
        {.name = "version",
         .summary = "Show version, commit and features",
         .options = {{.names = "--json", .target = &builtin.version_json, .help = "print a JSON object"}},
         .examples = {{app.root.name + " version --json", "for scripts that depend on a feature"}},
         .run = [&app, &builtin]() -> Result<int> {
           print(stdout, version_text(app, builtin.version_json));
           return kExitOk;
         }});
  }
  if (!has_command(app.root, "completion")) {
    app.root.commands.push_back(
        {.name = "completion",
         .summary = "Print a shell completion script",
         .description = "Load it in a running shell, or install it where the shell looks for completions.",
         .options = {{.names = "shell",
                      .target = &builtin.shell,
                      .help = "shell to make the script for",
                      .choices = {"bash", "zsh", "fish"},
                      .required = true}},
         .examples = {{fmt::format("source <({} completion bash)", app.root.name), "load into this shell"}},
         .run = [&app, &builtin]() -> Result<int> {
           FF_TRY_ASSIGN(const std::string script, completion_text(app.root, builtin.shell));
           print(stdout, script);
           return kExitOk;
         }});
  }
}

int usage_error(const App& app, const CommandPath& path, Error error, bool as_json) {
  std::string message = fmt::format("{} (see '{} --help')", error.message(), path_text(path));
  return report_error(app.root.name, Error(error.code(), std::move(message), error.sys_errno()), as_json);
}

int run_command(const App& app, const Command& command, bool as_json) {
  // Throwing libraries are wrapped where they are called; what still arrives here is a bug or memory that ran out.
  try {
    auto code = command.run();
    return code ? *code : report_error(app.root.name, code.error(), as_json);
  } catch (const std::bad_alloc&) {
    return report_error(app.root.name, Error(Errc::kExhausted, "out of memory"), as_json);
  } catch (const std::exception& e) {
    return report_error(app.root.name, Error(Errc::kInternal, fmt::format("unexpected exception: {}", e.what())),
                        as_json);
  }
}

// A report that could not be written is not a success.
int flush_output(const App& app, int code, bool as_json) {
  errno = 0;
  const bool failed_before = std::ferror(stdout) != 0;
  if (std::fflush(stdout) == 0 && !failed_before) return code;
  const int failed =
      report_error(app.root.name, errno_error("write standard output", errno != 0 ? errno : EIO), as_json);
  return code == kExitOk ? failed : code;
}

int parse_and_run(const App& app, const std::vector<std::string>& words, bool as_json) {
  // Before parsing: `tool --version --json`, where no command is there to define --json.
  if (!words.empty() && words[0] == "--version" &&
      std::all_of(words.begin() + 1, words.end(), [](const auto& word) { return word == "--json"; })) {
    print(stdout, version_text(app, words.size() > 1));
    return kExitOk;
  }
  Parser parser(app.root);
  if (auto parsed = parser.parse(words); !parsed) return usage_error(app, parser.path(), parsed.error(), as_json);
  const Command& command = *parser.path().back();
  if (parser.given("--help")) {
    print(stdout, help_text(parser.path()));
    return kExitOk;
  }
  if (parser.given("--version")) {
    print(stdout, version_text(app, false));
    return kExitOk;
  }
  if (parser.given("--dump-cli")) {
    print(stdout, dump_text(app.root));
    return kExitOk;
  }
  if (!command.run) {
    if (as_json) return usage_error(app, parser.path(), Error(Errc::kInvalidArgument, "missing command"), true);
    print(stderr, short_help_text(parser.path()));
    return kExitUsage;
  }
  if (auto stored = parser.store(); !stored) return usage_error(app, parser.path(), stored.error(), as_json);
  return run_command(app, command, as_json);
}

}  // namespace

int run(App app, int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);
  if (app.version.empty()) app.version = build_version();
  Builtin builtin;
  add_builtin(app, builtin);
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const bool as_json = wants_json(words);
  const auto level = log::level_from_environment(log::Level::kWarn);
  if (!level) return report_error(app.root.name, level.error(), as_json);
  log::init({.tool = app.root.name, .level = *level, .json = as_json});
  log::debug("started version='{}'", app.version);
  return flush_output(app, parse_and_run(app, words, as_json), as_json);
}

int report_error(std::string_view tool, const Error& error, bool as_json) {
  std::string line;
  if (as_json) {
    report::JsonWriter json;
    json.begin_object().field("schema", "ff.error/1").field("tool", tool).field("code", errc_name(error.code()));
    json.field("message", std::string_view(error.message())).end_object();
    line = json.take();
  } else {
    line = fmt::format("{}: {}", tool, report::printable(error.message()));
  }
  // Results that were printed before stay before, when both streams go to one place.
  std::fflush(stdout);
  print(stderr, line + '\n');
  return error.code() == Errc::kInvalidArgument ? kExitUsage : kExitFailed;
}

}  // namespace ff::cli
