// The one implementation of Communicator: joins the control plane, owns the engines, orders the calls and gives each to
// the engine (or the hierarchy of engines) that serves it. Internal.
//
//   ranks on one host only            shm_ serves everything
//   one rank on each host             net_ serves everything
//   several hosts with several ranks  all_reduce, broadcast, barrier: inside hosts by shm_, between the hosts' leaders
//   by
//                                     leaders_ (hierarchy.cc), overlapped; the rest: net_, rank to rank
#pragma once

#include <array>
#include <atomic>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "hfreduce/call_queue.hpp"
#include "hfreduce/communicator.hpp"
#include "hfreduce/control/coordinator.hpp"
#include "hfreduce/control/member.hpp"
#include "hfreduce/host_groups.hpp"

namespace ff::hfreduce {

class CommunicatorImpl final : public Communicator {
 public:
  CommunicatorImpl(int rank, int size, Config config);
  ~CommunicatorImpl() override;

  // Joins and builds the engines. REQUIRES: called once, first.
  // `listener`, if it holds one, is the rendezvous' socket; closed where it is not needed.
  Result<> join(const UniqueId& id, UniqueFd listener);

  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return size_; }
  const std::vector<RankInfo>& ranks() const noexcept override { return ranks_; }
  const Config& config() const noexcept override { return config_; }

  Result<> all_reduce(const void* send, void* recv, std::uint64_t count, DType dtype, ReduceOp op, Request* request,
                      const CallOptions& options) override;
  Result<> reduce(const void* send, void* recv, std::uint64_t count, DType dtype, ReduceOp op, int root,
                  Request* request, const CallOptions& options) override;
  Result<> broadcast(const void* send, void* recv, std::uint64_t count, DType dtype, int root, Request* request,
                     const CallOptions& options) override;
  Result<> reduce_scatter(const void* send, void* recv, std::uint64_t recv_count, DType dtype, ReduceOp op,
                          Request* request, const CallOptions& options) override;
  Result<> all_gather(const void* send, void* recv, std::uint64_t send_count, DType dtype, Request* request,
                      const CallOptions& options) override;
  Result<> all_to_all(const void* send, void* recv, std::uint64_t count_per_peer, DType dtype, Request* request,
                      const CallOptions& options) override;
  Result<> gather(const void* send, void* recv, std::uint64_t send_count, DType dtype, int root, Request* request,
                  const CallOptions& options) override;
  Result<> scatter(const void* send, void* recv, std::uint64_t recv_count, DType dtype, int root, Request* request,
                   const CallOptions& options) override;
  Result<> reduce_scatter_v(const void* send, void* recv, std::span<const std::uint64_t> recv_counts, DType dtype,
                            ReduceOp op, Request* request, const CallOptions& options) override;
  Result<> all_gather_v(const void* send, void* recv, std::span<const std::uint64_t> recv_counts,
                        std::span<const std::uint64_t> recv_displs, DType dtype, Request* request,
                        const CallOptions& options) override;
  Result<> all_to_all_v(const void* send, std::span<const std::uint64_t> send_counts,
                        std::span<const std::uint64_t> send_displs, void* recv,
                        std::span<const std::uint64_t> recv_counts, std::span<const std::uint64_t> recv_displs,
                        DType dtype, Request* request, const CallOptions& options) override;
  Result<> send(const void* data, std::uint64_t count, DType dtype, int peer, Request* request,
                const CallOptions& options) override;
  Result<> recv(void* data, std::uint64_t count, DType dtype, int peer, Request* request,
                const CallOptions& options) override;
  Result<> barrier(const CallOptions& options) override;
  void group_start() override;
  Result<> group_end() override;
  Result<void*> alloc(std::uint64_t bytes) override;
  Result<> free(void* pointer) override;
  void abort(const std::string& reason) override;
  bool failed() const noexcept override;
  std::optional<Error> verdict() const override;
  Result<std::unique_ptr<Communicator>> shrink(std::span<const int> exclude) override;
  std::vector<int> lost_ranks() const override;
  std::string flight_json() const override;
  Trace* trace() noexcept override { return config_.trace ? &trace_ : nullptr; }
  Plan explain(Collective kind, DType dtype, std::uint64_t count) const override;

 private:
  // A call that outlives its caller's arguments: counts are copied.
  struct Call {
    OpDesc op;
    P2pOp p2p;
    bool is_p2p = false;
    std::chrono::nanoseconds timeout{0};
    std::vector<std::uint64_t> counts[4];
  };
  struct Group {
    int depth = 0;
    std::vector<Call> calls;
    CallQueue::States states;  // of the calls with a request
    bool blocking = false;     // some call has none
  };
  enum class Shape : std::uint8_t { kAlone, kOneHost, kFlat, kHierarchical };

  // --- setup (communicator.cc) ---
  Result<> gather_table(const UniqueId& id, UniqueFd listener, const Deadline& deadline);
  NetOptions net_options(const std::vector<int>& members, std::uint32_t group_id);
  Result<> build_engines(const UniqueId& id, const Deadline& deadline);
  std::string settings_signature() const;

  // --- calls (calls.cc) ---
  Result<> check(const OpDesc& op) const;
  Result<> submit(const OpDesc& op, Request* request, const CallOptions& options);
  Result<> submit_p2p(const P2pOp& p2p, Request* request, const CallOptions& options);
  Result<> submit_call(Call call, Request* request);
  Result<> collect(Group& group, Call call, Request* request);
  Result<> enqueue(std::vector<Call> calls, const CallQueue::States& states);
  Result<> check_self_sends(std::span<const Call> calls) const;
  static Call own(const OpDesc& op, std::chrono::nanoseconds timeout);
  Group* current_group();
  std::chrono::nanoseconds timeout_of(const CallOptions& options) const;
  Result<> check_peer(int peer, const void* data, std::uint64_t bytes) const;

  // --- execution (execute.cc); one at a time, by the owner of queue_ ---
  Result<> execute(OpDesc op, std::chrono::nanoseconds timeout);
  Result<> execute_batch(std::vector<Call>& calls);
  Result<> run_batch(std::vector<Call>& calls);
  Result<> execute_p2p(std::span<const P2pOp> ops, std::chrono::nanoseconds timeout);
  Result<> execute_fused(std::span<Call> calls);
  Result<> dispatch(const OpDesc& op);
  Result<> run_alone(const OpDesc& op);
  Result<> run_shm(OpDesc op);
  Result<> run_inside(const OpDesc& op);  // this host's ranks; alone on it: a copy
  Result<> run_net(OpDesc op);
  Result<> run_leaders(OpDesc op, const Gate& gate, Progress& progress);
  Result<> hierarchical(const OpDesc& op);
  Result<> hierarchical_all_reduce(const OpDesc& op);
  Result<> overlapped_all_reduce(const OpDesc& op, ReduceOp local_op);
  std::uint64_t pieces_ahead(const OpDesc& op, std::uint64_t piece_bytes, std::uint64_t pieces) const noexcept;
  Result<> widened_all_reduce(const OpDesc& op);
  Result<> hierarchical_broadcast(const OpDesc& op);
  Result<> hierarchical_barrier(const OpDesc& op);
  // Two areas, because a fused call (kPacking) may be a widened one (kWidening). Each is made once, at its full size.
  enum class Scratch : std::uint8_t { kPacking, kWidening };
  static constexpr std::uint64_t kFuseBytesMax = 64 << 10;    // kPacking
  static constexpr std::uint64_t kWidenedBytesMax = 2 << 20;  // kWidening
  Result<std::byte*> scratch(Scratch which);
  void note_failure();

  // Runs a stage of a call. What fails on this rank only (memory, threads) would leave the others waiting in a call
  // that this rank has left, so it aborts the communicator: every rank gets the verdict, which is also the result.
  template <class Stage>
  Result<> run_stage(std::string_view what, Stage&& stage) noexcept {
    try {
      Result<> result = stage();
      if (!result) result = fail(tell_others(what, std::move(result).error()));
      return result;
    } catch (const std::bad_alloc&) {
      return fail(tell_others(what, Error(Errc::kExhausted, "out of memory")));
    } catch (const std::exception& e) {
      return fail(tell_others(what, caught(e)));
    }
  }
  static Error caught(const std::exception& e) noexcept;
  Error tell_others(std::string_view what, Error error) noexcept;

  const std::uint64_t number_;  // of this communicator in this process; never used again, as an address may be
  int rank_;
  int size_;
  Config config_;
  UniqueId id_;
  std::vector<RankInfo> ranks_;
  std::vector<control::Hello> table_;
  std::vector<std::string> allowed_cores_;  // by rank
  HostGroups groups_;
  Shape shape_ = Shape::kAlone;

  // Destroyed last to first: the queue stops before the engines go, the engines before the control plane.
  Trace trace_;
  control::FlightRecorder recorder_;
  std::unique_ptr<control::Coordinator> coordinator_;  // on rank 0
  UniqueFd reserve_listener_;                          // where this rank would coordinate a shrunk communicator
  std::unique_ptr<control::Member> member_;            // null for a communicator of one
  std::unique_ptr<NetListener> listener_;
  std::unique_ptr<ShmEngine> shm_;
  std::unique_ptr<NetEngine> net_;
  std::unique_ptr<NetEngine> leaders_;  // on the hosts' leaders
  NetOptions leaders_options_;          // on every rank: the leaders' choices follow from them
  std::uint64_t seq_ = 0, shm_seq_ = 0, net_seq_ = 0, leaders_seq_ = 0;

  std::array<std::byte*, 2> scratch_{};  // by Scratch; from alloc()

  mutable std::mutex mutex_;                 // guards what follows
  std::map<void*, std::uint64_t> ordinary_;  // alloc() without shm_
  std::string aborted_;                      // of a communicator of one
  bool flight_written_ = false;
  std::atomic<bool> alone_aborted_{false};

  CallQueue queue_;
};

}  // namespace ff::hfreduce
