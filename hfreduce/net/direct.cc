#include "hfreduce/net/direct.hpp"

#include <algorithm>
#include <cstring>

#include "hfreduce/cpu/reduce.hpp"

namespace ff::hfreduce::net {
namespace {

// The scratch should stay in the second level cache while chunks in flight overlap: at least two, at most four slots.
constexpr std::uint64_t kScratchBytes = 2 << 20;

std::uint64_t slot_count(std::uint64_t chunk_bytes, int size) {
  const std::uint64_t chunk_inputs = chunk_bytes * static_cast<std::uint64_t>(std::max(1, size - 1));
  return std::clamp<std::uint64_t>(kScratchBytes / std::max<std::uint64_t>(1, chunk_inputs), 2, 4);
}

}  // namespace

void Direct::plan(const Job& job, std::vector<LinkId>& needs) {
  job_ = job;
  peers_.assign(static_cast<std::size_t>(job.size), {});
  for (auto* list : {&inputs_, &moves_, &owned_, &results_, &copies_}) list->clear();
  next_input_ = next_owned_ = next_copy_ = 0;
  std::uint64_t id = 0;
  for (const Segment& segment : job.segments) {
    const Chunks chunks{segment.bytes, job.chunk_bytes};
    for (std::uint64_t c = 0; c < chunks.count(); ++c)
      add(segment, {.id = id++,
                    .peer = Segment::kAll,
                    .send_offset = segment.send_offset + chunks.begin(c),
                    .recv_offset = segment.recv_offset + chunks.begin(c),
                    .bytes = chunks.length(c)});
  }
  results_left_ = results_.size();
  slots_ = slot_count(job.chunk_bytes, job.size);
  slot_bytes_ = 0;
  for (const Piece& piece : owned_) slot_bytes_ = std::max(slot_bytes_, (piece.bytes + 63) / 64 * 64);
  scratch_.ensure(slots_ * slot_bytes_ * static_cast<std::uint64_t>(job.size - 1));
  arrived_.assign(slots_, 0);
  combine_in_.resize(static_cast<std::size_t>(job.size));
  prefix_.begin(job.gate, job.bytes(), job.chunk_bytes);
  // Nearest first, so that ranks do not all begin with the same peer.
  for (int d = 1; d < job.size; ++d) {
    const int peer = (job.rank + d) % job.size;
    if (peers_[static_cast<std::size_t>(peer)].linked) needs.push_back({peer, 0});
  }
}

void Direct::add(const Segment& segment, const Piece& piece) {
  if (segment.source != Segment::kAll) return add_moved(segment, piece);
  const int owner = segment.destination != Segment::kAll
                        ? segment.destination
                        : static_cast<int>(piece.id % static_cast<std::uint64_t>(job_.size));
  add_combined(segment, piece, owner);
}

void Direct::add_combined(const Segment& segment, Piece piece, int owner) {
  const bool for_all = segment.destination == Segment::kAll;
  if (owner == job_.rank) {
    piece.peer = for_all ? Segment::kAll : job_.rank;
    owned_.push_back(piece);
    for (int p = 0; p < job_.size; ++p) {
      if (p == job_.rank) continue;
      want_link(p);
      ++peers_[static_cast<std::size_t>(p)].inputs_expected;
    }
    return;
  }
  piece.peer = owner;
  want_link(owner);
  inputs_.push_back(piece);
  if (for_all) expect_result(piece, owner);
}

void Direct::add_moved(const Segment& segment, Piece piece) {
  const bool for_all = segment.destination == Segment::kAll;
  const bool for_me = for_all || segment.destination == job_.rank;
  if (segment.source != job_.rank) {
    if (for_me) expect_result(piece, segment.source);
    return;
  }
  // Only who receives has a recv buffer.
  const bool in_place = for_me && job_.whole_send + piece.send_offset == job_.whole_recv + piece.recv_offset;
  if (for_me && !in_place) copies_.push_back(piece);
  if (!for_all && for_me) return;
  piece.peer = segment.destination;
  moves_.push_back(piece);
  for (int p = 0; p < job_.size; ++p)
    if (p != job_.rank && (for_all || p == segment.destination)) want_link(p);
}

void Direct::expect_result(Piece piece, int from) {
  piece.peer = from;
  want_link(from);
  Peer& peer = peers_[static_cast<std::size_t>(from)];
  ++peer.results_expected;
  if (peer.last_result != kNone) results_[peer.last_result].next = results_.size();
  if (peer.first_result == kNone) peer.first_result = results_.size();
  peer.last_result = results_.size();
  results_.push_back(piece);
}

void Direct::start(const LinkTable& links) {
  links_ = &links;
  for (int p = 0; p < job_.size; ++p) {
    const Peer& peer = peers_[static_cast<std::size_t>(p)];
    if (peer.linked) links.at(p, 0).expect(peer.inputs_expected + peer.results_expected);
  }
  for (const Piece& piece : moves_) {
    const std::byte* data = job_.whole_send + piece.send_offset;
    if (piece.peer != Segment::kAll) {
      send_to(piece.peer, FrameKind::kResult, piece, data, false);
      continue;
    }
    for (int d = 1; d < job_.size; ++d) send_to((job_.rank + d) % job_.size, FrameKind::kResult, piece, data, false);
  }
}

void Direct::send_to(int peer, FrameKind kind, const Piece& piece, const std::byte* data, bool urgent) {
  links_->at(peer, 0).queue(frame(kind, piece.id, piece.bytes), data, urgent);
}

std::byte* Direct::slot_of(std::uint64_t position, int peer) noexcept {
  const auto input = static_cast<std::uint64_t>(peer < job_.rank ? peer : peer - 1);
  return scratch_.data() + ((position % slots_) * static_cast<std::uint64_t>(job_.size - 1) + input) * slot_bytes_;
}

Landing Direct::place(Link& link, const FrameHeader& header) {
  Peer& peer = peers_[static_cast<std::size_t>(link.peer())];
  if (header.kind == FrameKind::kInput && peer.inputs_got < owned_.size()) {
    const Piece& piece = owned_[peer.inputs_got];
    if (header.index != static_cast<std::uint32_t>(piece.id) || header.length != piece.bytes) return Landing::wrong();
    if (peer.inputs_got >= next_owned_ + slots_) return Landing::later();
    return Landing::take(slot_of(peer.inputs_got, link.peer()));
  }
  if (header.kind == FrameKind::kResult && peer.first_result != kNone) {
    const Piece& piece = results_[peer.first_result];
    if (header.index != static_cast<std::uint32_t>(piece.id) || header.length != piece.bytes) return Landing::wrong();
    return Landing::take(job_.whole_recv + piece.recv_offset);
  }
  return Landing::wrong();
}

void Direct::received(Link& link, const FrameHeader& header) {
  Peer& peer = peers_[static_cast<std::size_t>(link.peer())];
  if (header.kind == FrameKind::kInput) {
    ++arrived_[peer.inputs_got++ % slots_];
    while (combine_next()) continue;
    return;
  }
  prefix_.mark(results_[peer.first_result].id);
  peer.first_result = results_[peer.first_result].next;
  --results_left_;
}

bool Direct::send_ready_inputs() {
  bool moved = false;
  for (; next_input_ < inputs_.size(); ++next_input_, moved = true) {
    const Piece& piece = inputs_[next_input_];
    if (!job_.ready(piece.send_offset + piece.bytes)) break;
    send_to(piece.peer, FrameKind::kInput, piece, job_.whole_send + piece.send_offset, false);
  }
  return moved;
}

bool Direct::combine_next() {
  if (next_owned_ == owned_.size()) return false;
  const Piece& piece = owned_[next_owned_];
  if (arrived_[next_owned_ % slots_] != job_.size - 1 || !job_.ready(piece.send_offset + piece.bytes)) return false;
  void* out = job_.whole_recv + piece.recv_offset;
  {
    const TraceSpan span(job_.trace, "combine", Lane::kCompute, static_cast<std::int64_t>(piece.bytes),
                         static_cast<std::int64_t>(piece.id));
    for (int p = 0; p < job_.size; ++p)
      combine_in_[static_cast<std::size_t>(p)] =
          p == job_.rank ? job_.whole_send + piece.send_offset : slot_of(next_owned_, p);
    cpu::reduce(
        {.dtype = job_.dtype, .op = job_.op, .count = piece.bytes / dtype_size(job_.dtype), .divisor = job_.divisor},
        combine_in_, {&out, 1});
  }
  arrived_[next_owned_ % slots_] = 0;
  ++next_owned_;
  if (piece.peer == Segment::kAll)
    for (int d = 1; d < job_.size; ++d)
      send_to((job_.rank + d) % job_.size, FrameKind::kResult, piece, static_cast<const std::byte*>(out), true);
  prefix_.mark(piece.id);
  return true;
}

bool Direct::copy_next() {
  if (next_copy_ == copies_.size()) return false;
  const Piece& piece = copies_[next_copy_++];
  std::memcpy(job_.whole_recv + piece.recv_offset, job_.whole_send + piece.send_offset, piece.bytes);
  return true;
}

bool Direct::pump() {
  bool moved = send_ready_inputs();
  // One chunk a turn: the sockets stay busy in between.
  moved = copy_next() || moved;
  return combine_next() || moved;
}

bool Direct::done() const {
  return next_input_ == inputs_.size() && next_owned_ == owned_.size() && next_copy_ == copies_.size() &&
         results_left_ == 0;
}

bool Direct::waits_for_input() const {
  if (job_.gate.input_ready == nullptr) return false;
  const auto waits = [this](const Piece& piece) { return !job_.ready(piece.send_offset + piece.bytes); };
  return (next_input_ < inputs_.size() && waits(inputs_[next_input_])) ||
         (next_owned_ < owned_.size() && waits(owned_[next_owned_]));
}

}  // namespace ff::hfreduce::net
