#include "hfreduce/net/tree_algorithm.hpp"

#include <cstring>

#include "hfreduce/net/partial.hpp"

namespace ff::hfreduce::net {

void Tree::plan(const Job& job, std::vector<LinkId>& needs) {
  job_ = job;
  chunks_ = {job.bytes(), job.chunk_bytes};
  trees_ = job.kind == Collective::kAllReduce ? 2 : 1;
  const int relative_to = job.kind == Collective::kAllReduce ? 0 : job.root;
  for (int t = 0; t < trees_; ++t) {
    plan_half(t, relative_to);
    const Half& half = halves_[static_cast<std::size_t>(t)];
    if (half.count == 0) continue;
    if (half.node.parent >= 0) needs.push_back({half.node.parent, t});
    for (const int child : half.node.children)
      if (child >= 0) needs.push_back({child, t});
  }
  slot_bytes_ = std::min(job.bytes(), job.chunk_bytes) / dtype_size(job.dtype) * partial_size(job.dtype);
  slot_bytes_ = (slot_bytes_ + 63) / 64 * 64;
  if (up()) scratch_.ensure(static_cast<std::uint64_t>(trees_) * 3 * kSlots * slot_bytes_);
  prefix_.begin(job.gate, job.bytes(), job.chunk_bytes);
}

void Tree::plan_half(int tree, int relative_to) {
  Half& half = halves_[static_cast<std::size_t>(tree)];
  half = {};
  const int n = job_.size;
  const auto absolute = [&](int r) { return r < 0 ? -1 : (r + relative_to) % n; };
  const TreeNode node = double_binary_tree(n, (job_.rank - relative_to + n) % n, tree);
  for (std::size_t c = 0; c < 2; ++c) {
    half.child_is_leaf[c] = node.children[c] >= 0 && double_binary_tree(n, node.children[c], tree).is_leaf();
    half.node.children[c] = absolute(node.children[c]);
  }
  half.node.parent = absolute(node.parent);
  half.node.depth = node.depth;
  half.first = static_cast<std::uint64_t>(tree);
  half.stride = static_cast<std::uint64_t>(trees_);
  half.count = (chunks_.count() + half.stride - 1 - half.first) / half.stride;
}

void Tree::start(const LinkTable& links) {
  links_ = &links;
  for (int t = 0; t < trees_; ++t) {
    const Half& half = halves_[static_cast<std::size_t>(t)];
    if (half.count == 0) continue;
    if (down() && half.node.parent >= 0) links.at(half.node.parent, t).expect(half.count);
    if (!up()) continue;
    for (const int child : half.node.children)
      if (child >= 0) links.at(child, t).expect(half.count);
  }
  if (job_.kind != Collective::kBroadcast || job_.rank != job_.root) return;
  for (std::uint64_t i = 0; i < chunks_.count(); ++i) send_down(0, i, job_.send + chunks_.begin(i));
  halves_[0].results = halves_[0].count;
  if (job_.recv != job_.send) std::memcpy(job_.recv, job_.send, job_.bytes());
}

std::uint64_t Tree::child_bytes(const Half& half, std::size_t child, std::uint64_t chunk) const noexcept {
  const std::uint64_t bytes = chunks_.length(chunk);
  return half.child_is_leaf[child] ? bytes : bytes / dtype_size(job_.dtype) * partial_size(job_.dtype);
}

std::byte* Tree::child_slot(int tree, std::size_t child, std::uint64_t position) noexcept {
  return scratch_.data() + ((static_cast<std::uint64_t>(tree) * 3 + child) * kSlots + position % kSlots) * slot_bytes_;
}

std::byte* Tree::partial_slot(int tree, std::uint64_t position) noexcept { return child_slot(tree, 2, position); }

Landing Tree::place(Link& link, const FrameHeader& header) {
  const int tree = link.lane();
  if (tree >= trees_) return Landing::wrong();
  const Half& half = halves_[static_cast<std::size_t>(tree)];
  if (link.peer() == half.node.parent) {
    if (header.kind != FrameKind::kResult || half.results >= half.count) return Landing::wrong();
    const std::uint64_t chunk = half.chunk(half.results);
    if (header.index != static_cast<std::uint32_t>(chunk) || header.length != chunks_.length(chunk))
      return Landing::wrong();
    return Landing::take(job_.recv + chunks_.begin(chunk));
  }
  const std::size_t child = link.peer() == half.node.children[0] ? 0 : 1;
  const std::uint64_t position = half.arrived[child];
  const FrameKind wanted = half.child_is_leaf[child] ? FrameKind::kInput : FrameKind::kPartial;
  if (!up() || half.node.children[child] != link.peer() || header.kind != wanted || position >= half.count)
    return Landing::wrong();
  const std::uint64_t chunk = half.chunk(position);
  if (header.index != static_cast<std::uint32_t>(chunk) || header.length != child_bytes(half, child, chunk))
    return Landing::wrong();
  if (position >= half.combined + kSlots) return Landing::later();
  return Landing::take(child_slot(tree, child, position));
}

void Tree::received(Link& link, const FrameHeader&) {
  const int tree = link.lane();
  Half& half = halves_[static_cast<std::size_t>(tree)];
  if (link.peer() == half.node.parent) {
    const std::uint64_t chunk = half.chunk(half.results++);
    send_down(tree, chunk, job_.recv + chunks_.begin(chunk));
    prefix_.mark(chunk);
    return;
  }
  ++half.arrived[link.peer() == half.node.children[0] ? 0 : 1];
  while (advance(tree)) continue;
}

void Tree::sent(Link& link, std::uint64_t cookie) {
  if (cookie == kPartialCookie) ++halves_[static_cast<std::size_t>(link.lane())].partials_sent;
}

void Tree::send_down(int tree, std::uint64_t chunk, const std::byte* data) {
  // Results overtake partials: whoever waits below is nearer to its end.
  for (const int child : halves_[static_cast<std::size_t>(tree)].node.children)
    if (child >= 0)
      links_->at(child, tree).queue(frame(FrameKind::kResult, chunk, chunks_.length(chunk)), data, true, kNoCookie);
}

bool Tree::may_combine(const Half& half) const noexcept {
  if (half.combined == half.count) return false;
  for (std::size_t c = 0; c < 2; ++c)
    if (half.node.children[c] >= 0 && half.arrived[c] <= half.combined) return false;
  // The slot of the partial sum must have left; leaves and the root use none.
  const bool uses_slot = half.node.parent >= 0 && !half.node.is_leaf();
  return !uses_slot || half.combined < half.partials_sent + kSlots;
}

bool Tree::advance(int tree) {
  const Half& half = halves_[static_cast<std::size_t>(tree)];
  if (!up() || !may_combine(half) || !input_ready(half)) return false;
  combine(tree);
  return true;
}

void Tree::combine(int tree) {
  Half& half = halves_[static_cast<std::size_t>(tree)];
  const std::uint64_t position = half.combined++;
  const std::uint64_t chunk = half.chunk(position);
  const std::byte* mine = job_.send + chunks_.begin(chunk);
  if (half.node.is_leaf()) {
    links_->at(half.node.parent, tree)
        .queue(frame(FrameKind::kInput, chunk, chunks_.length(chunk)), mine, false, kPartialCookie);
    return;
  }
  std::array<Part, 3> parts{};
  std::size_t used = 0;
  parts[used++] = {child_slot(tree, 0, position), half.child_is_leaf[0]};
  parts[used++] = {mine, true};
  if (half.node.children[1] >= 0) parts[used++] = {child_slot(tree, 1, position), half.child_is_leaf[1]};
  const std::uint64_t count = chunks_.length(chunk) / dtype_size(job_.dtype);
  const TraceSpan span(job_.trace, "combine", Lane::kCompute, static_cast<std::int64_t>(chunks_.length(chunk)),
                       static_cast<std::int64_t>(chunk));
  if (half.node.parent >= 0) {
    std::byte* out = partial_slot(tree, position);
    combine_partial(job_.dtype, job_.op, {parts.data(), used}, count, out);
    links_->at(half.node.parent, tree)
        .queue(frame(FrameKind::kPartial, chunk, count * partial_size(job_.dtype)), out, false, kPartialCookie);
    return;
  }
  std::byte* out = job_.recv + chunks_.begin(chunk);
  combine_final(job_.dtype, job_.op, job_.divisor, {parts.data(), used}, count, out);
  ++half.results;
  if (down()) send_down(tree, chunk, out);
  prefix_.mark(chunk);
}

bool Tree::pump() {
  bool moved = false;
  for (int t = 0; t < trees_; ++t)
    while (advance(t)) moved = true;
  return moved;
}

bool Tree::done() const {
  for (int t = 0; t < trees_; ++t) {
    const Half& half = halves_[static_cast<std::size_t>(t)];
    if (up() && half.combined < half.count) return false;
    if (down() && half.results < half.count) return false;
  }
  return true;
}

bool Tree::waits_for_input() const {
  if (job_.gate.input_ready == nullptr) return false;
  for (int t = 0; t < trees_; ++t) {
    const Half& half = halves_[static_cast<std::size_t>(t)];
    if (may_combine(half) && !input_ready(half)) return true;
  }
  return false;
}

}  // namespace ff::hfreduce::net
