// Completion scripts. Each walks the words typed so far along the tree of commands, which is spelled out in the
// script, and then offers what fits: the values of the option before the cursor, else commands, options, files.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "libcommon/cli/builtin.hpp"
#include "libcommon/cli/option_text.hpp"

namespace ff::cli {
namespace {

// One command with the options that are valid there, its parents' included.
struct Node {
  std::string path;
  const Command* command;
  std::vector<const Option*> options;
  const Option* positional = nullptr;  // the first; later ones rarely differ in kind
};

void collect(const Command& command, const std::string& parent, std::vector<const Option*> inherited,
             std::vector<Node>& nodes) {
  Node node{parent.empty() ? command.name : parent + " " + command.name, &command, std::move(inherited)};
  for (const Option& option : command.options) {
    if (option.hidden) continue;
    if (!is_positional(option))
      node.options.push_back(&option);
    else if (node.positional == nullptr)
      node.positional = &option;
  }
  const std::string path = node.path;
  const auto options = node.options;
  nodes.push_back(std::move(node));
  for (const Command& nested : command.commands)
    if (!nested.hidden) collect(nested, path, options, nodes);
}

// In single quotes, for bash and zsh.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out + "'";
}

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

// A function name from a tool's name.
std::string identifier(std::string_view name) {
  std::string out = "_";
  for (const char c : name) out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return out;
}

std::vector<std::string> visible_names(const Command& command) {
  std::vector<std::string> names;
  for (const Command& nested : command.commands)
    if (!nested.hidden) names.push_back(nested.name);
  return names;
}

// "'tool bench'|'tool topo show'": what moves the walk one command down.
std::string known_paths(const std::vector<Node>& nodes) {
  std::vector<std::string> paths;
  for (const Node& node : nodes)
    if (&node != &nodes.front()) paths.push_back(quoted(node.path));
  return paths.empty() ? "''" : fmt::format("{}", fmt::join(paths, "|"));
}

// "'tool bench -o'|'tool bench --output'"
std::string option_patterns(const Node& node, const Option& option) {
  std::vector<std::string> patterns;
  for (const std::string& name : names_of(option)) patterns.push_back(quoted(node.path + " " + name));
  return fmt::format("{}", fmt::join(patterns, "|"));
}

std::string bash_values(const Option& option) {
  if (!option.choices.empty())
    return fmt::format("mapfile -t COMPREPLY < <(compgen -W {} -- \"$cur\")",
                       quoted(fmt::format("{}", fmt::join(option.choices, " "))));
  if (option.complete == "file") return "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")";
  if (option.complete == "dir") return "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")";
  if (option.complete == "host") return "mapfile -t COMPREPLY < <(compgen -A hostname -- \"$cur\")";
  return {};
}

std::string bash(const std::vector<Node>& nodes) {
  const std::string tool = nodes.front().command->name;
  std::string values, words;
  for (const Node& node : nodes) {
    std::vector<std::string> names;
    for (const Option* option : node.options) {
      for (std::string& name : names_of(*option)) names.push_back(std::move(name));
      if (is_flag(*option)) continue;
      const std::string action = bash_values(*option);
      values +=
          fmt::format("    {}) {}{}return ;;\n", option_patterns(node, *option), action, action.empty() ? "" : "; ");
    }
    words += fmt::format("    {})\n      if [[ $cur == -* ]]; then\n", quoted(node.path));
    words += fmt::format("        mapfile -t COMPREPLY < <(compgen -W {} -- \"$cur\")\n",
                         quoted(fmt::format("{}", fmt::join(names, " "))));
    const auto commands = visible_names(*node.command);
    const std::string positional = node.positional != nullptr ? bash_values(*node.positional) : "";
    if (!commands.empty())
      words += fmt::format("      else\n        mapfile -t COMPREPLY < <(compgen -W {} -- \"$cur\")\n",
                           quoted(fmt::format("{}", fmt::join(commands, " "))));
    else if (!positional.empty())
      words += fmt::format("      else\n        {}\n", positional);
    words += "      fi ;;\n";
  }
  return fmt::format(R"(# bash completion for {0}, made by '{0} completion bash'
{1}() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} at={2} i
  COMPREPLY=()
  # Bash splits --option=value into three words.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${{COMP_WORDS[COMP_CWORD-2]}}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${{COMP_WORDS[i]}} == -- ]]; then
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -c -f -- "$cur")
      return
    fi
    case "$at ${{COMP_WORDS[i]}}" in
      {3}) at="$at ${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$at $prev" in
{4}  esac
  case "$at" in
{5}  esac
}}
complete -F {1} {0}
)",
                     tool, identifier(tool), quoted(tool), known_paths(nodes), values, words);
}

std::string zsh_values(const Option& option) {
  if (!option.choices.empty()) {
    std::vector<std::string> words;
    for (const std::string& choice : option.choices) words.push_back(quoted(choice));
    return fmt::format("compadd -- {}", fmt::join(words, " "));
  }
  if (option.complete == "file") return "_files";
  if (option.complete == "dir") return "_files -/";
  if (option.complete == "host") return "_hosts";
  return {};
}

// One 'word:explanation' of _describe.
std::string zsh_item(std::string_view word, std::string_view help) {
  std::string escaped;
  for (const char c : word) escaped.append(c == ':' ? 1 : 0, '\\').push_back(c);
  return quoted(fmt::format("{}:{}", escaped, help));
}

std::string zsh(const std::vector<Node>& nodes) {
  const std::string tool = nodes.front().command->name;
  std::string values, words;
  for (const Node& node : nodes) {
    std::vector<std::string> options, commands;
    for (const Option* option : node.options) {
      for (const std::string& name : names_of(*option)) options.push_back(zsh_item(name, option->help));
      if (is_flag(*option)) continue;
      const std::string action = zsh_values(*option);
      values +=
          fmt::format("    {}) {}{}return ;;\n", option_patterns(node, *option), action, action.empty() ? "" : "; ");
    }
    for (const Command& nested : node.command->commands)
      if (!nested.hidden) commands.push_back(zsh_item(nested.name, nested.summary));
    words += fmt::format("    {})\n      if [[ $cur == -* ]]; then\n", quoted(node.path));
    words += fmt::format("        items=({}); _describe option items\n", fmt::join(options, " "));
    const std::string positional = node.positional != nullptr ? zsh_values(*node.positional) : "";
    if (!commands.empty())
      words += fmt::format("      else\n        items=({}); _describe command items\n", fmt::join(commands, " "));
    else if (!positional.empty())
      words += fmt::format("      else\n        {}\n", positional);
    words += "      fi ;;\n";
  }
  return fmt::format(R"(#compdef {0}
# zsh completion for {0}, made by '{0} completion zsh'
{1}() {{
  local cur=${{words[CURRENT]}} prev=${{words[CURRENT-1]}} at={2} word
  local -a items
  for word in ${{words[2,CURRENT-1]}}; do
    if [[ $word == -- ]]; then
      _files
      return
    fi
    case "$at $word" in
      {3}) at="$at $word" ;;
    esac
  done
  case "$at $prev" in
{4}  esac
  case "$at" in
{5}  esac
}}
if [[ ${{funcstack[1]}} == {1} ]]; then
  {1} "$@"
else
  compdef {1} {0}
fi
)",
                     tool, identifier(tool), quoted(tool), known_paths(nodes), values, words);
}

std::string fish_values(const Option& option) {
  if (is_flag(option)) return {};
  if (!option.choices.empty())
    return fmt::format(" -x -a {}", fish_quoted(fmt::format("{}", fmt::join(option.choices, " "))));
  if (option.complete == "file") return " -r -F";
  if (option.complete == "dir") return " -x -a '(__fish_complete_directories)'";
  if (option.complete == "host") return " -x -a '(__fish_print_hostnames)'";
  return " -x";
}

std::string fish(const std::vector<Node>& nodes) {
  const std::string tool = nodes.front().command->name;
  const std::string walk = "_" + identifier(tool) + "_at";
  std::vector<std::string> paths;
  for (const Node& node : nodes)
    if (&node != &nodes.front()) paths.push_back(fish_quoted(node.path));
  std::string out = fmt::format(R"(# fish completion for {0}, made by '{0} completion fish'
function {1}
    set -l at {0}
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case {2}
                set at "$at $word"
        end
    end
    echo $at
end
complete -c {0} -f
)",
                                tool, walk, paths.empty() ? "''" : fmt::format("{}", fmt::join(paths, " ")));
  for (const Node& node : nodes) {
    const std::string here =
        fmt::format("complete -c {} -n {}", tool, fish_quoted(fmt::format("test ({}) = \"{}\"", walk, node.path)));
    for (const Command& nested : node.command->commands)
      if (!nested.hidden) out += fmt::format("{} -a {} -d {}\n", here, nested.name, fish_quoted(nested.summary));
    for (const Option* option : node.options) {
      std::string line = here;
      for (const std::string& name : names_of(*option))
        line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      out += fmt::format("{}{} -d {}\n", line, fish_values(*option), fish_quoted(option->help));
    }
    if (node.positional == nullptr) continue;
    const std::string& kind = node.positional->complete;
    if (!node.positional->choices.empty() || kind == "dir" || kind == "host")
      out += here + fish_values(*node.positional).substr(3) + '\n';
    else if (kind == "file")
      out += here + " -F\n";
  }
  return out;
}

}  // namespace

Result<std::string> completion_text(const Command& root, const std::string& shell) {
  std::vector<Node> nodes;
  collect(root, "", {}, nodes);
  if (shell == "bash") return bash(nodes);
  if (shell == "zsh") return zsh(nodes);
  if (shell == "fish") return fish(nodes);
  return fail(Errc::kInvalidArgument, fmt::format("no completion for shell '{}' (use bash, zsh or fish)", shell));
}

}  // namespace ff::cli
