#include "libcommon/report/utf8.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace ff::report {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

constexpr std::array kZeroWidth = {Range{0x0300, 0x036f}, Range{0x0483, 0x0489}, Range{0x0591, 0x05bd},
                                   Range{0x064b, 0x065f}, Range{0x1ab0, 0x1aff}, Range{0x1dc0, 0x1dff},
                                   Range{0x200b, 0x200f}, Range{0x2060, 0x2064}, Range{0x20d0, 0x20ff},
                                   Range{0xfe00, 0xfe0f}, Range{0xfe20, 0xfe2f}, Range{0xfeff, 0xfeff}};

constexpr std::array kDoubleWidth = {Range{0x1100, 0x115f},   Range{0x2e80, 0x303e},   Range{0x3041, 0x4dbf},
                                     Range{0x4e00, 0xa4cf},   Range{0xac00, 0xd7a3},   Range{0xf900, 0xfaff},
                                     Range{0xfe30, 0xfe6f},   Range{0xff00, 0xff60},   Range{0xffe0, 0xffe6},
                                     Range{0x1f300, 0x1f64f}, Range{0x1f680, 0x1f6ff}, Range{0x1f900, 0x1f9ff},
                                     Range{0x20000, 0x3fffd}};

template <std::size_t N>
bool within(const std::array<Range, N>& ranges, char32_t c) noexcept {
  return std::any_of(ranges.begin(), ranges.end(), [c](Range r) { return c >= r.first && c <= r.last; });
}

bool is_control(char32_t c) noexcept { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

// Of visible ASCII alone, as most cells of tables are.
bool is_plain(std::string_view text) noexcept {
  bool plain = true;
  for (const char c : text) plain = plain && c >= ' ' && c <= '~';
  return plain;
}

}  // namespace

CodePoint decode_utf8(std::string_view text, std::size_t at) noexcept {
  constexpr CodePoint kInvalid{kReplacementCharacter, 1, false};
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - at < length) return kInvalid;
  char32_t value = lead & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return kInvalid;
    value = (value << 6) | (byte(i) & 0x3fu);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (overlong || surrogate || value > 0x10ffff) return kInvalid;
  return {value, length, true};
}

std::size_t display_width(std::string_view text) noexcept {
  if (is_plain(text)) return text.size();
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    i += c.bytes;
    if (is_control(c.value) || within(kZeroWidth, c.value)) continue;
    width += within(kDoubleWidth, c.value) ? 2 : 1;
  }
  return width;
}

std::string printable(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    if (!c.valid)
      out += "\xef\xbf\xbd";
    else if (c.value == '\n')
      out += "\\n";
    else if (c.value == '\t')
      out += "\\t";
    else if (is_control(c.value))
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c.value));
    else
      out += text.substr(i, c.bytes);
    i += c.bytes;
  }
  return out;
}

}  // namespace ff::report
