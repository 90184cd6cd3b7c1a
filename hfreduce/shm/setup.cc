#include "hfreduce/shm/setup.hpp"

#include <fmt/core.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "hfreduce/shm/rendezvous.hpp"
#include "hfreduce/shm/tuning.hpp"

namespace ff::hfreduce::shm {
namespace {

constexpr int kSizeMax = 256;  // tables and rings grow with its square

std::uint64_t random_number() noexcept {
  std::uint64_t out = 0;
  if (::getrandom(&out, sizeof out, GRND_NONBLOCK) != sizeof out) out = reinterpret_cast<std::uintptr_t>(&out);
  return out;
}

// What a peer reads to find out whether it can, and whether this is the process it thinks it is.
const std::uint64_t g_nonce = random_number();

Shape shape_of(const ShmOptions& options, std::uint64_t windows_bytes) {
  const Tuning tuning = Tuning::choose(options.size, options.flat_bytes_max, options.chunk_bytes);
  Shape shape;
  shape.size = static_cast<std::uint32_t>(options.size);
  shape.staged_depth = tuning.staged_depth;
  shape.flat_bytes = tuning.flat_max;
  shape.staged_bytes = tuning.staged_max;
  shape.arena_bytes = windows_bytes;
  shape.chunk_bytes = options.chunk_bytes;
  shape.ordinary = static_cast<std::uint32_t>(options.ordinary);
  return shape;
}

// The memory of a new group. What every call uses is made of real pages now, so that no call can fault on it.
Result<std::pair<Shape, Arena>> create_memory(const ShmOptions& options, std::uint64_t windows_bytes) {
  Shape shape = shape_of(options, windows_bytes);
  const Layout layout(shape);
  FF_TRY_ASSIGN(Arena arena, Arena::create(layout.total));
  FF_TRY(arena.populate(layout.control, layout.ring_slots - layout.control));
  if (options.size > 1) {
    FF_TRY(arena.populate(layout.staged,
                          (static_cast<std::uint64_t>(shape.size) + 1) * shape.staged_depth * shape.staged_bytes));
    shape.huge_pages = arena.huge_pages() ? 1 : 0;
  }
  return std::pair(shape, std::move(arena));
}

}  // namespace

Result<> check(const ShmOptions& options, const std::string& token) {
  if (options.size < 1 || options.size > kSizeMax || options.rank < 0 || options.rank >= options.size)
    return fail(Errc::kInvalidArgument, fmt::format("shared memory: rank {} of {} (up to {} ranks on a host)",
                                                    options.rank, options.size, kSizeMax));
  if (options.global_ranks.size() != static_cast<std::size_t>(options.size))
    return fail(Errc::kInvalidArgument, fmt::format("shared memory: {} global ranks for a group of {}",
                                                    options.global_ranks.size(), options.size));
  if (options.failure == nullptr) return fail(Errc::kInvalidArgument, "shared memory: no failure source");
  if (token.size() < 16 || token.size() > 256)
    return fail(Errc::kInvalidArgument,
                fmt::format("shared memory: a token of {} characters (16 to 256)", token.size()));
  if (options.ordinary != ShmPath::kAuto && options.ordinary != ShmPath::kStaged && options.ordinary != ShmPath::kCma)
    return fail(Errc::kInvalidArgument,
                fmt::format("shared memory: path '{}' for ordinary buffers (use auto, staged or cma)",
                            shm_path_name(options.ordinary)));
  if (options.flat_bytes_max > 1 << 20 || options.chunk_bytes > 16 << 20)
    return fail(Errc::kInvalidArgument, "shared memory: flat messages up to 1MiB, chunks up to 16MiB");
  return {};
}

Result<Group> set_up_group(const ShmOptions& options, const std::string& token, FailureSource& failure,
                           const Deadline& deadline) {
  Group group;
  group.rank = options.rank;
  group.size = options.size;
  group.global_ranks = options.global_ranks;
  group.failure = &failure;
  group.trace = options.trace;
  const Introduction self{
      token,
      options.rank,
      options.size,
      options.global_ranks,
      Arena::mappable(options.arena_bytes > 0 ? options.arena_bytes : Arena::default_windows(), options.size),
      &failure};
  if (options.rank == 0) {
    FF_TRY(host_group(self, deadline, [&](std::uint64_t windows_bytes) -> Result<Offer> {
      FF_TRY_ASSIGN(auto made, create_memory(options, windows_bytes));
      group.shape = made.first;
      group.arena = std::move(made.second);
      return Offer{group.shape, group.arena.fd()};
    }));
  } else {
    FF_TRY_ASSIGN(Joined joined, join_group(self, deadline));
    if (joined.shape.size != static_cast<std::uint32_t>(options.size))
      return fail(Errc::kCorrupt, "shared memory: the group's first rank described another group");
    group.shape = joined.shape;
    FF_TRY_ASSIGN(group.arena, Arena::adopt(std::move(joined.fd), Layout(group.shape).total));
  }
  group.layout = Layout(group.shape);
  return group;
}

Member describe_member() {
  // Does nothing where yama is not in force; a refusal shows in cma_works.
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  Member member;
  member.pid = ::getpid();
  member.nonce_address = reinterpret_cast<std::uintptr_t>(&g_nonce);
  member.nonce = g_nonce;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    for (int cpu = 0; cpu < std::min(CPU_SETSIZE, kCpuWords * 64); ++cpu)
      if (CPU_ISSET(cpu, &allowed)) member.cpus[cpu / 64] |= 1ULL << (cpu % 64);
  return member;
}

int usable_cores(const Group& group) noexcept {
  int cores = 0;
  for (int word = 0; word < kCpuWords; ++word) {
    std::uint64_t any = 0;
    for (int r = 0; r < group.size; ++r) any |= group.control(r).member.cpus[word];
    cores += std::popcount(any);
  }
  return std::max(cores, 1);
}

}  // namespace ff::hfreduce::shm
