// The secret that the processes of one cluster share: 32 random bytes. Who has it is a member.
//
// File      "ffkey1 " and 64 lower-case hexadecimal digits and a newline, 72 bytes. Readable by its owner alone.
// Lifetime  Bytes are wiped when the object goes; moving wipes the source. Copies are explicit (share it by
//           std::shared_ptr<const ClusterKey>).
// Threads   const members from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff::net {

inline constexpr std::size_t kClusterKeyBytes = 32;

class ClusterKey {
 public:
  // From the kernel's random source.
  static ClusterKey generate();
  // The content of a key file. kInvalidArgument for another format or length, and for the all-zero key (which stands
  // for "no key" in the handshake). The message never holds bytes of the key.
  static Result<ClusterKey> parse(std::string_view text);
  // kPermission when group or others may read or write the file, or when it belongs to another user than us or root;
  // kNotFound; kInvalidArgument as parse. Says how to mend it.
  static Result<ClusterKey> load(const std::string& path);

  ClusterKey(ClusterKey&& other) noexcept;
  ClusterKey& operator=(ClusterKey&& other) noexcept;
  ClusterKey(const ClusterKey&) = delete;
  ClusterKey& operator=(const ClusterKey&) = delete;
  ~ClusterKey();

  // Writes a new file with mode 0600, whole or not at all, durable on return; never over an existing one
  // (kAlreadyExists). Killed in between, it may leave PATH.tmp.PID, as private as the file itself.
  Result<> create_file(const std::string& path) const;

  std::span<const std::byte, kClusterKeyBytes> bytes() const noexcept { return bytes_; }
  // First 8 hexadecimal digits of a hash of the key: tells in logs whether two machines hold the same one.
  std::string fingerprint() const;

 private:
  ClusterKey() = default;
  std::array<std::byte, kClusterKeyBytes> bytes_{};
};

}  // namespace ff::net
