// What people and nodes say, as it is kept and told: of bounded length, and never cut within a character, because
// protobuf reads no string that is not UTF-8: a record with half a character could never be read again.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ff::ctl {

inline constexpr std::size_t kSentenceBytesMax = 1024;

// REQUIRES: UTF-8.
inline std::string sentence(std::string_view text) {
  if (text.size() <= kSentenceBytesMax) return std::string(text);
  std::size_t end = kSentenceBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

}  // namespace ff::ctl
