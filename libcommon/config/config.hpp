// Config: one value for each key of a Schema, with the memory of where it came from.
//
// Strength   flag, environment (FF_*), file, default; a weaker source never replaces a stronger one, whatever the order
//            of the calls.
// Lifetime   the Schema must outlive the Config.
// Threads    filled by one thread; reading is safe from any after that.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libcommon/base/assert.hpp"
#include "libcommon/config/schema.hpp"

namespace ff::config {

enum class Source : std::uint8_t { kDefault, kFile, kEnvironment, kFlag };

struct Origin {
  Source source = Source::kDefault;
  std::string place = "default";  // "site.yaml:12", "FF_NET_TIMEOUT", "--timeout"
};

class Config {
 public:
  // All defaults.
  explicit Config(const Schema& schema);

  // Takes every FF_* variable of the schema that is set and not empty. kInvalidArgument: "FF_NET_TIMEOUT: ...".
  Result<> load_environment();
  // A value that a flag gave. "map.name" is one entry of a map, and leaves the others. kInvalidArgument: the text does
  // not fit, or there is no such key.
  Result<> set_flag(std::string_view name, std::string_view text, std::string_view flag);
  // What the loaders call. REQUIRES: the value came from parse_value() or check_list() of this key.
  void set(std::size_t key, Value value, Origin origin);

  // REQUIRES: the key exists and T is the type of its Value (std::string, std::int64_t, double, bool, std::uint64_t for
  // sizes, std::chrono::nanoseconds, std::vector<std::string>, TextMap).
  template <class T>
  const T& get(std::string_view name) const {
    const T* value = std::get_if<T>(&value_of(name));
    FF_ASSERT(value != nullptr, name);
    return *value;
  }
  // REQUIRES: the key exists.
  const Value& value_of(std::string_view name) const;
  const Origin& origin_of(std::string_view name) const;
  const Schema& schema() const noexcept { return *schema_; }

 private:
  std::size_t index_of(std::string_view name) const;

  const Schema* schema_;
  std::vector<std::pair<Value, Origin>> values_;  // in the order of the schema's keys
};

}  // namespace ff::config
