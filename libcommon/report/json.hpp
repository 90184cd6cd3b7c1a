// JsonWriter: streams JSON text in the order of the calls; no tree, no allocation but the output string.
// Doubles print as the shortest text that reads back to the same value; NaN and infinities print as null.
// Strings must be UTF-8; bytes that are not become U+FFFD. REQUIRES: calls nest as JSON does (asserted).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ff::report {

class JsonWriter {
 public:
  // indent 0 writes one line.
  explicit JsonWriter(int indent = 0) : indent_(indent) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool b);
  JsonWriter& value(double d);
  JsonWriter& value(std::int64_t i);
  JsonWriter& value(std::uint64_t u);
  JsonWriter& value(int i) { return value(static_cast<std::int64_t>(i)); }
  JsonWriter& value(unsigned u) { return value(static_cast<std::uint64_t>(u)); }
  JsonWriter& null();
  // key + value.
  template <class T>
  JsonWriter& field(std::string_view name, T v) {
    key(name);
    return value(v);
  }

  // The text so far; complete when every object and array has ended.
  const std::string& text() const noexcept { return text_; }
  std::string take() { return std::move(text_); }

 private:
  void begin_value();
  void separate();
  void newline();
  enum class In : std::uint8_t { kObject, kArray };
  std::vector<In> stack_;
  std::vector<bool> has_items_;
  bool after_key_ = false;
  int indent_;
  std::string text_;
};

}  // namespace ff::report
