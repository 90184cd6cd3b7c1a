#include "libcommon/report/json_cursor.hpp"

#include <fmt/core.h>

#include "libcommon/report/utf8.hpp"

namespace ff::report {

std::unexpected<Error> JsonCursor::error(std::string_view reason) const {
  return fail(Errc::kCorrupt, fmt::format("{}: {}", path(), reason));
}

std::unexpected<Error> JsonCursor::expected(std::string_view kind) const {
  return error(fmt::format("is {} (expected {})", value_->kind_name(), kind));
}

JsonCursor JsonCursor::at_member(std::string_view name, const JsonValue& value) const {
  std::string path = path_.empty() ? std::string() : path_ + ".";
  return {&value, path + printable(name)};
}

Result<std::optional<JsonCursor>> JsonCursor::optional_member(std::string_view name) const {
  if (value_->object() == nullptr) return expected("an object");
  const JsonValue* found = value_->find(name);
  if (found == nullptr) return std::optional<JsonCursor>();
  return at_member(name, *found);
}

Result<JsonCursor> JsonCursor::member(std::string_view name) const {
  FF_TRY_ASSIGN(auto found, optional_member(name));
  if (!found) return at_member(name, *value_).error("is missing");
  return *found;
}

Result<std::vector<JsonCursor>> JsonCursor::items() const {
  const auto* array = value_->array();
  if (array == nullptr) return expected("a list");
  std::vector<JsonCursor> all;
  all.reserve(array->size());
  for (std::size_t i = 0; i < array->size(); ++i)
    all.push_back({&(*array)[i], fmt::format("{}[{}]", path_.empty() ? "document" : path_, i)});
  return all;
}

Result<std::vector<std::pair<std::string, JsonCursor>>> JsonCursor::members() const {
  const auto* object = value_->object();
  if (object == nullptr) return expected("an object");
  std::vector<std::pair<std::string, JsonCursor>> all;
  all.reserve(object->size());
  for (const auto& [name, value] : *object) all.emplace_back(name, at_member(name, value));
  return all;
}

Result<std::string> JsonCursor::text() const {
  if (value_->text() == nullptr) return expected("a text");
  return *value_->text();
}

Result<bool> JsonCursor::boolean() const {
  if (const auto value = value_->boolean()) return *value;
  return expected("true or false");
}

Result<std::int64_t> JsonCursor::integer() const {
  if (const auto value = value_->integer()) return *value;
  return expected("a whole number");
}

Result<double> JsonCursor::number() const {
  if (const auto value = value_->number()) return *value;
  return expected("a number");
}

Result<std::string> JsonCursor::text(std::string_view name) const {
  FF_TRY_ASSIGN(const JsonCursor at, member(name));
  return at.text();
}

Result<bool> JsonCursor::boolean(std::string_view name) const {
  FF_TRY_ASSIGN(const JsonCursor at, member(name));
  return at.boolean();
}

Result<std::int64_t> JsonCursor::integer(std::string_view name) const {
  FF_TRY_ASSIGN(const JsonCursor at, member(name));
  return at.integer();
}

Result<double> JsonCursor::number(std::string_view name) const {
  FF_TRY_ASSIGN(const JsonCursor at, member(name));
  return at.number();
}

}  // namespace ff::report
