// Any bytes are a configuration or an error that starts with file and line; nothing throws. Accepted values pass the
// checks of their keys.
#include <cstdint>
#include <string_view>

#include "libcommon/base/assert.hpp"
#include "libcommon/config/loader.hpp"

namespace {

const ff::config::Schema& schema() {
  using ff::config::Type;
  static const ff::config::Schema instance({
      {.name = "name", .type = Type::kText, .otherwise = "x", .help = "text"},
      {.name = "net.port", .type = Type::kInteger, .otherwise = "1", .help = "integer", .min = 1, .max = 65535},
      {.name = "net.hosts", .type = Type::kTextList, .help = "list"},
      {.name = "net.routes", .type = Type::kTextMap, .help = "map"},
      {.name = "net.timeout", .type = Type::kDuration, .otherwise = "1s", .help = "duration"},
      {.name = "store.chunk", .type = Type::kSize, .otherwise = "1MiB", .help = "size"},
      {.name = "store.sync", .type = Type::kBool, .otherwise = "true", .help = "boolean"},
      {.name = "ratio", .type = Type::kReal, .otherwise = "0.5", .help = "real", .min = 0, .max = 1},
      {.name = "kind", .type = Type::kChoice, .otherwise = "a", .help = "choice", .choices = {"a", "b"}},
  });
  return instance;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ff::config::Config config(schema());
  const auto loaded = ff::config::load_text(config, text, "f");
  if (!loaded) {
    FF_ASSERT(loaded.error().message().starts_with("f:"), loaded.error().message());
    return 0;
  }
  const auto port = config.get<std::int64_t>("net.port");
  FF_ASSERT(port >= 1 && port <= 65535, port);
  const auto ratio = config.get<double>("ratio");
  FF_ASSERT(ratio >= 0 && ratio <= 1, ratio);
  const auto& kind = config.get<std::string>("kind");
  FF_ASSERT(kind == "a" || kind == "b", kind);
  return 0;
}
