#include <algorithm>
#include <bit>
#include <cstring>

#include "hfreduce/net/partial.hpp"
#include "hfreduce/net/small.hpp"

namespace ff::hfreduce::net {

void Binomial::plan(const Job& job, std::vector<LinkId>& needs) {
  job_ = job;
  steps_.clear();
  step_ = 0;
  raw_ = true;
  begun_ = false;
  landed_ = unsent_ = 0;
  if (job.kind == Collective::kBroadcast) {
    plan_broadcast(job.root);
  } else if (job.kind == Collective::kAllReduce && std::has_single_bit(static_cast<unsigned>(job.size))) {
    plan_doubling();
  } else {
    plan_reduce_to_zero();
    if (job.kind == Collective::kAllReduce) plan_broadcast(0);
    if (job.kind == Collective::kReduce && job.root != 0) {
      if (job.rank == 0) steps_.push_back({.what = What::kSendFinal, .peer = job.root});
      if (job.rank == job.root) steps_.push_back({.what = What::kReceiveFinal, .peer = 0});
    }
  }
  if (job.kind != Collective::kBroadcast) {
    landing_.ensure(job.count * partial_size(job.dtype));
    partial_.ensure(job.count * partial_size(job.dtype));
  }
  for (const Step& step : steps_)
    if (std::none_of(needs.begin(), needs.end(), [&](const LinkId& id) { return id.peer == step.peer; }))
      needs.push_back({step.peer, 0});
}

void Binomial::plan_doubling() {
  for (int bit = 1; bit < job_.size; bit <<= 1)
    steps_.push_back(
        {.what = What::kExchange, .peer = job_.rank ^ bit, .peer_raw = bit == 1, .last = 2 * bit == job_.size});
}

void Binomial::plan_reduce_to_zero() {
  for (int bit = 1; bit < job_.size; bit <<= 1) {
    if ((job_.rank & bit) != 0) {
      steps_.push_back({.what = What::kSendPartial, .peer = job_.rank - bit});
      return;
    }
    const int peer = job_.rank + bit;
    if (peer >= job_.size) continue;
    // A peer without children of its own sends its input as it is.
    const bool childless = (peer & 1) != 0 || peer + 1 >= job_.size;
    steps_.push_back(
        {.what = What::kCombine, .peer = peer, .peer_raw = childless, .last = job_.rank == 0 && 2 * bit >= job_.size});
  }
}

void Binomial::plan_broadcast(int root) {
  const int position = (job_.rank - root + job_.size) % job_.size;
  const auto rank_at = [&](int p) { return (p + root) % job_.size; };
  const int below =
      position == 0 ? static_cast<int>(std::bit_ceil(static_cast<unsigned>(job_.size))) : (position & -position);
  if (position != 0) steps_.push_back({.what = What::kReceiveFinal, .peer = rank_at(position - below)});
  for (int bit = below / 2; bit > 0; bit /= 2)
    if (position + bit < job_.size) steps_.push_back({.what = What::kSendFinal, .peer = rank_at(position + bit)});
}

void Binomial::start(const LinkTable& links) { links_ = &links; }

std::uint64_t Binomial::incoming_bytes(const Step& step) const noexcept {
  const bool as_elements = step.what == What::kReceiveFinal || step.peer_raw;
  return job_.count * (as_elements ? dtype_size(job_.dtype) : partial_size(job_.dtype));
}

void Binomial::send_message(FrameKind kind, const std::byte* data, std::uint64_t element_bytes) {
  const Chunks frames{job_.count * element_bytes, job_.chunk_bytes};
  Link& link = links_->at(steps_[step_].peer, 0);
  for (std::uint64_t i = 0; i < frames.count(); ++i, ++unsent_)
    link.queue(frame(kind, i, frames.length(i)), data + frames.begin(i));
}

void Binomial::enter() {
  const Step& step = steps_[step_];
  if (step.what == What::kExchange || step.what == What::kSendPartial) {
    if (raw_)
      send_message(FrameKind::kInput, job_.send, dtype_size(job_.dtype));
    else
      send_message(FrameKind::kPartial, partial_.data(), partial_size(job_.dtype));
  }
  // The root of a broadcast has its message in the send buffer; everywhere else a final message is in recv, or, on rank
  // 0 of a reduce to another root, in the partial area that combine() finished into.
  if (step.what == What::kSendFinal) {
    const bool broadcast_root = job_.kind == Collective::kBroadcast && job_.rank == job_.root;
    const bool handing_over = job_.kind == Collective::kReduce;
    send_message(FrameKind::kResult,
                 broadcast_root ? job_.send
                 : handing_over ? partial_.data()
                                : job_.recv,
                 dtype_size(job_.dtype));
  }
  if (!receives(step)) return;
  landed_ = 0;
  incoming_ = {incoming_bytes(step), job_.chunk_bytes};
  links_->at(step.peer, 0).expect(incoming_.count());
}

Landing Binomial::place(Link& link, const FrameHeader& header) {
  const Step& step = steps_[step_];
  const FrameKind wanted = step.what == What::kReceiveFinal ? FrameKind::kResult
                           : step.peer_raw                  ? FrameKind::kInput
                                                            : FrameKind::kPartial;
  if (link.peer() != step.peer || header.kind != wanted || header.index != landed_ || landed_ >= incoming_.count() ||
      header.length != incoming_.length(landed_))
    return Landing::wrong();
  std::byte* to = step.what == What::kReceiveFinal ? job_.recv : landing_.data();
  return Landing::take(to + incoming_.begin(landed_));
}

void Binomial::received(Link&, const FrameHeader&) { ++landed_; }

void Binomial::sent(Link&, std::uint64_t) { --unsent_; }

void Binomial::combine() {
  const Step& step = steps_[step_];
  const Part mine{raw_ ? static_cast<const void*>(job_.send) : partial_.data(), raw_};
  const Part theirs{landing_.data(), step.peer_raw};
  const bool lower = job_.rank < step.peer;
  const Part parts[] = {lower ? mine : theirs, lower ? theirs : mine};
  if (!step.last)
    combine_partial(job_.dtype, job_.op, parts, job_.count, partial_.data());
  else if (job_.kind == Collective::kReduce && job_.root != job_.rank)
    // Only the root has a recv buffer. Elements are never wider than partials, and blocks are read before they are
    // written.
    combine_final(job_.dtype, job_.op, job_.divisor, parts, job_.count, partial_.data());
  else
    combine_final(job_.dtype, job_.op, job_.divisor, parts, job_.count, job_.recv);
  raw_ = false;
}

void Binomial::leave() {
  const Step& step = steps_[step_];
  if (step.what == What::kExchange || step.what == What::kCombine) combine();
  ++step_;
  if (step_ < steps_.size()) enter();
}

bool Binomial::pump() {
  if (!begun_) {
    if (!job_.ready(job_.bytes())) return false;
    begun_ = true;
    if (job_.kind == Collective::kBroadcast && job_.rank == job_.root && job_.recv != job_.send)
      std::memcpy(job_.recv, job_.send, job_.bytes());
    if (!steps_.empty()) enter();
    return true;
  }
  bool moved = false;
  while (step_ < steps_.size()) {
    const Step& step = steps_[step_];
    if (receives(step) && landed_ < incoming_.count()) break;
    // Combining overwrites what may still be on its way out.
    if ((step.what == What::kExchange || step.what == What::kCombine) && unsent_ > 0) break;
    leave();
    moved = true;
  }
  if (moved && step_ == steps_.size() && job_.gate.output_done != nullptr)
    job_.gate.output_done->store(job_.bytes(), std::memory_order_release);
  return moved;
}

}  // namespace ff::hfreduce::net
