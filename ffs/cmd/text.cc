#include "ffs/cmd/text.hpp"

#include <fmt/core.h>

#include <charconv>
#include <ctime>

#include "libcommon/report/utf8.hpp"

namespace ff::ffs {

using report::Cell;
using report::Column;
using report::Unit;

Cell count(std::uint64_t value) { return static_cast<std::int64_t>(value); }

std::string type_text(FileType type) {
  switch (type) {
    case REGULAR: return "file";
    case DIRECTORY: return "folder";
    case SYMLINK: return "link";
    default: return "unknown";
  }
}

std::string mode_text(FileType type, std::uint32_t mode) {
  std::string text = type == DIRECTORY ? "d" : type == SYMLINK ? "l" : "-";
  for (int shift = 6; shift >= 0; shift -= 3) {
    const std::uint32_t bits = mode >> shift & 7u;
    const bool special = (mode & (shift == 6 ? 04000u : shift == 3 ? 02000u : 01000u)) != 0;
    text += (bits & 4u) != 0 ? 'r' : '-';
    text += (bits & 2u) != 0 ? 'w' : '-';
    const char mark = shift == 0 ? 't' : 's';
    const bool runs = (bits & 1u) != 0;
    text += special ? (runs ? mark : static_cast<char>(mark - 'a' + 'A')) : (runs ? 'x' : '-');
  }
  return text;
}

std::string time_text(const Timestamp& time) {
  const std::time_t seconds = time.seconds();
  std::tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return fmt::format("{}", time.seconds());
  char text[40];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc));
}

std::string base_name(const std::string& path) { return path == "/" ? path : path.substr(path.rfind('/') + 1); }

std::string parent_path(const std::string& path) {
  const std::size_t end = path.rfind('/');
  return end == 0 ? "/" : path.substr(0, end);
}

std::string join_path(const std::string& folder, const std::string& name) {
  return folder == "/" ? "/" + name : folder + "/" + name;
}

std::vector<Column> attribute_columns(std::string first_key, std::string first_title) {
  return {{.key = first_key, .title = first_title},
          {.key = "type", .title = "TYPE"},
          {.key = "mode", .title = "MODE"},
          {.key = "links", .title = "LINKS"},
          {.key = "uid", .title = "UID"},
          {.key = "gid", .title = "GID"},
          {.key = "size", .title = "SIZE", .unit = Unit::kBytes},
          {.key = "modified", .title = "MODIFIED"},
          {.key = "target", .title = "TARGET", .wide_only = true},
          {.key = "inode", .title = "INODE", .wide_only = true},
          {.key = "chunk_bytes", .title = "CHUNK", .unit = Unit::kBytes, .wide_only = true},
          {.key = "stripe", .title = "STRIPE", .wide_only = true},
          {.key = "in_inode", .title = "IN-INODE", .wide_only = true},
          {.key = "immutable", .title = "IMMUTABLE", .wide_only = true},
          {.key = first_key + "_base64", .title = first_title + "-BASE64", .wide_only = true}};
}

std::vector<Cell> attribute_cells(const std::string& name, const Attributes& a) {
  const bool laid_out = a.has_layout();
  return {Cell(name),
          type_text(a.type()),
          mode_text(a.type(), a.mode()),
          count(a.links()),
          count(a.uid()),
          count(a.gid()),
          count(a.size()),
          time_text(a.modified()),
          a.type() == SYMLINK ? Cell(a.target()) : Cell(),
          count(a.inode()),
          laid_out ? count(a.layout().chunk_bytes()) : Cell(),
          laid_out ? count(a.layout().stripe()) : Cell(),
          a.type() == REGULAR ? Cell(a.inlined()) : Cell(),
          a.immutable(),
          base64_cell(name)};
}

std::vector<Cell> attribute_cells(const std::string& name, FileType type) {
  std::vector<Cell> cells(attribute_columns("name", "NAME").size());
  cells[0] = name;
  cells[1] = type_text(type);
  cells.back() = base64_cell(name);
  return cells;
}

Cell base64_cell(std::string_view bytes) {
  bool utf8 = true;
  for (std::size_t i = 0; utf8 && i < bytes.size();) {
    const report::CodePoint point = report::decode_utf8(bytes, i);
    utf8 = point.valid;
    i += point.bytes;
  }
  if (utf8) return {};
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t k = i; k < i + 3; ++k) {
      three = three << 8 | (k < bytes.size() ? static_cast<unsigned char>(bytes[k]) : 0u);
    }
    for (unsigned digit = 0; digit < 4; ++digit) {
      text += i + digit > bytes.size() ? '=' : kDigits[three >> (18 - 6 * digit) & 63];
    }
  }
  return text;
}

Result<std::uint32_t> parse_mode(const std::string& text) {
  std::uint32_t mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || mode > 07777) {
    return fail(Errc::kInvalidArgument, fmt::format("'{}': not a mode (up to four octal digits, as 644)", text));
  }
  return mode;
}

Result<std::uint64_t> parse_number(const std::string& text, const char* what) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value == 0) {
    return fail(Errc::kInvalidArgument,
                fmt::format("'{}': not a number of a {} (`ffs {} list` shows them)", text, what, what));
  }
  return value;
}

}  // namespace ff::ffs
