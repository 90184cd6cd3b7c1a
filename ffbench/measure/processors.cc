#include "ffbench/measure/processors.hpp"

#include <fmt/core.h>
#include <sched.h>

#include <algorithm>
#include <charconv>

#include "libcommon/base/assert.hpp"

namespace ff::bench {
namespace {

// Reads a number without sign from the front of `rest`; -1 where there is none or it is too large.
int take_number(std::string_view& rest) {
  if (rest.empty() || rest.front() < '0' || rest.front() > '9') return -1;
  int value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc() || value >= CPU_SETSIZE) return -1;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return value;
}

}  // namespace

Result<std::vector<int>> parse_processors(std::string_view text) {
  const auto refuse = [&] {
    return fail(
        Errc::kInvalidArgument,
        fmt::format("'{}' is no list of processors (write it like 0-3,8; the highest is {})", text, CPU_SETSIZE - 1));
  };
  std::vector<int> processors;
  std::string_view rest = text;
  for (bool more = true; more;) {
    const int first = take_number(rest);
    int last = first;
    if (first >= 0 && rest.starts_with('-')) {
      rest.remove_prefix(1);
      last = take_number(rest);
    }
    if (first < 0 || last < first) return refuse();
    for (int i = first; i <= last; ++i) processors.push_back(i);
    more = rest.starts_with(',');
    if (more) rest.remove_prefix(1);
    // A list that names processors again and again is a mistake; here it would also cost memory.
    if (processors.size() > 2 * CPU_SETSIZE) return refuse();
  }
  if (!rest.empty()) return refuse();
  std::ranges::sort(processors);
  processors.erase(std::ranges::unique(processors).begin(), processors.end());
  return processors;
}

std::string format_processors(std::span<const int> processors) {
  std::string text;
  for (std::size_t i = 0; i < processors.size();) {
    std::size_t end = i + 1;
    while (end < processors.size() && processors[end] == processors[end - 1] + 1) ++end;
    if (i > 0) text += ',';
    text += std::to_string(processors[i]);
    if (end - i > 1) text += '-' + std::to_string(processors[end - 1]);
    i = end;
  }
  return text;
}

Result<std::vector<int>> allowed_processors() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return fail(errno_error("read the allowed processors"));
  std::vector<int> processors;
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &set)) processors.push_back(i);
  return processors;
}

Result<> check_processors(std::span<const int> processors) {
  FF_TRY_ASSIGN(const auto allowed, allowed_processors());
  for (const int processor : processors)
    if (!std::ranges::binary_search(allowed, processor))
      return fail(Errc::kInvalidArgument, fmt::format("processor {}: not available to this process (it may use {})",
                                                      processor, format_processors(allowed)));
  return {};
}

Result<> pin_this_thread(std::span<const int> processors) {
  FF_ASSERT(!processors.empty(), processors.size());
  FF_TRY(check_processors(processors));
  return move_this_thread(processors);
}

Result<> move_this_thread(std::span<const int> processors) {
  FF_ASSERT(!processors.empty(), processors.size());
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int processor : processors) CPU_SET(processor, &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0)
    return fail(errno_error(fmt::format("bind to processors {}", format_processors(processors))));
  return {};
}

}  // namespace ff::bench
