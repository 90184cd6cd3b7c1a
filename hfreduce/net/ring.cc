#include "hfreduce/net/ring.hpp"

#include "hfreduce/net/partial.hpp"

namespace ff::hfreduce::net {

void Ring::plan(const Job& job, std::vector<LinkId>& needs) {
  job_ = job;
  chunks_ = {job.bytes(), job.chunk_bytes};
  next_own_ = static_cast<std::uint64_t>(job.rank);
  left_ = 0;
  waiting_ = false;
  for (std::uint64_t c = 0; c < chunks_.count(); ++c)
    left_ += (start_of(c) != job.rank ? 1u : 0u) + (finisher_of(c) != job.rank ? 1u : 0u);
  landing_.ensure(std::min(job.chunk_bytes, job.bytes()) / dtype_size(job.dtype) * partial_size(job.dtype));
  if (is_low_type(job.dtype)) wide_.ensure(job.count * sizeof(float));
  prefix_.begin(job.gate, job.bytes(), job.chunk_bytes);
  needs.push_back({next(), 0});
  if (previous() != next()) needs.push_back({previous(), 0});
}

void Ring::start(const LinkTable& links) {
  links_ = &links;
  links.at(previous(), 0).expect(left_);
}

std::uint64_t Ring::partial_bytes(std::uint64_t chunk) const noexcept {
  return chunks_.length(chunk) / dtype_size(job_.dtype) * partial_size(job_.dtype);
}

std::byte* Ring::partial_at(std::uint64_t chunk) noexcept {
  if (!is_low_type(job_.dtype)) return job_.recv + chunks_.begin(chunk);
  return wide_.data() + chunks_.begin(chunk) / dtype_size(job_.dtype) * sizeof(float);
}

Landing Ring::place(Link& link, const FrameHeader& header) {
  const std::uint64_t c = header.index;
  if (link.peer() != previous() || c >= chunks_.count()) return Landing::wrong();
  if (header.kind == FrameKind::kResult) {
    if (finisher_of(c) == job_.rank || header.length != chunks_.length(c)) return Landing::wrong();
    return Landing::take(job_.recv + chunks_.begin(c));
  }
  const bool raw = raw_from_previous(c);
  if (start_of(c) == job_.rank || header.kind != (raw ? FrameKind::kInput : FrameKind::kPartial) ||
      header.length != (raw ? chunks_.length(c) : partial_bytes(c)))
    return Landing::wrong();
  waiting_ = !job_.ready(chunks_.end(c));
  return waiting_ ? Landing::later() : Landing::take(landing_.data());
}

void Ring::received(Link&, const FrameHeader& header) {
  --left_;
  const std::uint64_t chunk = header.index;
  if (header.kind != FrameKind::kResult) return combine(chunk);
  prefix_.mark(chunk);
  pass_result(chunk);
}

void Ring::combine(std::uint64_t chunk) {
  const Part parts[] = {{landing_.data(), raw_from_previous(chunk)}, {job_.send + chunks_.begin(chunk), true}};
  const std::uint64_t count = chunks_.length(chunk) / dtype_size(job_.dtype);
  const TraceSpan span(job_.trace, "combine", Lane::kCompute, static_cast<std::int64_t>(chunks_.length(chunk)),
                       static_cast<std::int64_t>(chunk));
  if (finisher_of(chunk) == job_.rank) {
    combine_final(job_.dtype, job_.op, job_.divisor, parts, count, job_.recv + chunks_.begin(chunk));
    prefix_.mark(chunk);
    return pass_result(chunk);
  }
  combine_partial(job_.dtype, job_.op, parts, count, partial_at(chunk));
  links_->at(next(), 0).queue(frame(FrameKind::kPartial, chunk, partial_bytes(chunk)), partial_at(chunk));
}

void Ring::pass_result(std::uint64_t chunk) {
  if (next() == finisher_of(chunk)) return;
  links_->at(next(), 0).queue(frame(FrameKind::kResult, chunk, chunks_.length(chunk)), job_.recv + chunks_.begin(chunk),
                              true);
}

bool Ring::pump() {
  bool moved = false;
  while (next_own_ < chunks_.count() && job_.ready(chunks_.end(next_own_))) {
    links_->at(next(), 0).queue(frame(FrameKind::kInput, next_own_, chunks_.length(next_own_)),
                                job_.send + chunks_.begin(next_own_));
    next_own_ += static_cast<std::uint64_t>(job_.size);
    moved = true;
  }
  return moved;
}

bool Ring::waits_for_input() const {
  return waiting_ || (next_own_ < chunks_.count() && !job_.ready(chunks_.end(next_own_)));
}

}  // namespace ff::hfreduce::net
