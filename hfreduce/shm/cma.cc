// Ordinary buffers, through the kernel (cross-memory attach): who claims a chunk reads the peers' inputs into scratch
// that stays in its second-level cache, combines, and writes the peers' outputs. Costs two kernel copies for each
// remote byte, and neither slots nor steps in turn with others. Where the one source or the one destination is the
// claimer itself, its own buffer is used directly.

#include <fmt/core.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "hfreduce/cpu/reduce.hpp"
#include "hfreduce/shm/claiming.hpp"
#include "hfreduce/shm/paths.hpp"

namespace ff::hfreduce::shm {
namespace {

using Transfer = ssize_t (*)(pid_t, const iovec*, unsigned long, const iovec*, unsigned long, unsigned long);

// All bytes, through short transfers; false with errno set.
bool transfer(Transfer call, std::int32_t pid, void* local, std::uint64_t remote, std::uint64_t bytes) noexcept {
  while (bytes > 0) {
    const iovec here{local, bytes}, there{reinterpret_cast<void*>(remote), bytes};
    const ssize_t moved = call(pid, &here, 1, &there, 1, 0);
    if (moved <= 0) {
      if (moved == 0) errno = EFAULT;
      return false;
    }
    local = static_cast<std::byte*>(local) + moved;
    remote += static_cast<std::uint64_t>(moved);
    bytes -= static_cast<std::uint64_t>(moved);
  }
  return true;
}

class CmaCall {
 public:
  CmaCall(Group& group, const Call& call) noexcept : group_(group), call_(call) {}

  Result<> process(const Chunk& chunk) const {
    const bool wanted_here = chunk.to(group_.rank);
    std::byte* own = wanted_here ? static_cast<std::byte*>(call_.op.recv) + chunk.recv_offset : nullptr;
    const std::byte* result = nullptr;
    if (chunk.source == Segment::kAll) {
      FF_TRY_ASSIGN(result, combine(chunk, own));
    } else {
      FF_TRY_ASSIGN(result, fetch(chunk, own));
    }
    for (int step = 1; step < group_.size; ++step) {
      const int peer = (group_.rank + step) % group_.size;
      if (!chunk.to(peer)) continue;
      const std::uint64_t there = buffers(peer).recv + chunk.recv_offset;
      if (chunk.source == peer && there == buffers(peer).send + chunk.send_offset) continue;  // in place
      if (!transfer(::process_vm_writev, pid(peer), const_cast<std::byte*>(result), there, chunk.bytes))
        return fail(refused("write", peer));
    }
    return {};
  }

 private:
  // A chunk with one source: where its bytes are in this process, `own` too if that is one of the places.
  Result<const std::byte*> fetch(const Chunk& chunk, std::byte* own) const {
    if (chunk.source == group_.rank) {
      const std::byte* send = static_cast<const std::byte*>(call_.op.send) + chunk.send_offset;
      if (own != nullptr && own != send) cpu::copy(send, {{own}}, chunk.bytes, false);
      return send;
    }
    std::byte* place = own != nullptr ? own : scratch(0);
    FF_TRY(read(chunk.source, chunk, place));
    return place;
  }

  Result<const std::byte*> combine(const Chunk& chunk, std::byte* own) const {
    for (int r = 0; r < group_.size; ++r) {
      const void*& input = group_.inputs[static_cast<std::size_t>(r)];
      if (r == group_.rank) {
        input = static_cast<const std::byte*>(call_.op.send) + chunk.send_offset;
        continue;
      }
      FF_TRY(read(r, chunk, scratch(r)));
      input = scratch(r);
    }
    void* output[] = {own != nullptr ? own : scratch(group_.rank)};
    cpu::reduce({call_.op.dtype, call_.op.op, chunk.bytes / dtype_size(call_.op.dtype), call_.divisor, false},
                group_.inputs, output);
    return static_cast<const std::byte*>(output[0]);
  }

  Result<> read(int peer, const Chunk& chunk, std::byte* into) const {
    if (transfer(::process_vm_readv, pid(peer), into, buffers(peer).send + chunk.send_offset, chunk.bytes)) return {};
    return fail(refused("read", peer));
  }

  Error refused(std::string_view what, int peer) const {
    const int reason = errno;
    return group_.trouble(Trouble::Kind::kLinkLost, peer,
                          fmt::format("{}: cannot {} the memory of rank {}: {}", group_.name_of(call_), what,
                                      group_.global(peer), std::strerror(reason)));
  }

  const Buffers& buffers(int of) const noexcept { return group_.control(of).entry[call_.parity()].buffers; }
  std::int32_t pid(int of) const noexcept { return group_.control(of).member.pid; }
  std::byte* scratch(int of) const noexcept {
    return group_.scratch.data() +
           group_.scratch.size() / static_cast<std::size_t>(group_.size) * static_cast<std::size_t>(of);
  }

  Group& group_;
  const Call& call_;
};

}  // namespace

Result<> run_cma(Group& group, const Call& call, const Plan& plan) {
  call.enter(Phase::kIntraReduce);
  const CmaCall cma(group, call);
  return run_claimed(group, call, plan, [&](const Chunk& chunk) { return cma.process(chunk); });
}

bool cma_works(const Group& group) noexcept {
  for (int r = 0; r < group.size; ++r) {
    const Member& member = group.control(r).member;
    std::uint64_t seen = 0;
    // The number also tells whether that process is the rank: in another PID namespace, its number may be somebody
    // else's.
    if (!transfer(::process_vm_readv, member.pid, &seen, member.nonce_address, sizeof seen) || seen != member.nonce)
      return false;
  }
  return true;
}

}  // namespace ff::hfreduce::shm
