// JsonCursor: a place in a JsonValue that knows its path, so that what is wrong there names it:
//   rows[3].metrics[0].unit: is missing
//   rows[3].name: is a number (expected a text)
// Ownership  refers to the tree, which must outlive it. Errors  kCorrupt. Threads  a value type.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libcommon/report/json_value.hpp"

namespace ff::report {

class JsonCursor {
 public:
  explicit JsonCursor(const JsonValue& root) : value_(&root) {}

  const JsonValue& value() const noexcept { return *value_; }
  // "rows[3].name"; "the document" at the root.
  std::string path() const { return path_.empty() ? "the document" : path_; }
  // "path: reason".
  std::unexpected<Error> error(std::string_view reason) const;

  // A member of an object that must be there; the error of find() says what is there instead.
  Result<JsonCursor> member(std::string_view name) const;
  // The same where it may be absent.
  Result<std::optional<JsonCursor>> optional_member(std::string_view name) const;
  // The elements of a list, the members of an object.
  Result<std::vector<JsonCursor>> items() const;
  Result<std::vector<std::pair<std::string, JsonCursor>>> members() const;

  Result<std::string> text() const;
  Result<bool> boolean() const;
  Result<std::int64_t> integer() const;
  Result<double> number() const;

  // member(name), then its value.
  Result<std::string> text(std::string_view name) const;
  Result<bool> boolean(std::string_view name) const;
  Result<std::int64_t> integer(std::string_view name) const;
  Result<double> number(std::string_view name) const;

 private:
  JsonCursor(const JsonValue* value, std::string path) : value_(value), path_(std::move(path)) {}
  JsonCursor at_member(std::string_view name, const JsonValue& value) const;
  std::unexpected<Error> expected(std::string_view kind) const;

  const JsonValue* value_;
  std::string path_;
};

}  // namespace ff::report
