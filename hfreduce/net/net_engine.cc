#include "hfreduce/net/net_engine.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "hfreduce/net/channel.hpp"
#include "hfreduce/net/choose.hpp"
#include "hfreduce/net/direct.hpp"
#include "hfreduce/net/messages.hpp"
#include "hfreduce/net/ring.hpp"
#include "hfreduce/net/small.hpp"
#include "hfreduce/net/tree_algorithm.hpp"
#include "hfreduce/net/workers.hpp"
#include "libcommon/base/assert.hpp"

namespace ff::hfreduce {
namespace net {
namespace {

constexpr int kChannelsMax = 64;

Result<> check(const NetOptions& o) {
  const auto size = static_cast<std::size_t>(std::max(0, o.size));
  if (o.size < 1 || o.rank < 0 || o.rank >= o.size)
    return fail(Errc::kInvalidArgument, fmt::format("network engine: rank {} of {}", o.rank, o.size));
  if (o.global_ranks.size() != size || o.endpoints.size() != size || o.same_machine.size() != size)
    return fail(Errc::kInvalidArgument,
                fmt::format("network engine: {} global ranks, {} endpoints and {} machines for {} ranks",
                            o.global_ranks.size(), o.endpoints.size(), o.same_machine.size(), o.size));
  if (o.channels < 1 || o.channels > kChannelsMax)
    return fail(Errc::kInvalidArgument, fmt::format("network engine: {} channels (1 to {})", o.channels, kChannelsMax));
  if (o.chunk_bytes > kChunkBytesMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("network engine: chunks of {} bytes (at most {})", o.chunk_bytes, kChunkBytesMax));
  if (o.token.size() > kTokenBytesMax)
    return fail(Errc::kInvalidArgument, fmt::format("network engine: token longer than {} characters", kTokenBytesMax));
  if (o.failure == nullptr) return fail(Errc::kInvalidArgument, "network engine: no failure source");
  return {};
}

// What one channel needs for its part of a call; the algorithms keep their memory.
struct Track {
  Track(const NetOptions& options, TcpListener& listener, int number) : channel(options, listener, number) {}

  Algorithm& algorithm(NetAlgorithm which) noexcept {
    switch (which) {
      case NetAlgorithm::kFlat: return flat;
      case NetAlgorithm::kRecursiveDoubling: return binomial;
      case NetAlgorithm::kTree: return tree;
      case NetAlgorithm::kRing: return ring;
      case NetAlgorithm::kAuto:
      case NetAlgorithm::kDirect: break;
    }
    return direct;
  }

  Channel channel;
  Flat flat;
  Binomial binomial;
  Direct direct;
  Tree tree;
  Ring ring;
  std::vector<Segment> segments;
  Result<> result;
};

struct Part {
  std::uint64_t begin = 0, bytes = 0;
};

// The i-th of `parts` nearly equal pieces, cut at multiples of 64 bytes (so at elements).
Part part_of(std::uint64_t bytes, int parts, int i) noexcept {
  const auto n = static_cast<std::uint64_t>(parts);
  const std::uint64_t each = ((bytes + n - 1) / n + 63) / 64 * 64;
  const std::uint64_t begin = std::min(bytes, each * static_cast<std::uint64_t>(i));
  return {begin, std::min(each, bytes - begin)};
}

class Engine final : public NetEngine {
 public:
  Engine(const NetOptions& options, TcpListener& listener) : options_(options), workers_(options.channels - 1) {
    for (int i = 0; i < options_.channels; ++i) tracks_.push_back(std::make_unique<Track>(options_, listener, i));
  }

  Result<> run(const OpDesc& op, Progress& progress, const Gate& gate) override {
    FF_ASSERT(op.kind != Collective::kSendRecv, collective_name(op.kind));
    FF_TRY(usable());
    progress.phase.store(Phase::kNetwork, std::memory_order_relaxed);
    if (op.kind == Collective::kBarrier)
      return keep(tracks_[0]->channel.drive(barrier_, job_of(op, gate), op.deadline, &progress));
    if (op.kind == Collective::kAllToAllV) return keep(exchange(op, progress));
    return keep(collective(op, progress, gate));
  }

  Result<> run_p2p(std::span<const P2pOp> ops, std::uint64_t seq, Deadline deadline, Progress& progress) override {
    FF_TRY(usable());
    progress.phase.store(Phase::kNetwork, std::memory_order_relaxed);
    for (const P2pOp& op : ops)
      if (op.peer < 0 || op.peer >= options_.size)
        return fail(Errc::kInvalidArgument, fmt::format("send/recv: peer {} of {} ranks", op.peer, options_.size));
    FF_TRY(pass_to_self(ops));
    Job job = job_of({.kind = Collective::kSendRecv, .seq = seq}, {});
    messages_.set(to_others_, FrameKind::kMessage);
    return keep(tracks_[0]->channel.drive(messages_, job, deadline, &progress));
  }

  NetAlgorithm algorithm_for(Collective kind, DType, std::uint64_t bytes) const noexcept override {
    return choose_algorithm(options_, kind, bytes);
  }
  std::uint64_t chunk_for(NetAlgorithm algorithm, std::uint64_t bytes) const noexcept override {
    return choose_chunk(options_, algorithm, Collective::kAllReduce, bytes);
  }
  Traffic traffic() const noexcept override {
    Traffic sum;
    for (const auto& track : tracks_) {
      const Traffic t = track->channel.traffic();
      sum.sent += t.sent;
      sum.received += t.received;
    }
    return sum;
  }

 private:
  // After an error the links are in the middle of frames: nothing more may run over them.
  Result<> usable() const {
    if (error_) return fail(*error_);
    if (options_.failure->failed()) return fail(options_.failure->verdict());
    return {};
  }
  Result<> keep(Result<> result) {
    if (!result && !error_) error_ = result.error();
    return result;
  }

  Job job_of(const OpDesc& op, const Gate& gate) const {
    const auto* send = static_cast<const std::byte*>(op.send);
    auto* recv = static_cast<std::byte*>(op.recv);
    return {.kind = op.kind,
            .dtype = op.dtype,
            .op = op.op,
            .root = op.root,
            .divisor = op.divisor != 0 ? op.divisor : static_cast<std::uint64_t>(options_.size),
            .send = send,
            .recv = recv,
            .count = op.count,
            .whole_send = send,
            .whole_recv = recv,
            .seq = op.seq,
            .signature = op.signature,
            .rank = options_.rank,
            .size = options_.size,
            .gate = gate,
            .trace = options_.trace};
  }

  Result<> collective(const OpDesc& op, Progress& progress, const Gate& gate) {
    const std::vector<Segment> segments = segments_of(op, options_.size);
    std::uint64_t largest = 0;
    for (const Segment& s : segments) largest = std::max(largest, s.bytes);
    if (largest == 0) return {};
    const bool gated = gate.input_ready != nullptr || gate.output_done != nullptr;
    const NetAlgorithm which = choose_algorithm(options_, op.kind, largest);
    const int parts = choose_channels(options_, which, largest, gated);
    const std::uint64_t chunk = choose_chunk(options_, which, op.kind, part_of(largest, parts, 0).bytes);
    workers_.run(parts, [&](int i) {
      Track& track = *tracks_[static_cast<std::size_t>(i)];
      track.result = track.channel.drive(track.algorithm(which), part_job(op, gate, segments, chunk, parts, i),
                                         op.deadline, i == 0 ? &progress : nullptr);
    });
    for (int i = 0; i < parts; ++i)
      if (auto& result = tracks_[static_cast<std::size_t>(i)]->result; !result) return result;
    return {};
  }

  Job part_job(const OpDesc& op, const Gate& gate, const std::vector<Segment>& segments, std::uint64_t chunk, int parts,
               int i) {
    Job job = job_of(op, gate);
    job.chunk_bytes = chunk;
    auto& mine = tracks_[static_cast<std::size_t>(i)]->segments;
    mine.clear();
    for (Segment segment : segments) {
      const Part part = part_of(segment.bytes, parts, i);
      segment.send_offset += part.begin;
      segment.recv_offset += part.begin;
      segment.bytes = part.bytes;
      mine.push_back(segment);
    }
    job.segments = mine;
    if (segments.size() != 1) return job;
    // One message: the other algorithms see the part as a message of its own.
    const Part part = part_of(segments[0].bytes, parts, i);
    job.count = part.bytes / dtype_size(op.dtype);
    if (job.send != nullptr) job.send += part.begin;
    if (job.recv != nullptr) job.recv += part.begin;
    return job;
  }

  Result<> exchange(const OpDesc& op, Progress& progress) {
    const std::uint64_t width = dtype_size(op.dtype);
    const auto* send = static_cast<const std::byte*>(op.send);
    auto* recv = static_cast<std::byte*>(op.recv);
    to_others_.clear();
    for (int d = 1; d < options_.size; ++d) {
      const int to = (options_.rank + d) % options_.size, from = (options_.rank + options_.size - d) % options_.size;
      const auto t = static_cast<std::size_t>(to), f = static_cast<std::size_t>(from);
      to_others_.push_back(
          {.is_send = true, .peer = to, .send = send + op.send_displs[t] * width, .bytes = op.send_counts[t] * width});
      to_others_.push_back({.is_send = false,
                            .peer = from,
                            .recv = recv + op.recv_displs[f] * width,
                            .bytes = op.recv_counts[f] * width});
    }
    const auto me = static_cast<std::size_t>(options_.rank);
    if (op.send_counts[me] != op.recv_counts[me])
      return fail(
          options_.failure->report({Trouble::Kind::kMismatch, options_.global_ranks[me],
                                    fmt::format("all_to_all_v: rank {} sends {} elements to itself and expects {}",
                                                options_.global_ranks[me], op.send_counts[me], op.recv_counts[me])}));
    if (op.send_counts[me] > 0)
      std::memmove(recv + op.recv_displs[me] * width, send + op.send_displs[me] * width, op.send_counts[me] * width);
    messages_.set(to_others_, FrameKind::kExchange);
    return tracks_[0]->channel.drive(messages_, job_of(op, {}), op.deadline, &progress);
  }

  // The k-th send to oneself meets the k-th receive; the rest of the list goes to to_others_.
  Result<> pass_to_self(std::span<const P2pOp> ops) {
    to_others_.clear();
    self_sends_.clear();
    self_receives_.clear();
    for (const P2pOp& op : ops)
      (op.peer != options_.rank ? to_others_ : op.is_send ? self_sends_ : self_receives_).push_back(op);
    if (self_sends_.size() != self_receives_.size())
      return fail(Errc::kInvalidArgument,
                  fmt::format("send/recv: {} sends to oneself and {} receives from oneself in one group",
                              self_sends_.size(), self_receives_.size()));
    for (std::size_t i = 0; i < self_sends_.size(); ++i) {
      if (self_sends_[i].bytes != self_receives_[i].bytes)
        return fail(Errc::kInvalidArgument, fmt::format("send/recv: {} bytes sent to oneself where {} are expected",
                                                        self_sends_[i].bytes, self_receives_[i].bytes));
      if (self_sends_[i].bytes > 0) std::memmove(self_receives_[i].recv, self_sends_[i].send, self_sends_[i].bytes);
    }
    return {};
  }

  const NetOptions options_;
  std::vector<std::unique_ptr<Track>> tracks_;
  Messages messages_;
  Dissemination barrier_;
  std::vector<P2pOp> to_others_, self_sends_, self_receives_;
  std::optional<Error> error_;
  Workers workers_;
};

}  // namespace
}  // namespace net

std::string_view net_algorithm_name(NetAlgorithm algorithm) noexcept {
  switch (algorithm) {
    case NetAlgorithm::kAuto: return "auto";
    case NetAlgorithm::kFlat: return "flat";
    case NetAlgorithm::kRecursiveDoubling: return "rd";
    case NetAlgorithm::kDirect: return "direct";
    case NetAlgorithm::kTree: return "tree";
    case NetAlgorithm::kRing: return "ring";
  }
  return "unknown";
}

Result<NetAlgorithm> parse_net_algorithm(std::string_view text) {
  for (const auto algorithm : {NetAlgorithm::kAuto, NetAlgorithm::kFlat, NetAlgorithm::kRecursiveDoubling,
                               NetAlgorithm::kDirect, NetAlgorithm::kTree, NetAlgorithm::kRing})
    if (text == net_algorithm_name(algorithm)) return algorithm;
  return fail(Errc::kInvalidArgument,
              fmt::format("network algorithm '{}': unknown (auto, flat, rd, direct, tree or ring)", text));
}

Result<std::unique_ptr<NetEngine>> NetEngine::create(const NetOptions& options, NetListener& listener) {
  FF_TRY(net::check(options));
  auto* tcp = dynamic_cast<net::TcpListener*>(&listener);
  if (tcp == nullptr)
    return fail(Errc::kInvalidArgument, "network engine: the listener is not NetListener::create()'s");
  return std::unique_ptr<NetEngine>(std::make_unique<net::Engine>(options, *tcp));
}

}  // namespace ff::hfreduce
