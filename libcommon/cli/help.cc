#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "libcommon/cli/builtin.hpp"
#include "libcommon/cli/option_text.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::cli {
namespace {

using report::display_width;

struct Entry {
  std::string left;
  std::string right;
};

// Breaks at spaces so that no line is wider than the help; the first line starts at column `at`, the others at
// `indent`. A word that is wider than a whole line stands alone.
std::string wrap(std::string_view text, std::size_t indent, std::size_t at) {
  std::string out;
  bool line_start = true;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = text.find(' ', i);
    if (end == std::string_view::npos) end = text.size();
    const std::string_view word = text.substr(i, end - i);
    i = end + 1;
    if (word.empty()) continue;
    const std::size_t width = display_width(word);
    if (!line_start && at + 1 + width > kHelpColumnsMax) {
      out += '\n';
      out.append(indent, ' ');
      at = indent;
      line_start = true;
    }
    if (!line_start) {
      out += ' ';
      ++at;
    }
    out += word;
    at += width;
    line_start = false;
  }
  return out;
}

std::string paragraphs(std::string_view text) {
  std::string out;
  for (std::size_t start = 0; start < text.size();) {
    std::size_t end = text.find('\n', start);
    if (end == std::string_view::npos) end = text.size();
    out += wrap(text.substr(start, end - start), 0, 0) + '\n';
    start = end + 1;
  }
  return out;
}

std::string two_columns(const std::vector<Entry>& entries) {
  constexpr std::size_t kLeftMax = 32;
  std::size_t left = 0;
  for (const Entry& entry : entries)
    if (const auto width = display_width(entry.left); width <= kLeftMax) left = std::max(left, width);
  const std::size_t indent = 2 + left + 2;
  std::string out;
  for (const Entry& entry : entries) {
    const std::size_t width = display_width(entry.left);
    out += "  " + entry.left;
    if (!entry.right.empty()) {
      // A long name has a line of its own, so that it does not push all explanations to the right.
      if (width > left)
        out.append(1, '\n').append(indent, ' ');
      else
        out.append(indent - 2 - width, ' ');
      out += wrap(entry.right, indent, indent);
    }
    out += '\n';
  }
  return out;
}

std::string section(std::string_view title, const std::vector<Entry>& entries) {
  if (entries.empty()) return {};
  return fmt::format("\n{}:\n{}", title, two_columns(entries));
}

std::string positional_text(const Option& option) {
  std::string name = value_name_of(option) + (is_list(option) ? "..." : "");
  return option.required ? name : "[" + name + "]";
}

std::string usage_line(const CommandPath& path) {
  const Command& command = *path.back();
  std::string usage = path_text(path);
  const auto visible = [](const auto& item) { return !item.hidden; };
  const bool groups = std::any_of(command.commands.begin(), command.commands.end(), visible);
  if (groups) usage += command.run ? " [COMMAND]" : " COMMAND";
  usage += " [OPTIONS]";
  for (const Option& option : command.options) {
    if (option.hidden) continue;
    if (is_positional(option))
      usage += " " + positional_text(option);
    else if (option.required)
      usage += fmt::format(" {} {}", names_of(option).back(), value_name_of(option));
  }
  if (command.trailing != nullptr) usage += " -- " + (command.trailing_name.empty() ? "ARG..." : command.trailing_name);
  return "Usage: " + wrap(usage, 9, 7) + "\n";
}

std::string option_notes(const Option& option) {
  std::vector<std::string> notes;
  if (option.required)
    notes.emplace_back("required");
  else if (const auto text = default_text(option); !text.empty())
    notes.push_back("default " + text);
  if (!option.choices.empty()) notes.push_back(fmt::format("one of {}", fmt::join(option.choices, ", ")));
  if (option.min && option.max)
    notes.push_back(fmt::format("{} to {}", bound_text(option, *option.min), bound_text(option, *option.max)));
  else if (option.min)
    notes.push_back("at least " + bound_text(option, *option.min));
  else if (option.max)
    notes.push_back("at most " + bound_text(option, *option.max));
  if (is_list(option) && !is_positional(option)) notes.emplace_back("may be repeated");
  if (!option.environment.empty()) notes.push_back("env " + option.environment);
  return notes.empty() ? std::string() : fmt::format(" ({})", fmt::join(notes, "; "));
}

Entry option_entry(const Option& option) {
  if (is_positional(option)) return {value_name_of(option), option.help + option_notes(option)};
  // Long names align whether or not there is a short one.
  const auto names = names_of(option);
  std::string left = fmt::format("{}", fmt::join(names, ", "));
  if (names.size() == 1 && names[0].starts_with("--")) left = "    " + left;
  if (!is_flag(option)) left += " " + value_name_of(option);
  return {left, option.help + option_notes(option)};
}

std::vector<Entry> option_entries(const Command& command, bool positional) {
  std::vector<Entry> entries;
  for (const Option& option : command.options)
    if (!option.hidden && is_positional(option) == positional) entries.push_back(option_entry(option));
  return entries;
}

std::vector<Entry> command_entries(const Command& command) {
  std::vector<Entry> entries;
  for (const Command& nested : command.commands)
    if (!nested.hidden) entries.push_back({nested.name, nested.summary});
  return entries;
}

// A long example goes on the next line as a shell would read it: only at a space outside quotes.
std::string example_command(const std::string& command) {
  std::string out = "  $ ";
  std::size_t line_start = 0, last_space = std::string::npos;
  char quote = 0;
  for (const char c : command) {
    if (quote == 0 && (c == '\'' || c == '"'))
      quote = c;
    else if (c == quote)
      quote = 0;
    if (c == ' ' && quote == 0) last_space = out.size();
    out += c;
    if (out.size() - line_start + 2 > kHelpColumnsMax && last_space != std::string::npos && last_space > line_start) {
      out.replace(last_space, 1, " \\\n      ");
      line_start = last_space + 3;
      last_space = std::string::npos;
    }
  }
  return out + '\n';
}

std::string examples_section(const Command& command) {
  if (command.examples.empty()) return {};
  std::string out = "\nExamples:\n";
  for (const Example& example : command.examples)
    out += (example.what.empty() ? "" : "  # " + wrap(example.what, 4, 4) + "\n") + example_command(example.command);
  return out;
}

std::string exit_section(const Command& command) {
  std::vector<ExitCode> codes = {{kExitOk, "done"}, {kExitFailed, "failed"}, {kExitUsage, "wrong usage or settings"}};
  for (const ExitCode& own : command.exit_codes) {
    const auto same = std::find_if(codes.begin(), codes.end(), [&](const ExitCode& e) { return e.code == own.code; });
    if (same == codes.end())
      codes.push_back(own);
    else
      *same = own;
  }
  std::sort(codes.begin(), codes.end(), [](const ExitCode& a, const ExitCode& b) { return a.code < b.code; });
  std::vector<Entry> entries;
  for (const ExitCode& exit : codes) entries.push_back({fmt::format("{:>3}", exit.code), exit.meaning});
  return section("Exit status", entries);
}

std::string headline(const CommandPath& path) {
  const std::string name = path_text(path) + " - ";
  return name + wrap(path.back()->summary, 4, display_width(name)) + "\n\n";
}

}  // namespace

std::string help_text(const CommandPath& path) {
  const Command& command = *path.back();
  std::string out = headline(path) + usage_line(path);
  if (!command.description.empty()) out += '\n' + paragraphs(command.description);
  out += section("Commands", command_entries(command));
  out += section("Arguments", option_entries(command, true));
  out += section("Options", option_entries(command, false));
  std::vector<Entry> inherited;
  for (std::size_t i = 0; i + 1 < path.size(); ++i)
    for (Entry& entry : option_entries(*path[i], false)) inherited.push_back(std::move(entry));
  out += section("Global options", inherited);
  return out + examples_section(command) + exit_section(command);
}

std::string short_help_text(const CommandPath& path) {
  return headline(path) + usage_line(path) + section("Commands", command_entries(*path.back())) +
         fmt::format("\nSee '{} --help'.\n", path_text(path));
}

}  // namespace ff::cli
