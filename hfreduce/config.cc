// Config::from_environment: the HFR_* variables, each checked; an error names the variable and what it takes.
#include <fmt/core.h>

#include <charconv>
#include <cstdlib>
#include <optional>

#include "hfreduce/communicator.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/duration.hpp"

namespace ff::hfreduce {
namespace {

std::optional<std::string> variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? std::nullopt : std::optional<std::string>(text);
}

Result<ShmPath> parse_ordinary_path(const std::string& text) {
  for (const ShmPath path : {ShmPath::kAuto, ShmPath::kStaged, ShmPath::kCma})
    if (text == shm_path_name(path)) return path;
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}' is not a path for ordinary buffers (use auto, staged or cma)", text));
}

Result<bool> parse_bool(const std::string& text) {
  if (text == "1" || text == "true" || text == "yes" || text == "on") return true;
  if (text == "0" || text == "false" || text == "no" || text == "off") return false;
  return fail(Errc::kInvalidArgument, fmt::format("'{}' is neither 1 nor 0", text));
}

Result<int> parse_channels(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > 16)
    return fail(Errc::kInvalidArgument, fmt::format("'{}' is not a number of channels (0 to 16)", text));
  return value;
}

Result<std::chrono::nanoseconds> parse_timeout(const std::string& text) {
  FF_TRY_ASSIGN(const std::chrono::nanoseconds value, parse_duration(text));
  if (value <= std::chrono::nanoseconds(0)) return fail(Errc::kInvalidArgument, "a timeout must be more than zero");
  return value;
}

// Sets `target` from the variable, if it is there.
template <class T, class Parse>
Result<> read(const char* name, T& target, Parse parse) {
  const auto text = variable(name);
  if (!text) return {};
  auto value = parse(*text);
  if (!value) return fail(std::move(value).error().context(name));
  target = *value;
  return {};
}

}  // namespace

Result<Transport> parse_transport(std::string_view text) {
  if (text == "auto") return Transport::kAuto;
  if (text == "shm") return Transport::kShm;
  if (text == "tcp") return Transport::kTcp;
  return fail(Errc::kInvalidArgument, fmt::format("'{}' is not a transport (use auto, shm or tcp)", text));
}

Result<Config> Config::from_environment() {
  Config c;
  FF_TRY(read("HFR_TIMEOUT", c.timeout, parse_timeout));
  FF_TRY(read("HFR_CONNECT_TIMEOUT", c.connect_timeout, parse_timeout));
  FF_TRY(read("HFR_TRANSPORT", c.transport, parse_transport));
  FF_TRY(read("HFR_DETERMINISTIC", c.deterministic, parse_bool));
  FF_TRY(read("HFR_ALGO", c.algorithm, parse_net_algorithm));
  FF_TRY(read("HFR_SHM_PATH", c.ordinary, parse_ordinary_path));
  FF_TRY(read("HFR_CHANNELS", c.channels, parse_channels));
  FF_TRY(read("HFR_NET_CHUNK", c.net_chunk_bytes, parse_byte_size));
  FF_TRY(read("HFR_SHM_CHUNK", c.shm_chunk_bytes, parse_byte_size));
  FF_TRY(read("HFR_FLAT_MAX", c.flat_bytes_max, parse_byte_size));
  FF_TRY(read("HFR_TRACE", c.trace, parse_bool));
  if (const auto text = variable("HFR_ADDRESS")) c.interface_address = *text;
  if (const auto text = variable("HFR_HOST_ID")) c.host_id = *text;
  if (const auto text = variable("HFR_FLIGHT_DIR")) c.flight_dir = *text;
  return c;
}

}  // namespace ff::hfreduce
