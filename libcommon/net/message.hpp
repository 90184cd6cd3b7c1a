// Message: owned bytes with room in front for the headers of the layers below, so that nothing is copied on the way
// to the socket.
//
//   Message message(payload_bytes);             // uninitialised
//   encode_into(message.payload());
//   connection.send(std::move(message));
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <utility>

namespace ff::net {

inline constexpr std::size_t kMessageBytesMax = 4u << 20;

class Message {
 public:
  static constexpr std::size_t kHeadroom = 64;  // at least a frame header

  Message() noexcept = default;
  explicit Message(std::size_t bytes) : memory_(allocate(bytes)), bytes_(bytes) {}

  std::span<std::byte> payload() noexcept { return {memory_.get() + kHeadroom, bytes_}; }
  std::span<const std::byte> payload() const noexcept { return {memory_.get() + kHeadroom, bytes_}; }
  std::size_t size() const noexcept { return bytes_; }
  // The `bytes` directly before the payload. REQUIRES: bytes <= kHeadroom; not a default-made Message.
  std::byte* before(std::size_t bytes) noexcept { return memory_.get() + kHeadroom - bytes; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  using Memory = std::unique_ptr<std::byte[], Free>;
  static Memory allocate(std::size_t bytes) {
    auto* memory = static_cast<std::byte*>(std::malloc(kHeadroom + bytes));
    if (memory == nullptr) throw std::bad_alloc();
    return Memory(memory);
  }

  Memory memory_;
  std::size_t bytes_ = 0;
};

}  // namespace ff::net
