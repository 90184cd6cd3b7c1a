#include "hfreduce/net/algorithm.hpp"

#include <fmt/core.h>

namespace ff::hfreduce::net {

std::string Algorithm::explain(const FrameHeader& header) const {
  if (header.seq != job_.seq)
    return fmt::format("it is at call {} ({} frame), this rank at call {} ({})", header.seq,
                       frame_kind_name(header.kind), job_.seq, collective_name(job_.kind));
  if (header.signature != job_.signature)
    return fmt::format("its call {} has another collective, type, operation, root or count than {} here", header.seq,
                       collective_name(job_.kind));
  return fmt::format("call {} ({}): unexpected {} frame, index {}, {} bytes (do all ranks have the same options?)",
                     header.seq, collective_name(job_.kind), frame_kind_name(header.kind), header.index, header.length);
}

}  // namespace ff::hfreduce::net
