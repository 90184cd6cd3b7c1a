// UserToken: 256 random bits by which a user of a file system is known. Whoever has it is that user.
//
// Text      "fftoken1_" and 64 lower-case hexadecimal digits; a file of one may end with a newline, and is readable by
//           its owner alone.
// Stored    Services keep the SHA-256 of the 32 bytes and never the token. Of 256 random bits, one round of a fast hash
//           is as good as any: there is nothing to guess.
// Errors    never hold bytes of the token.
// Lifetime  Bytes are wiped when the object goes. Copies that a request carries are not.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"
#include "libcommon/net/crypto.hpp"

namespace ff::ffs {

inline constexpr std::size_t kTokenBytes = 32;

class UserToken {
 public:
  // From the kernel's random source.
  static UserToken generate();
  // kInvalidArgument: another length or format.
  static Result<UserToken> parse(std::string_view text);
  // kPermission when others than its owner may use the file; kNotFound; kInvalidArgument as parse.
  static Result<UserToken> load(const std::string& path);

  UserToken(UserToken&& other) noexcept;
  UserToken& operator=(UserToken&&) = delete;
  UserToken(const UserToken&) = delete;
  UserToken& operator=(const UserToken&) = delete;
  ~UserToken();

  // A new file with mode 0600; never over an existing one (kAlreadyExists).
  Result<> create_file(const std::string& path) const;

  std::string text() const;
  // As requests carry it.
  std::string bytes() const;
  net::Digest digest() const;

 private:
  UserToken() = default;
  std::array<std::byte, kTokenBytes> bytes_{};
};

net::Digest token_digest(std::string_view bytes);
// The public number of a token: the first 8 bytes of its digest, big-endian. In 16 hexadecimal digits it is what people
// see of a token.
std::uint64_t token_number(const net::Digest& digest) noexcept;
std::string token_number_text(std::uint64_t number);
// kInvalidArgument.
Result<std::uint64_t> parse_token_number(std::string_view text);

}  // namespace ff::ffs
