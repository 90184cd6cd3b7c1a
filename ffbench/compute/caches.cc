#include "ffbench/compute/caches.hpp"

#include <fmt/core.h>

#include <map>
#include <optional>
#include <string_view>

#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/file.hpp"

namespace ff::bench {
namespace {

constexpr int kIndexes = 16;

std::string word_in(const std::string& path) {
  auto text = read_file(path, 4096);
  if (!text) return {};
  return text->substr(0, text->find('\n'));
}

}  // namespace

Caches read_caches(std::span<const int> cpus, const std::string& root) {
  Caches caches;
  // Caches of the last level, told apart by the processors that share them.
  std::map<std::string, std::uint64_t> last;
  for (const int cpu : cpus) {
    std::uint64_t size_of_last = 0;
    int level_of_last = 0;
    std::string shared_by;
    for (int index = 0; index < kIndexes; ++index) {
      const std::string folder = fmt::format("{}sys/devices/system/cpu/cpu{}/cache/index{}/", root, cpu, index);
      const std::string level = word_in(folder + "level");
      if (level.empty()) break;
      if (word_in(folder + "type") == "Instruction") continue;
      const auto size = parse_byte_size(word_in(folder + "size"));
      if (!size || level.size() != 1) continue;
      const int number = level[0] - '0';
      if (number == 1) caches.l1 = *size;
      if (number == 2) caches.l2 = *size;
      if (number <= level_of_last) continue;
      level_of_last = number;
      size_of_last = *size;
      shared_by = word_in(folder + "shared_cpu_list");
    }
    if (level_of_last == 0) continue;
    last[fmt::format("{}:{}", level_of_last, shared_by.empty() ? fmt::format("cpu{}", cpu) : shared_by)] = size_of_last;
    caches.last_level = size_of_last;
  }
  for (const auto& [who, size] : last) caches.last_level_sum += size;
  caches.known = caches.last_level_sum > 0;
  if (!caches.known) caches.last_level = caches.last_level_sum = 32 * kMiB;
  return caches;
}

}  // namespace ff::bench
