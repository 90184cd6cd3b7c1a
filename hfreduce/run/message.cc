#include "hfreduce/run/message.hpp"

#include <fmt/core.h>

#include <charconv>

namespace ff::hfreduce::run {
namespace {

constexpr char kHex[] = "0123456789abcdef";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_quoted(std::string& out, std::string_view bytes) {
  out += '"';
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        if (byte >= 0x20 && byte < 0x7f) {
          out += c;
        } else {
          out += "\\u00";
          out += kHex[byte >> 4];
          out += kHex[byte & 15];
        }
    }
  }
  out += '"';
}

// Reads from one line; any step that fails leaves `ok` false.
struct Cursor {
  std::string_view text;
  bool ok = true;

  char take() {
    if (text.empty()) {
      ok = false;
      return '\0';
    }
    const char c = text.front();
    text.remove_prefix(1);
    return c;
  }

  void skip_spaces() {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\r'))
      text.remove_prefix(1);
  }

  char escaped() {
    switch (take()) {
      case 'n': return '\n';
      case 't': return '\t';
      case 'r': return '\r';
      case 'b': return '\b';
      case 'f': return '\f';
      case '"': return '"';
      case '\\': return '\\';
      case '/': return '/';
      case 'u': {
        int code = 0;
        for (int i = 0; i < 4; ++i) {
          const int digit = hex_digit(take());
          if (digit < 0) ok = false;
          code = code * 16 + digit;
        }
        if (code > 255) ok = false;
        return static_cast<char>(code);
      }
      default: ok = false; return '\0';
    }
  }

  std::string quoted() {
    std::string out;
    if (take() != '"') ok = false;
    while (ok) {
      const char c = take();
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) ok = false;
      out += c == '\\' ? escaped() : c;
    }
    return out;
  }
};

}  // namespace

std::string encode_message(const Message& message) {
  std::string line = "[";
  for (const std::string& field : message) {
    if (line.size() > 1) line += ',';
    append_quoted(line, field);
  }
  return line + "]\n";
}

Result<Message> decode_message(std::string_view line) {
  Cursor cursor{line};
  Message message;
  cursor.skip_spaces();
  if (cursor.take() != '[') cursor.ok = false;
  while (cursor.ok) {
    cursor.skip_spaces();
    message.push_back(cursor.quoted());
    cursor.skip_spaces();
    const char separator = cursor.take();
    if (separator == ']') break;
    if (separator != ',') cursor.ok = false;
  }
  cursor.skip_spaces();
  if (!cursor.ok || !cursor.text.empty())
    return fail(Errc::kCorrupt, fmt::format("not a message: '{}'", line.substr(0, 120)));
  return message;
}

Result<std::optional<Message>> MessageReader::next() {
  const std::size_t end = buffer_.find('\n', begin_);
  if (end == std::string::npos) {
    if (buffer_.size() - begin_ > kLineMax) return fail(Errc::kCorrupt, "a message has no end");
    buffer_.erase(0, begin_);
    begin_ = 0;
    return std::nullopt;
  }
  const std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
  begin_ = end + 1;
  FF_TRY_ASSIGN(Message message, decode_message(line));
  return std::optional<Message>(std::move(message));
}

Result<int> message_int(const Message& message, std::size_t index, int min, int max) {
  int value = 0;
  if (index < message.size()) {
    const std::string& text = message[index];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= min && value <= max) return value;
  }
  return fail(Errc::kCorrupt, fmt::format("message '{}': field {} is no number from {} to {}",
                                          message.empty() ? "" : message[0], index, min, max));
}

}  // namespace ff::hfreduce::run
