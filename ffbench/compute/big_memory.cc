#include "ffbench/compute/big_memory.hpp"

#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/file.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kHugePage = 2 * kMiB;
constexpr std::size_t kProcFileMax = 64 * kKiB;

std::optional<std::uint64_t> leading_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

Result<std::uint64_t> meminfo(const std::string& root, std::string_view key) {
  const std::string path = root + "proc/meminfo";
  FF_TRY_ASSIGN(const std::string text, read_file(path, kProcFileMax));
  const std::size_t at = text.find(std::string(key) + ":");
  if (at != std::string::npos) {
    if (const auto kib = leading_number(std::string_view(text).substr(at + key.size() + 1))) return *kib * kKiB;
  }
  return fail(Errc::kNotFound, fmt::format("{}: no {}", path, key));
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  const auto text = read_file(path, kProcFileMax);
  return text ? leading_number(*text) : std::nullopt;  // "max" is no number: no limit
}

// What the strictest control group above this process leaves; nothing where none sets a limit (cgroup v2 only).
std::optional<std::uint64_t> left_by_groups(const std::string& root) {
  const auto own = read_file(root + "proc/self/cgroup", kProcFileMax);
  if (!own) return std::nullopt;
  const std::size_t at = own->find("0::/");
  if (at == std::string::npos) return std::nullopt;
  std::string group = own->substr(at + 3, own->find('\n', at) - at - 3);
  std::optional<std::uint64_t> left;
  while (true) {
    const std::string folder = root + "sys/fs/cgroup" + group;
    const auto limit = number_in(folder + "/memory.max");
    const auto used = number_in(folder + "/memory.current");
    if (limit && used) left = std::min(left.value_or(UINT64_MAX), *limit > *used ? *limit - *used : 0);
    if (group.size() <= 1) return left;
    group = group.substr(0, group.rfind('/'));
  }
}

}  // namespace

Result<BigMemory> BigMemory::map(std::uint64_t bytes) {
  if (const auto available = available_memory(); available && bytes > *available)
    return fail(Errc::kExhausted, fmt::format("memory: {} asked for, {} available (ask for less)",
                                              format_byte_size(bytes), format_byte_size(*available)));
  BigMemory memory;
  memory.mapped_ = bytes + kHugePage;
  memory.base_ = ::mmap(nullptr, memory.mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory.base_ == MAP_FAILED) {
    memory.base_ = nullptr;
    return fail(errno_error(fmt::format("map {} of memory", format_byte_size(bytes))));
  }
  const auto address = reinterpret_cast<std::uintptr_t>(memory.base_);
  memory.data_ = static_cast<std::byte*>(memory.base_) + (kHugePage - address % kHugePage) % kHugePage;
  memory.bytes_ = bytes;
  // Refused where the kernel has no huge pages; small ones are correct, too.
  ::madvise(memory.data_, bytes, MADV_HUGEPAGE);
  return memory;
}

BigMemory::~BigMemory() {
  if (base_ != nullptr) ::munmap(base_, mapped_);
}

bool BigMemory::lock() const noexcept { return ::mlock(data_, bytes_) == 0; }

Result<std::uint64_t> available_memory(const std::string& root) {
  FF_TRY_ASSIGN(const std::uint64_t available, meminfo(root, "MemAvailable"));
  return std::min(available, left_by_groups(root).value_or(available));
}

Result<std::uint64_t> total_memory(const std::string& root) { return meminfo(root, "MemTotal"); }

}  // namespace ff::bench
