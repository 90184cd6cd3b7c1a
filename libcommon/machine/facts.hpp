// Facts as the kernel shows them in /sys and /proc: small texts under a root that tests replace. What cannot be read is
// absent; nothing here fails. Threads: pure reads.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ff::machine {

// The file's text without its last newlines; empty where it cannot be read.
std::string text_of(const std::string& path);
// Names in a folder, sorted, without those that begin with a dot.
std::vector<std::string> entries_of(const std::string& folder);
// The last part of the path that a symbolic link holds; empty where there is none.
std::string link_name(const std::string& path);
// The value of "Key : value" or "Key: value kB" in a file's text; the first such line counts.
std::string field_of(std::string_view text, std::string_view key);
// The word in brackets: "always [madvise] never".
std::string chosen_of(std::string_view text);
// N of "cpuN"; nothing for "cpufreq" and others.
std::optional<int> index_after(std::string_view name, std::string_view prefix);

// The number that the text begins with.
template <class T>
std::optional<T> number_of(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

}  // namespace ff::machine
