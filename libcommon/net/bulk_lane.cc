#include "libcommon/net/bulk_lane.hpp"

namespace ff::net {

void BulkLane::Batch::clear() noexcept {
  frames.clear();
  headers.clear();
  parts.clear();
  uses.clear();
  regions.clear();
  payload_bytes = 0;
}

void BulkLane::cut(Error reason) {
  if (why) return;
  why = std::move(reason);
  socket->shutdown();
  if (scope != nullptr) scope->cancel(*why);
}

}  // namespace ff::net
