#include "libcommon/machine/facts.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "libcommon/base/file.hpp"

namespace ff::machine {
namespace {

constexpr std::size_t kFactBytesMax = 4u << 20;  // /proc/cpuinfo of a large machine is the longest

}  // namespace

std::string text_of(const std::string& path) {
  auto text = read_file(path, kFactBytesMax);
  if (!text) return {};
  while (text->ends_with('\n')) text->pop_back();
  return *text;
}

std::vector<std::string> entries_of(const std::string& folder) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  ::closedir(dir);
  std::ranges::sort(names);
  return names;
}

std::string link_name(const std::string& path) {
  std::array<char, 4096> target{};
  const ssize_t bytes = ::readlink(path.c_str(), target.data(), target.size());
  if (bytes <= 0) return {};
  const std::string_view text(target.data(), static_cast<std::size_t>(bytes));
  const auto slash = text.rfind('/');
  return std::string(slash == std::string_view::npos ? text : text.substr(slash + 1));
}

std::optional<int> index_after(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix) || name.size() == prefix.size()) return std::nullopt;
  name.remove_prefix(prefix.size());
  if (!std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  return number_of<int>(name);
}

std::string field_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const auto newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    text = newline == std::string_view::npos ? std::string_view{} : text.substr(newline + 1);
    if (!line.starts_with(key)) continue;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos ||
        line.substr(key.size(), colon - key.size()).find_first_not_of(" \t") != std::string_view::npos)
      continue;
    const auto value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string_view::npos ? std::string() : std::string(line.substr(value));
  }
  return {};
}

std::string chosen_of(std::string_view text) {
  const auto open = text.find('['), close = text.find(']');
  return open == std::string_view::npos || close == std::string_view::npos || close < open
             ? std::string()
             : std::string(text.substr(open + 1, close - open - 1));
}

}  // namespace ff::machine
