#include "ffbench/net/patterns.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/base/byte_size.hpp"

namespace ff::bench {

Result<std::vector<std::string>> parse_names(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string word = text.substr(begin, end - begin);
    if (word.empty()) return fail(Errc::kInvalidArgument, fmt::format("'{}': an empty name in the list", text));
    if (std::ranges::find(out, word) != out.end())
      return fail(Errc::kInvalidArgument, fmt::format("'{}': is there twice", word));
    out.push_back(std::move(word));
    begin = end + 1;
  }
  return out;
}

Result<std::vector<std::uint64_t>> parse_sizes(const std::string& text, std::uint64_t most) {
  FF_TRY_ASSIGN(const std::vector<std::string> words, parse_names(text));
  std::vector<std::uint64_t> out;
  for (const std::string& word : words) {
    FF_TRY_ASSIGN(const std::uint64_t size, parse_byte_size(word));
    if (size == 0 || size > most)
      return fail(Errc::kInvalidArgument,
                  fmt::format("'{}': out of range (give 1B to {})", word, format_byte_size(most)));
    if (std::ranges::find(out, size) != out.end())
      return fail(Errc::kInvalidArgument, fmt::format("'{}': is there twice", word));
    out.push_back(size);
  }
  return out;
}

Result<std::vector<std::uint64_t>> sweep_sizes(std::uint64_t begin, std::uint64_t end, std::int64_t factor) {
  if (begin == 0 || end < begin)
    return fail(Errc::kInvalidArgument, fmt::format("-b {} -e {}: is no range (give 1B or more, and the larger last)",
                                                    format_byte_size(begin), format_byte_size(end)));
  if (factor < 2) return fail(Errc::kInvalidArgument, fmt::format("-f {}: does not grow (give 2 or more)", factor));
  std::vector<std::uint64_t> out;
  for (std::uint64_t size = begin; size <= end; size *= static_cast<std::uint64_t>(factor)) {
    out.push_back(size);
    if (size > end / static_cast<std::uint64_t>(factor)) break;
  }
  if (out.size() > 64) return fail(Errc::kInvalidArgument, fmt::format("-f {}: gives more than 64 sizes", factor));
  return out;
}

std::vector<Pair> all_pairs(std::size_t hosts) {
  std::vector<Pair> out;
  for (std::size_t from = 0; from < hosts; ++from)
    for (std::size_t to = 0; to < hosts; ++to)
      if (from != to) out.emplace_back(from, to);
  return out;
}

std::vector<std::vector<Pair>> mesh_rounds(std::size_t hosts, bool at_once) {
  std::vector<std::vector<Pair>> rounds;
  if (!at_once) {
    for (const Pair& pair : all_pairs(hosts)) rounds.push_back({pair});
    return rounds;
  }
  const std::size_t seats = hosts + hosts % 2;  // with an odd number one seat is empty
  for (std::size_t turn = 0; turn + 1 < seats; ++turn) {
    std::vector<Pair> there, back;
    const auto seated = [&](std::size_t seat) { return seat == 0 ? 0 : 1 + (seat - 1 + turn) % (seats - 1); };
    for (std::size_t i = 0; i < seats / 2; ++i) {
      const std::size_t a = seated(i), b = seated(seats - 1 - i);
      if (a >= hosts || b >= hosts) continue;
      there.emplace_back(a, b);
      back.emplace_back(b, a);
    }
    rounds.push_back(std::move(there));
    rounds.push_back(std::move(back));
  }
  return rounds;
}

}  // namespace ff::bench
