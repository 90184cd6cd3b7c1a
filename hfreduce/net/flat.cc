#include "hfreduce/cpu/reduce.hpp"
#include "hfreduce/net/small.hpp"

namespace ff::hfreduce::net {

void Flat::plan(const Job& job, std::vector<LinkId>& needs) {
  job_ = job;
  const auto others = static_cast<std::uint64_t>(job.size - 1);
  frames_ = {job.bytes(), job.chunk_bytes};
  slot_bytes_ = (job.bytes() + 63) / 64 * 64;
  scratch_.ensure(others * slot_bytes_);
  got_.assign(static_cast<std::size_t>(job.size), 0);
  combine_in_.resize(static_cast<std::size_t>(job.size));
  missing_ = others * frames_.count();
  unsent_ = 0;
  begun_ = combined_ = false;
  for (int d = 1; d < job.size; ++d) needs.push_back({(job.rank + d) % job.size, 0});
}

void Flat::start(const LinkTable& links) {
  links_ = &links;
  for (int p = 0; p < job_.size; ++p)
    if (p != job_.rank) links.at(p, 0).expect(frames_.count());
}

Landing Flat::place(Link& link, const FrameHeader& header) {
  const std::uint64_t i = got_[static_cast<std::size_t>(link.peer())];
  if (header.kind != FrameKind::kInput || header.index != i || i >= frames_.count() ||
      header.length != frames_.length(i))
    return Landing::wrong();
  const int slot = link.peer() < job_.rank ? link.peer() : link.peer() - 1;
  return Landing::take(scratch_.data() + static_cast<std::uint64_t>(slot) * slot_bytes_ + frames_.begin(i));
}

void Flat::received(Link& link, const FrameHeader&) {
  ++got_[static_cast<std::size_t>(link.peer())];
  --missing_;
}

void Flat::sent(Link&, std::uint64_t) { --unsent_; }

bool Flat::pump() {
  if (!begun_) {
    if (!job_.ready(job_.bytes())) return false;
    begun_ = true;
    for (int d = 1; d < job_.size; ++d)
      for (std::uint64_t i = 0; i < frames_.count(); ++i, ++unsent_)
        links_->at((job_.rank + d) % job_.size, 0)
            .queue(frame(FrameKind::kInput, i, frames_.length(i)), job_.send + frames_.begin(i));
    return true;
  }
  // In place the result overwrites what is being sent, so the sends come first.
  if (combined_ || missing_ > 0 || unsent_ > 0) return false;
  for (int p = 0; p < job_.size; ++p) {
    const int slot = p < job_.rank ? p : p - 1;
    combine_in_[static_cast<std::size_t>(p)] =
        p == job_.rank ? job_.send : scratch_.data() + static_cast<std::uint64_t>(slot) * slot_bytes_;
  }
  void* out = job_.recv;
  cpu::reduce({.dtype = job_.dtype, .op = job_.op, .count = job_.count, .divisor = job_.divisor}, combine_in_,
              {&out, 1});
  if (job_.gate.output_done != nullptr) job_.gate.output_done->store(job_.bytes(), std::memory_order_release);
  combined_ = true;
  return true;
}

}  // namespace ff::hfreduce::net
