#include "libcommon/net/tcp_host.hpp"

namespace ff::net {

std::uint64_t TcpHost::region_key() {
  while (true) {
    if (keys_left_ == 0) {
      // Many at a time: asking the kernel costs as much as exposing memory.
      options_.endpoint.random(std::as_writable_bytes(std::span(keys_)));
      keys_left_ = keys_.size();
    }
    if (const std::uint64_t key = keys_[--keys_left_]; key != 0) return key;
  }
}

}  // namespace ff::net
