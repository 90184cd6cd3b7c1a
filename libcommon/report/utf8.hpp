// UTF-8 as reports need it: decoding that never fails, width on a terminal, and text that is safe to print.
// Widths follow Unicode's East Asian Width and combining marks in coarse ranges; locale settings play no part, so
// that a report is the same bytes on every machine. Threads: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ff::report {

inline constexpr char32_t kReplacementCharacter = 0xfffd;

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 1;  // consumed; 1 for a byte that starts no valid sequence
  bool valid = true;      // false: value is kReplacementCharacter
};

// The code point at text[at]. REQUIRES: at < text.size(). Refuses overlong forms, surrogates and beyond U+10FFFF.
CodePoint decode_utf8(std::string_view text, std::size_t at) noexcept;

// Columns that the text takes on a terminal; control characters take none.
std::size_t display_width(std::string_view text) noexcept;

// The text with control characters as escapes ("\n", "\x1b") and invalid bytes as U+FFFD: one line, no terminal codes.
std::string printable(std::string_view text);

}  // namespace ff::report
