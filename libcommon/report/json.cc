#include "libcommon/report/json.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cmath>

#include "libcommon/base/assert.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::report {
namespace {

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    switch (c.value) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (!c.valid)
          out += "\xef\xbf\xbd";
        else if (c.value < 0x20 || (c.value >= 0x7f && c.value < 0xa0))
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c.value));
        else
          out += text.substr(i, c.bytes);
    }
    i += c.bytes;
  }
  out += '"';
}

}  // namespace

void JsonWriter::newline() {
  if (indent_ == 0) return;
  text_ += '\n';
  text_.append(stack_.size() * static_cast<std::size_t>(indent_), ' ');
}

// What goes before a value or a key: the comma and the line break of the enclosing container.
void JsonWriter::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (stack_.empty()) {
    FF_ASSERT(text_.empty(), text_);
    return;
  }
  if (has_items_.back()) text_ += ',';
  has_items_.back() = true;
  newline();
}

JsonWriter& JsonWriter::begin_object() {
  FF_ASSERT(stack_.empty() || stack_.back() == In::kArray || after_key_, text_);
  separate();
  text_ += '{';
  stack_.push_back(In::kObject);
  has_items_.push_back(false);
  return *this;
}

JsonWriter& JsonWriter::end_object() {
  FF_ASSERT(!stack_.empty() && stack_.back() == In::kObject && !after_key_, text_);
  const bool had_items = has_items_.back();
  stack_.pop_back();
  has_items_.pop_back();
  if (had_items) newline();
  text_ += '}';
  return *this;
}

JsonWriter& JsonWriter::begin_array() {
  FF_ASSERT(stack_.empty() || stack_.back() == In::kArray || after_key_, text_);
  separate();
  text_ += '[';
  stack_.push_back(In::kArray);
  has_items_.push_back(false);
  return *this;
}

JsonWriter& JsonWriter::end_array() {
  FF_ASSERT(!stack_.empty() && stack_.back() == In::kArray, text_);
  const bool had_items = has_items_.back();
  stack_.pop_back();
  has_items_.pop_back();
  if (had_items) newline();
  text_ += ']';
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  FF_ASSERT(!stack_.empty() && stack_.back() == In::kObject && !after_key_, text_, name);
  separate();
  append_quoted(text_, name);
  text_ += indent_ == 0 ? ":" : ": ";
  after_key_ = true;
  return *this;
}

void JsonWriter::begin_value() {
  FF_ASSERT(stack_.empty() || stack_.back() == In::kArray || after_key_, text_);
  separate();
}

JsonWriter& JsonWriter::value(std::string_view text) {
  begin_value();
  append_quoted(text_, text);
  return *this;
}

JsonWriter& JsonWriter::value(bool b) {
  begin_value();
  text_ += b ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::value(double d) {
  if (!std::isfinite(d)) return null();
  begin_value();
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, d);
  text_.append(digits, end.ptr);
  return *this;
}

JsonWriter& JsonWriter::value(std::int64_t i) {
  begin_value();
  text_ += std::to_string(i);
  return *this;
}

JsonWriter& JsonWriter::value(std::uint64_t u) {
  begin_value();
  text_ += std::to_string(u);
  return *this;
}

JsonWriter& JsonWriter::null() {
  begin_value();
  text_ += "null";
  return *this;
}

}  // namespace ff::report
