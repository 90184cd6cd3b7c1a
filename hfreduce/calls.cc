// The public calls: arguments are checked, made into an OpDesc, and run, queued or collected into a group.
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <unordered_map>

#include "hfreduce/communicator_impl.hpp"

namespace ff::hfreduce {
namespace {

struct Range {
  const std::byte* begin;
  std::uint64_t bytes;
};

bool overlap(const Range& a, const Range& b) {
  return a.bytes > 0 && b.bytes > 0 && a.begin < b.begin + b.bytes && b.begin < a.begin + a.bytes;
}

// Bytes that a call reads from `send` and writes to `recv` on this rank.
struct Extent {
  std::uint64_t send = 0;
  std::uint64_t recv = 0;
  std::uint64_t in_place_offset_send = 0;  // in place means recv + this == send + the other
  std::uint64_t in_place_offset_recv = 0;
};

std::uint64_t sum_of(std::span<const std::uint64_t> counts) {
  std::uint64_t sum = 0;
  for (const std::uint64_t c : counts) sum += c;
  return sum;
}

std::uint64_t end_of(std::span<const std::uint64_t> counts, std::span<const std::uint64_t> displs) {
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] > 0) end = std::max(end, displs[i] + counts[i]);
  return end;
}

Extent extent_of(const OpDesc& op, int rank, int size) {
  const std::uint64_t width = dtype_size(op.dtype);
  const std::uint64_t n = op.count * width;
  const auto all = n * static_cast<std::uint64_t>(size);
  const auto mine = n * static_cast<std::uint64_t>(rank);
  const bool is_root = op.root == rank;
  switch (op.kind) {
    case Collective::kAllReduce: return {n, n, 0, 0};
    case Collective::kReduce: return {n, is_root ? n : 0, 0, 0};
    case Collective::kBroadcast: return {is_root ? n : 0, is_root && op.recv == nullptr ? 0 : n, 0, 0};
    case Collective::kReduceScatter: return {all, n, mine, 0};
    case Collective::kAllGather: return {n, all, 0, mine};
    case Collective::kAllToAll: return {all, all, ~0ULL, 0};
    case Collective::kGather: return {n, is_root ? all : 0, 0, mine};
    case Collective::kScatter: return {is_root ? all : 0, n, mine, 0};
    case Collective::kReduceScatterV: {
      const auto r = static_cast<std::size_t>(rank);
      return {sum_of(op.recv_counts) * width, op.recv_counts[r] * width, sum_of(op.recv_counts.first(r)) * width, 0};
    }
    case Collective::kAllGatherV: {
      const auto r = static_cast<std::size_t>(rank);
      return {op.recv_counts[r] * width, end_of(op.recv_counts, op.recv_displs) * width, 0, op.recv_displs[r] * width};
    }
    case Collective::kAllToAllV:
      return {end_of(op.send_counts, op.send_displs) * width, end_of(op.recv_counts, op.recv_displs) * width, ~0ULL, 0};
    case Collective::kBarrier:
    case Collective::kSendRecv: break;
  }
  return {};
}

// No message of more than 2^47 bytes fits an address space; below it sums and products cannot overflow.
constexpr std::uint64_t kBytesMax = 1ULL << 47;

bool too_large(std::span<const std::uint64_t> counts) {
  return std::ranges::any_of(counts, [](std::uint64_t c) { return c > kBytesMax / 8; });
}

// Of a send or receive. The count is checked before the product, which could wrap.
Result<std::uint64_t> message_bytes(std::uint64_t count, DType dtype) {
  if (static_cast<int>(dtype) >= kDTypeCount) return fail(Errc::kInvalidArgument, "sendrecv: unknown element type");
  if (count > kBytesMax / 8) return fail(Errc::kInvalidArgument, "sendrecv: count is too large");
  return count * dtype_size(dtype);
}

}  // namespace

Result<> CommunicatorImpl::check(const OpDesc& op) const {
  const auto refuse = [&](std::string why) {
    return fail(Errc::kInvalidArgument, fmt::format("{}: {}", collective_name(op.kind), why));
  };
  const bool rooted = op.kind == Collective::kReduce || op.kind == Collective::kBroadcast ||
                      op.kind == Collective::kGather || op.kind == Collective::kScatter;
  if (static_cast<int>(op.dtype) >= kDTypeCount || static_cast<int>(op.op) >= kReduceOpCount)
    return refuse("unknown element type or reduction");
  if (rooted && (op.root < 0 || op.root >= size_))
    return refuse(fmt::format("root {} is not a rank of {}", op.root, size_));
  if (op.count > kBytesMax / 8 / static_cast<std::uint64_t>(size_)) return refuse("count is too large");
  const auto n = static_cast<std::size_t>(size_);
  const auto need = [&](std::span<const std::uint64_t> list) { return list.size() == n && !too_large(list); };
  if (op.kind == Collective::kReduceScatterV && !need(op.recv_counts))
    return refuse("recv_counts needs one sane entry per rank");
  if (op.kind == Collective::kAllGatherV && !(need(op.recv_counts) && need(op.recv_displs)))
    return refuse("recv_counts and recv_displs need one sane entry per rank");
  if (op.kind == Collective::kAllToAllV &&
      !(need(op.send_counts) && need(op.send_displs) && need(op.recv_counts) && need(op.recv_displs)))
    return refuse("counts and displacements need one sane entry per rank");

  const Extent e = extent_of(op, rank_, size_);
  if (e.send > 0 && op.send == nullptr) return refuse("send is null");
  if (e.recv > 0 && op.recv == nullptr) return refuse("recv is null");
  const auto* send = static_cast<const std::byte*>(op.send);
  const auto* recv = static_cast<const std::byte*>(op.recv);
  // As numbers: one of the two may be null where this rank does not use it.
  const auto address = [](const std::byte* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); };
  const bool in_place = e.in_place_offset_send != ~0ULL &&
                        address(send) + e.in_place_offset_send == address(recv) + e.in_place_offset_recv;
  if (!in_place && overlap({send, e.send}, {recv, e.recv}))
    return refuse("send and recv overlap without being in place (see op.hpp for the in-place forms)");
  return {};
}

std::chrono::nanoseconds CommunicatorImpl::timeout_of(const CallOptions& options) const {
  return options.timeout > std::chrono::nanoseconds(0) ? options.timeout : config_.timeout;
}

CommunicatorImpl::Call CommunicatorImpl::own(const OpDesc& op, std::chrono::nanoseconds timeout) {
  Call call;
  call.op = op;
  call.timeout = timeout;
  std::span<const std::uint64_t>* spans[4] = {&call.op.send_counts, &call.op.send_displs, &call.op.recv_counts,
                                              &call.op.recv_displs};
  // Moving the Call moves the vectors' storage with it, so the spans stay valid.
  for (std::size_t i = 0; i < 4; ++i) {
    call.counts[i].assign(spans[i]->begin(), spans[i]->end());
    *spans[i] = call.counts[i];
  }
  return call;
}

Result<> CommunicatorImpl::submit(const OpDesc& op, Request* request, const CallOptions& options) {
  FF_TRY(check(op));
  const auto timeout = timeout_of(options);
  if (request == nullptr && current_group() == nullptr)
    if (const CallQueue::Claim claim(queue_); claim) return execute(op, timeout);
  return submit_call(own(op, timeout), request);
}

Result<> CommunicatorImpl::submit_p2p(const P2pOp& p2p, Request* request, const CallOptions& options) {
  FF_TRY(check_peer(p2p.peer, p2p.is_send ? p2p.send : p2p.recv, p2p.bytes));
  Call call;
  call.p2p = p2p;
  call.is_p2p = true;
  call.timeout = timeout_of(options);
  return submit_call(std::move(call), request);
}

Result<> CommunicatorImpl::submit_call(Call call, Request* request) {
  if (Group* group = current_group()) return collect(*group, std::move(call), request);
  FF_TRY(check_self_sends(std::span(&call, 1)));
  std::vector<Call> calls;
  calls.push_back(std::move(call));
  if (request == nullptr)
    if (const CallQueue::Claim claim(queue_); claim) return execute_batch(calls);
  const auto state = std::make_shared<Request::State>();
  FF_TRY(enqueue(std::move(calls), {state}));
  Request queued(state);
  if (request == nullptr) return queued.wait();
  *request = std::move(queued);
  return {};
}

Result<> CommunicatorImpl::collect(Group& group, Call call, Request* request) {
  if (request == nullptr) {
    group.blocking = true;
  } else {
    const auto state = std::make_shared<Request::State>();
    state->collected = true;
    group.states.push_back(state);
    *request = Request(state);
  }
  group.calls.push_back(std::move(call));
  return {};
}

Result<> CommunicatorImpl::enqueue(std::vector<Call> calls, const CallQueue::States& states) {
  return run_stage("queue a call", [&]() -> Result<> {
    queue_.push([this, c = std::move(calls)]() mutable { return execute_batch(c); }, states);
    return {};
  });
}

// The k-th send to oneself meets the k-th receive; found here, a mistake is nobody else's trouble.
Result<> CommunicatorImpl::check_self_sends(std::span<const Call> calls) const {
  std::vector<std::uint64_t> sends, receives;
  for (const Call& call : calls)
    if (call.is_p2p && call.p2p.peer == rank_) (call.p2p.is_send ? sends : receives).push_back(call.p2p.bytes);
  if (sends.size() != receives.size())
    return fail(Errc::kInvalidArgument,
                fmt::format("sendrecv: {} sends to oneself and {} receives from oneself (pair them in one group)",
                            sends.size(), receives.size()));
  for (std::size_t i = 0; i < sends.size(); ++i)
    if (sends[i] != receives[i])
      return fail(Errc::kInvalidArgument,
                  fmt::format("sendrecv: {} bytes sent to oneself where {} are expected", sends[i], receives[i]));
  return {};
}

Result<> CommunicatorImpl::check_peer(int peer, const void* data, std::uint64_t bytes) const {
  if (peer < 0 || peer >= size_)
    return fail(Errc::kInvalidArgument, fmt::format("sendrecv: peer {} is not a rank of {}", peer, size_));
  if (bytes > 0 && data == nullptr) return fail(Errc::kInvalidArgument, "sendrecv: the buffer is null");
  return {};
}

// --- groups: per thread, because another thread's calls have nothing to do with this thread's group ---

namespace {
// Keyed by the communicator's number; entries live between group_start and the matching group_end. One that a destroyed
// communicator leaves open stays, but its number never comes again.
thread_local std::unordered_map<std::uint64_t, std::shared_ptr<void>> groups_of_thread;
}  // namespace

CommunicatorImpl::Group* CommunicatorImpl::current_group() {
  if (groups_of_thread.empty()) return nullptr;
  const auto it = groups_of_thread.find(number_);
  return it == groups_of_thread.end() ? nullptr : static_cast<Group*>(it->second.get());
}

void CommunicatorImpl::group_start() {
  auto& slot = groups_of_thread[number_];
  if (!slot) slot = std::make_shared<Group>();
  ++static_cast<Group*>(slot.get())->depth;
}

Result<> CommunicatorImpl::group_end() {
  Group* group = current_group();
  if (group == nullptr) return fail(Errc::kInvalidArgument, "group_end without group_start on this thread");
  if (--group->depth > 0) return {};
  Group closed = std::move(*group);
  groups_of_thread.erase(number_);
  if (closed.calls.empty()) return {};
  const auto whole = std::make_shared<Request::State>();
  closed.states.push_back(whole);
  Result<> started = check_self_sends(closed.calls);
  if (started) started = enqueue(std::move(closed.calls), closed.states);
  if (!started) {
    for (const auto& state : closed.states) state->finish(started, 0, 0);
    return started;
  }
  return closed.blocking ? Request(whole).wait() : Result<>();
}

// --- the calls ---

Result<> CommunicatorImpl::all_reduce(const void* send, void* recv, std::uint64_t count, DType dtype, ReduceOp op,
                                      Request* request, const CallOptions& options) {
  return submit({.kind = Collective::kAllReduce, .dtype = dtype, .op = op, .send = send, .recv = recv, .count = count},
                request, options);
}
Result<> CommunicatorImpl::reduce(const void* send, void* recv, std::uint64_t count, DType dtype, ReduceOp op, int root,
                                  Request* request, const CallOptions& options) {
  return submit(
      {.kind = Collective::kReduce, .dtype = dtype, .op = op, .root = root, .send = send, .recv = recv, .count = count},
      request, options);
}
Result<> CommunicatorImpl::broadcast(const void* send, void* recv, std::uint64_t count, DType dtype, int root,
                                     Request* request, const CallOptions& options) {
  return submit(
      {.kind = Collective::kBroadcast, .dtype = dtype, .root = root, .send = send, .recv = recv, .count = count},
      request, options);
}
Result<> CommunicatorImpl::reduce_scatter(const void* send, void* recv, std::uint64_t recv_count, DType dtype,
                                          ReduceOp op, Request* request, const CallOptions& options) {
  return submit(
      {.kind = Collective::kReduceScatter, .dtype = dtype, .op = op, .send = send, .recv = recv, .count = recv_count},
      request, options);
}
Result<> CommunicatorImpl::all_gather(const void* send, void* recv, std::uint64_t send_count, DType dtype,
                                      Request* request, const CallOptions& options) {
  return submit({.kind = Collective::kAllGather, .dtype = dtype, .send = send, .recv = recv, .count = send_count},
                request, options);
}
Result<> CommunicatorImpl::all_to_all(const void* send, void* recv, std::uint64_t count_per_peer, DType dtype,
                                      Request* request, const CallOptions& options) {
  return submit({.kind = Collective::kAllToAll, .dtype = dtype, .send = send, .recv = recv, .count = count_per_peer},
                request, options);
}
Result<> CommunicatorImpl::gather(const void* send, void* recv, std::uint64_t send_count, DType dtype, int root,
                                  Request* request, const CallOptions& options) {
  return submit(
      {.kind = Collective::kGather, .dtype = dtype, .root = root, .send = send, .recv = recv, .count = send_count},
      request, options);
}
Result<> CommunicatorImpl::scatter(const void* send, void* recv, std::uint64_t recv_count, DType dtype, int root,
                                   Request* request, const CallOptions& options) {
  return submit(
      {.kind = Collective::kScatter, .dtype = dtype, .root = root, .send = send, .recv = recv, .count = recv_count},
      request, options);
}
Result<> CommunicatorImpl::reduce_scatter_v(const void* send, void* recv, std::span<const std::uint64_t> recv_counts,
                                            DType dtype, ReduceOp op, Request* request, const CallOptions& options) {
  return submit({.kind = Collective::kReduceScatterV,
                 .dtype = dtype,
                 .op = op,
                 .send = send,
                 .recv = recv,
                 .recv_counts = recv_counts},
                request, options);
}
Result<> CommunicatorImpl::all_gather_v(const void* send, void* recv, std::span<const std::uint64_t> recv_counts,
                                        std::span<const std::uint64_t> recv_displs, DType dtype, Request* request,
                                        const CallOptions& options) {
  return submit({.kind = Collective::kAllGatherV,
                 .dtype = dtype,
                 .send = send,
                 .recv = recv,
                 .recv_counts = recv_counts,
                 .recv_displs = recv_displs},
                request, options);
}
Result<> CommunicatorImpl::all_to_all_v(const void* send, std::span<const std::uint64_t> send_counts,
                                        std::span<const std::uint64_t> send_displs, void* recv,
                                        std::span<const std::uint64_t> recv_counts,
                                        std::span<const std::uint64_t> recv_displs, DType dtype, Request* request,
                                        const CallOptions& options) {
  return submit({.kind = Collective::kAllToAllV,
                 .dtype = dtype,
                 .send = send,
                 .recv = recv,
                 .send_counts = send_counts,
                 .send_displs = send_displs,
                 .recv_counts = recv_counts,
                 .recv_displs = recv_displs},
                request, options);
}
Result<> CommunicatorImpl::send(const void* data, std::uint64_t count, DType dtype, int peer, Request* request,
                                const CallOptions& options) {
  FF_TRY_ASSIGN(const std::uint64_t bytes, message_bytes(count, dtype));
  return submit_p2p({.is_send = true, .peer = peer, .send = data, .bytes = bytes}, request, options);
}
Result<> CommunicatorImpl::recv(void* data, std::uint64_t count, DType dtype, int peer, Request* request,
                                const CallOptions& options) {
  FF_TRY_ASSIGN(const std::uint64_t bytes, message_bytes(count, dtype));
  return submit_p2p({.is_send = false, .peer = peer, .recv = data, .bytes = bytes}, request, options);
}
Result<> CommunicatorImpl::barrier(const CallOptions& options) {
  return submit({.kind = Collective::kBarrier}, nullptr, options);
}

// --- memory ---

Result<void*> CommunicatorImpl::alloc(std::uint64_t bytes) {
  if (bytes == 0 || bytes > kBytesMax) return fail(Errc::kInvalidArgument, "alloc: the size must be 1 byte to 128 TiB");
  if (shm_) return shm_->alloc(bytes);
  const std::uint64_t rounded = (bytes + 63) / 64 * 64;
  void* pointer = std::aligned_alloc(64, rounded);
  if (pointer == nullptr) return fail(Errc::kExhausted, fmt::format("alloc: no memory for {} bytes", bytes));
  std::fill_n(static_cast<std::byte*>(pointer), rounded, std::byte{0});
  const std::lock_guard lock(mutex_);
  ordinary_[pointer] = bytes;
  return pointer;
}

Result<> CommunicatorImpl::free(void* pointer) {
  if (shm_) return shm_->free(pointer);
  const std::lock_guard lock(mutex_);
  if (ordinary_.erase(pointer) == 0) return fail(Errc::kInvalidArgument, "free: not a pointer from alloc");
  std::free(pointer);
  return {};
}

}  // namespace ff::hfreduce
