#include "hfreduce/net/small.hpp"

namespace ff::hfreduce::net {

void Dissemination::plan(const Job& job, std::vector<LinkId>& needs) {
  job_ = job;
  round_ = rounds_ = 0;
  arrived_ = 0;
  while ((1 << rounds_) < job.size) ++rounds_;
  const auto need = [&needs](int peer) {
    for (const LinkId& id : needs)
      if (id.peer == peer) return;
    needs.push_back({peer, 0});
  };
  for (int k = 0; k < rounds_; ++k) {
    need(to(k));
    need(from(k));
  }
}

void Dissemination::start(const LinkTable& links) {
  links_ = &links;
  for (int k = 0; k < rounds_; ++k) links.at(from(k), 0).expect(1);
  if (rounds_ > 0) send_token(0);
}

void Dissemination::send_token(int round) {
  links_->at(to(round), 0).queue(frame(FrameKind::kToken, static_cast<std::uint64_t>(round), 0), nullptr);
}

Landing Dissemination::place(Link& link, const FrameHeader& header) {
  if (header.kind != FrameKind::kToken || header.index >= static_cast<std::uint32_t>(rounds_) ||
      link.peer() != from(static_cast<int>(header.index)))
    return Landing::wrong();
  return Landing::take(nullptr);
}

void Dissemination::received(Link&, const FrameHeader& header) {
  arrived_ |= std::uint64_t{1} << header.index;
  while (round_ < rounds_ && ((arrived_ >> round_) & 1) != 0)
    if (++round_ < rounds_) send_token(round_);
}

}  // namespace ff::hfreduce::net
