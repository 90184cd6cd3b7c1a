// Schema: the table of a program's configuration keys. It feeds the strict file loader, the environment, --print-config
// and the man page, so that none of them can disagree.
//
// A key's name is a path, "net.timeout": maps in the file, FF_NET_TIMEOUT in the environment.
// Threads: immutable after construction.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::config {

enum class Type : std::uint8_t { kText, kInteger, kReal, kBool, kSize, kDuration, kChoice, kTextList, kTextMap };

// "text", "integer", "real", "boolean", "size", "duration", "choice", "list", "map".
std::string_view type_name(Type type) noexcept;

using TextMap = std::map<std::string, std::string>;
// kText and kChoice hold a string, kSize the bytes as uint64, the others what their names say.
using Value = std::variant<std::string, std::int64_t, double, bool, std::uint64_t, std::chrono::nanoseconds,
                           std::vector<std::string>, TextMap>;

struct Key {
  std::string name;  // "net.timeout": words of a-z, 0-9 and _ joined by points
  Type type = Type::kText;
  std::string otherwise;           // the default, written as in the environment
  std::string help;                // one line, no full stop
  std::string unit = {};           // of plain numbers: "ranks", "threads"
  std::optional<double> min = {};  // numbers, sizes (bytes), durations (seconds)
  std::optional<double> max = {};
  std::vector<std::string> choices = {};
  bool of_file_alone = false;  // no variable of the environment sets it
};

// FF_NET_TIMEOUT of "net.timeout"; empty: none sets it.
std::string environment_name(const Key& key);

// Reads a value as flags and the environment write it (a list is separated by commas, a map is a list of NAME=TEXT) and
// checks it against the key.
// kInvalidArgument tells what is wrong with the text, without the key's name.
Result<Value> parse_value(const Key& key, std::string_view text);
// Checks the choices and bounds of the items of a list.
Result<Value> check_list(const Key& key, std::vector<std::string> items);
// The opposite of parse_value: exact, so that reading it back gives the same value.
std::string value_text(const Value& value);
// "1ms to 1h", "at least 1", or nothing.
std::string range_text(const Key& key);

class Schema {
 public:
  // REQUIRES: names are unique and well formed, none is a group of another, defaults pass their own checks.
  explicit Schema(std::vector<Key> keys);

  const std::vector<Key>& keys() const noexcept { return keys_; }
  // Position in keys().
  std::optional<std::size_t> find(std::string_view name) const noexcept;
  // Whether `name` is a map above some key; the empty name is the whole file.
  bool is_group(std::string_view name) const noexcept;
  // The words that may stand directly in a group.
  std::vector<std::string> children(std::string_view group) const;

 private:
  std::vector<Key> keys_;
};

}  // namespace ff::config
