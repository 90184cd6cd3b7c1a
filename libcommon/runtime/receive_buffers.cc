#include "libcommon/runtime/receive_buffers.hpp"

#include "libcommon/base/assert.hpp"

namespace ff::runtime {

ReceiveBuffers::~ReceiveBuffers() { FF_ASSERT(lent_ == 0, lent_); }

Received ReceiveBuffers::lend(std::uint32_t index, std::size_t bytes) noexcept {
  ++lent_;
  return Received(*this, index, buffer(index).first(bytes));
}

void ReceiveBuffers::give_back(std::uint32_t index) noexcept {
  --lent_;
  returned(index);
  waiting_.wake_one();
}

}  // namespace ff::runtime
