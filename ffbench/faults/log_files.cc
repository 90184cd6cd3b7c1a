#include "ffbench/faults/log_files.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>

#include "ffbench/faults/civil_time.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kProcStatBytesMax = 4u << 20;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<LinesRead> read_faults(int fd, const std::string& name, const LogContext& context, const FaultSink& sink,
                              const std::function<bool()>& stopped) {
  const auto line = [&](std::string_view text) -> Result<> {
    const auto event = parse_fault(text, context);
    return event ? sink(*event) : Result<>();
  };
  return read_lines(fd, name, line, stopped);
}

// Read as text, a packed log would hold no faults: the counts would be too low and nobody would know.
Result<> check_not_compressed(int fd, const std::string& path) {
  std::array<char, 6> begin{};
  // Where it cannot be asked (a pipe), it is not a rotated log either.
  const ssize_t n = ::pread(fd, begin.data(), begin.size(), 0);
  const std::string_view magic(begin.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  using namespace std::string_view_literals;
  for (const auto& [bytes, unpack] : {std::pair("\x1f\x8b"sv, "zcat"),
                                      std::pair("\xfd"
                                                "7zXZ\0"sv,
                                                "xzcat"),
                                      std::pair("\x28\xb5\x2f\xfd"sv, "zstdcat"), std::pair("BZh"sv, "bzcat")})
    if (magic.starts_with(bytes))
      return fail(Errc::kUnsupported, fmt::format("{}: is compressed (give {} FILE | ffbench xid -)", path, unpack));
  return {};
}

std::string this_host() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// dmesg may be allowed what we are not (it can carry a capability of its own).
Result<LinesRead> read_dmesg(const LogContext& context, const FaultSink& sink, const Error& kmsg_error) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen("dmesg --raw 2>/dev/null", "re"), ::pclose);
  if (pipe == nullptr) return fail(errno_error("run dmesg"));
  FF_TRY_ASSIGN(LinesRead read, read_faults(::fileno(pipe.get()), "dmesg", context, sink, {}));
  if (read.lines == 0)
    return fail(Errc::kPermission,
                kmsg_error.message() +
                    ", and dmesg printed nothing (run as root, set kernel.dmesg_restrict=0, or name a log file)");
  return read;
}

}  // namespace

std::string host_of_file(const std::string& path) {
  if (path == "-") return {};
  const auto slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return name.substr(0, name.find('.'));
}

std::optional<std::int64_t> boot_time_ns(const std::string& root) {
  const auto stat = read_file(root + "/proc/stat", kProcStatBytesMax);
  if (!stat) return std::nullopt;
  const auto at = stat->find("\nbtime ");
  if (at == std::string::npos) return std::nullopt;
  std::int64_t seconds = 0;
  const char* const begin = stat->data() + at + 7;
  const auto [end, error] = std::from_chars(begin, stat->data() + stat->size(), seconds);
  if (error != std::errc() || seconds < 0 || seconds > 7'000'000'000) return std::nullopt;
  return seconds * kSecondNs;
}

Result<LinesRead> read_log_file(const std::string& path, const LogReading& reading, const FaultSink& sink) {
  UniqueFd file;
  if (path != "-") {
    file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail(errno_error(path));
    FF_TRY(check_not_compressed(file.get(), path));
  }
  const LogContext context{.reference_ns = now_ns(), .host = host_of_file(path), .boot_ns = reading.boot_ns};
  return read_faults(path == "-" ? STDIN_FILENO : file.get(), path == "-" ? "standard input" : path, context, sink,
                     reading.stopped);
}

Result<LinesRead> read_kernel_log(const std::string& root, const FaultSink& sink) {
  const LogContext context{.reference_ns = now_ns(), .host = this_host(), .boot_ns = boot_time_ns(root)};
  const std::string path = root + "/dev/kmsg";
  const UniqueFd kmsg(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  const int problem = kmsg ? 0 : errno;
  if (kmsg) {
    auto read = read_faults(kmsg.get(), path, context, sink, {});
    // The right to read is asked for by the first read in some kernels.
    if (read || !root.empty() || read.error().code() != Errc::kPermission) return read;
    return read_dmesg(context, sink, read.error());
  }
  if (!root.empty()) return fail(errno_error(path, problem));
  return read_dmesg(context, sink, errno_error(path, problem));
}

}  // namespace ff::bench
