#include "libcommon/cli/parser.hpp"

#include <fmt/core.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdlib>

#include "libcommon/base/assert.hpp"
#include "libcommon/cli/option_text.hpp"
#include "libcommon/cli/suggestion.hpp"

namespace ff::cli {
namespace {

struct Binding {
  const Command* command;
  const Option* option;
  CLI::Option* parsed;
};

void bind_option(CLI::App& app, const Command& command, const Option& option, std::vector<Binding>& bindings) {
  CLI::Option* parsed = nullptr;
  if (is_flag(option)) {
    FF_ASSERT(!is_positional(option), option.names);
    parsed = app.add_flag(option.names)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  } else {
    // The words are taken from results() later; CLI11 needs a consumer all the same.
    parsed = app.add_option(option.names, [](const CLI::results_t&) { return true; });
    parsed->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    // Not allow_extra_args(): with it CLI11 reads "[a,b]" as a list.
    constexpr int kPositionalsMax = 1 << 20;
    if (is_list(option) && is_positional(option)) parsed->expected(kPositionalsMax);
  }
  bindings.push_back({&command, &option, parsed});
}

void bind_command(CLI::App& app, const Command& command, std::vector<Binding>& bindings) {
  app.set_help_flag();
  app.set_config();
  // Options of a parent are accepted after its commands; CLI11 hands this on to subcommands that are added later.
  app.fallthrough();
  // Unknown words come back in remaining(), for a message with a suggestion.
  app.allow_extras();
  // At most one, so that a later word that is spelled like a command stays a value.
  app.require_subcommand(0, 1);
  for (const Option& option : command.options) bind_option(app, command, option, bindings);
  for (const Command& nested : command.commands) bind_command(*app.add_subcommand(nested.name), nested, bindings);
}

// CLI11 takes "--name=" for an option without a value and would eat the next word; give it the empty word instead.
std::vector<std::string> reversed_words(const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (const std::string& word : words) {
    const bool empty_value = word.starts_with("--") && word.size() > 3 && word.find('=') == word.size() - 1;
    out.push_back(empty_value ? word.substr(0, word.size() - 1) : word);
    if (empty_value) out.emplace_back();
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> command_names(const Command& command) {
  std::vector<std::string> names;
  for (const Command& nested : command.commands)
    if (!nested.hidden) names.push_back(nested.name);
  return names;
}

Result<> store_from_environment(const Option& option, bool& found) {
  const char* text = option.environment.empty() ? nullptr : std::getenv(option.environment.c_str());
  // An empty variable is how scripts unset one.
  found = text != nullptr && *text != '\0';
  if (!found) return {};
  FF_TRY_CTX(assign_from_environment(option, text), fmt::format("environment variable '{}'", option.environment));
  return {};
}

}  // namespace

std::string path_text(const CommandPath& path) {
  std::string text;
  for (const Command* command : path) text.append(text.empty() ? "" : " ").append(command->name);
  return text;
}

// The word that CLI11 could not place: an option, a command, or one positional too many.
std::unexpected<Error> Parser::unknown_word(const std::string& word) const {
  if (word.size() > 1 && word[0] == '-') {
    const std::string name = word.substr(0, word.find('='));
    std::vector<std::string> names;
    for (const Command* command : path_)
      for (const Option& option : command->options)
        if (!option.hidden && !is_positional(option))
          for (std::string& known : names_of(option)) names.push_back(std::move(known));
    return fail(Errc::kInvalidArgument, fmt::format("unknown option '{}'{}", name, did_you_mean(name, names)));
  }
  const auto commands = command_names(*path_.back());
  if (!commands.empty())
    return fail(Errc::kInvalidArgument, fmt::format("unknown command '{}'{}", word, did_you_mean(word, commands)));
  return fail(Errc::kInvalidArgument, fmt::format("unexpected argument '{}'", word));
}

Result<> Parser::split_words(const std::vector<std::string>& words) {
  CLI::App app;
  std::vector<Binding> bindings;
  try {
    bind_command(app, root_, bindings);
  } catch (const CLI::Error& error) {
    FF_ASSERT(false, root_.name, error.what());
  }
  std::string failure;
  try {
    auto reversed = reversed_words(words);
    app.parse(reversed);
  } catch (const CLI::ArgumentMismatch& error) {
    // "--ranks: 1 required TEXT missing", and the like: the option is the part before the colon.
    const std::string what = error.what();
    failure = fmt::format("option '{}': needs a value", what.substr(0, what.find(':')));
  } catch (const CLI::ParseError& error) {
    failure = error.what();
  }

  path_ = {&root_};
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    const auto& nested = path_.back()->commands;
    const auto chosen =
        std::find_if(nested.begin(), nested.end(), [&](const Command& c) { return c.name == at->get_name(); });
    FF_ASSERT(chosen != nested.end(), at->get_name());
    path_.push_back(&*chosen);
  }
  if (!failure.empty()) return fail(Errc::kInvalidArgument, failure);
  auto rest = app.remaining(true);
  // CLI11 reports the mark that ends the options as a word of its own.
  std::erase(rest, "--");
  if (!rest.empty()) return unknown_word(rest.front());

  seen_.clear();
  for (const Binding& binding : bindings)
    if (std::find(path_.begin(), path_.end(), binding.command) != path_.end())
      seen_.push_back({binding.option, binding.parsed->results()});
  return {};
}

Result<> Parser::parse(const std::vector<std::string>& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  FF_TRY(split_words({arguments.begin(), dashes}));
  if (dashes == arguments.end()) return {};
  if (path_.back()->trailing != nullptr) {
    trailing_.assign(dashes + 1, arguments.end());
    return {};
  }
  // For a command that launches nothing, "--" ends the options and the rest are positionals.
  return split_words(arguments);
}

bool Parser::given(std::string_view name) const {
  return std::any_of(seen_.begin(), seen_.end(), [&](const Seen& seen) {
    const auto names = names_of(*seen.option);
    return !seen.texts.empty() && std::find(names.begin(), names.end(), name) != names.end();
  });
}

Result<> Parser::store() const {
  for (const Seen& seen : seen_) {
    if (!seen.texts.empty()) {
      FF_TRY_CTX(assign(*seen.option, seen.texts), describe(*seen.option));
      if (seen.option->given != nullptr) *seen.option->given = true;
      continue;
    }
    bool found = false;
    FF_TRY(store_from_environment(*seen.option, found));
    if (found && seen.option->given != nullptr) *seen.option->given = true;
    if (found || !seen.option->required) continue;
    std::string what = fmt::format("missing {}", describe(*seen.option));
    if (!seen.option->environment.empty()) what += fmt::format(" (or set {})", seen.option->environment);
    return fail(Errc::kInvalidArgument, what);
  }
  if (auto* trailing = path_.back()->trailing) *trailing = trailing_;
  return {};
}

}  // namespace ff::cli
