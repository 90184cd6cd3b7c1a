// Peer: the least that moves messages over TCP on loopback, blocking sockets and one thread on each side.
//
// Forms of the client, both from one buffer into one buffer, whole messages at a time:
//   stream   messages leave back to back; the server acknowledges once, at the end;
//   request  the server acknowledges each message with 8 bytes, and `--outstanding` may wait for that (1: a bare remote
//            call with a bulk argument).
// The buffers of the kernel stay at their automatic sizes. Whole messages a call: pieces of 256 KiB measured a quarter
// slower, and receiving without MSG_WAITALL no different.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "libcommon/base/aligned_buffer.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/cli/app.hpp"
#include "tests/bench/load.hpp"

namespace ff::bench {
namespace {

constexpr std::uint64_t kAcknowledgement = 0x66662d61636b2121;  // any value that a wrong server would not send

// What the client says first.
struct Hello {
  std::uint64_t bytes;             // of a message
  std::uint64_t acknowledge_each;  // 1: each message; 0: once, when the client has shut its side down
};

struct Settings {
  std::int64_t port = 0;
  std::string congestion;  // empty: the kernel's default
  std::string form = "request";
  cli::ByteSize bytes{1 * kMiB};
  std::int64_t outstanding = 1;
  double seconds = 5;
};

Result<void> send_all(int fd, const void* data, std::size_t size) {
  const auto* at = static_cast<const std::byte*>(data);
  while (size > 0) {
    const ssize_t n = ::send(fd, at, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(errno_error("send"));
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return {};
}

// True when all `size` bytes came, false when the peer had ended before the first.
Result<bool> receive_all(int fd, void* data, std::size_t size) {
  auto* at = static_cast<std::byte*>(data);
  const std::size_t whole = size;
  while (size > 0) {
    const ssize_t n = ::recv(fd, at, size, MSG_WAITALL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(errno_error("receive"));
    if (n == 0 && size == whole) return false;
    if (n == 0) return fail(Errc::kUnavailable, "receive: the peer ended in the middle of a message");
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

// A socket with the options that both sides want; an answer that stays away for ten seconds is an error.
Result<UniqueFd> open_socket(const std::string& congestion) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return std::unexpected(errno_error("socket"));
  const int on = 1;
  const timeval patience{10, 0};
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (!congestion.empty() && ::setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, congestion.data(),
                                          static_cast<socklen_t>(congestion.size())) != 0)
    return std::unexpected(
        errno_error("--congestion " + congestion + " (see /proc/sys/net/ipv4/tcp_available_congestion_control)"));
  return fd;
}

Result<void> serve_connection(int fd, std::atomic<std::uint64_t>& received) {
  Hello hello{};
  FF_TRY_ASSIGN(const bool greeted, receive_all(fd, &hello, sizeof hello));
  if (!greeted) return {};
  if (hello.bytes == 0 || hello.bytes > kGiB) return fail(Errc::kInvalidArgument, "a message of that size is refused");
  AlignedBuffer buffer(hello.bytes);
  for (;;) {
    FF_TRY_ASSIGN(const bool got, receive_all(fd, buffer.data(), hello.bytes));
    if (!got) break;
    received += hello.bytes;
    if (hello.acknowledge_each != 0) FF_TRY(send_all(fd, &kAcknowledgement, sizeof kAcknowledgement));
  }
  if (hello.acknowledge_each != 0) return {};
  return send_all(fd, &kAcknowledgement, sizeof kAcknowledgement);
}

Result<int> serve(const Settings& settings) {
  block_termination();
  FF_TRY_ASSIGN(UniqueFd listener, open_socket(settings.congestion));
  sockaddr_in address = loopback(settings.port);
  socklen_t length = sizeof address;
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 16) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return std::unexpected(errno_error("--port"));
  static std::atomic<std::uint64_t> received{0};
  std::thread([fd = listener.get()] {
    for (;;) {
      const UniqueFd connection(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)) continue;
      if (!connection) ::_exit(cli::report_error("stream_sender", errno_error("accept"), false));
      if (const auto served = serve_connection(connection.get(), received); !served)
        cli::report_error("stream_sender", served.error(), false);
    }
  }).detach();
  report_when_terminated(ntohs(address.sin_port),
                         [](report::JsonWriter& json) { json.field("bytes", received.load()); });
}

Result<void> receive_acknowledgement(int fd) {
  std::uint64_t word = 0;
  FF_TRY_ASSIGN(const bool got, receive_all(fd, &word, sizeof word));
  if (!got || word != kAcknowledgement) return fail(Errc::kCorrupt, "the server sent no acknowledgement");
  return {};
}

struct Tally {
  std::uint64_t messages = 0;
  LatencyHistogram latencies;  // of requests: from the first byte sent to the acknowledgement
};

Result<void> send_requests(int fd, const AlignedBuffer& buffer, const Settings& settings, Clock::time_point end,
                           Tally& tally) {
  std::vector<Clock::time_point> begun(static_cast<std::size_t>(settings.outstanding));
  std::uint64_t sent = 0;
  while (tally.messages < sent || Clock::now() < end) {
    const bool more = Clock::now() < end;
    if (more && sent - tally.messages < begun.size()) {
      begun[sent++ % begun.size()] = Clock::now();
      FF_TRY(send_all(fd, buffer.data(), settings.bytes.bytes));
    } else {
      FF_TRY(receive_acknowledgement(fd));
      tally.latencies.record(Clock::now() - begun[tally.messages++ % begun.size()]);
    }
  }
  return {};
}

Result<void> send_stream(int fd, const AlignedBuffer& buffer, const Settings& settings, Clock::time_point end,
                         Tally& tally) {
  for (; Clock::now() < end; ++tally.messages) FF_TRY(send_all(fd, buffer.data(), settings.bytes.bytes));
  ::shutdown(fd, SHUT_WR);
  return receive_acknowledgement(fd);
}

Result<int> send(const Settings& settings) {
  FF_TRY_ASSIGN(const UniqueFd fd, open_socket(settings.congestion));
  const sockaddr_in address = loopback(settings.port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return std::unexpected(errno_error("--port (start `stream_sender server` there)"));
  const bool stream = settings.form == "stream";
  AlignedBuffer buffer(settings.bytes.bytes);
  std::memset(buffer.data(), 'x', settings.bytes.bytes);
  const Hello hello{settings.bytes.bytes, stream ? 0U : 1U};
  FF_TRY(send_all(fd.get(), &hello, sizeof hello));

  Tally tally;
  const double cpu_before = cpu_seconds();
  const auto start = Clock::now();
  const auto end = start + std::chrono::nanoseconds(static_cast<std::int64_t>(settings.seconds * 1e9));
  FF_TRY((stream ? send_stream : send_requests)(fd.get(), buffer, settings, end, tally));
  const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  const std::uint64_t bytes = tally.messages * settings.bytes.bytes;
  report::JsonWriter json;
  json.begin_object()
      .field("form", std::string_view(settings.form))
      .field("requests", tally.messages)
      .field("bytes", bytes)
      .field("seconds", elapsed)
      .field("bytes_per_second", static_cast<double>(bytes) / elapsed)
      .field("cpu_seconds", cpu_seconds() - cpu_before);
  if (!stream) write_latencies(json, tally.latencies);
  json.end_object();
  FF_TRY(print_line(json.text()));
  return cli::kExitOk;
}

}  // namespace
}  // namespace ff::bench

int main(int argc, char** argv) {
  using namespace ff;
  bench::Settings settings;
  const cli::Option congestion{.names = "--congestion",
                               .target = &settings.congestion,
                               .help = "congestion control; the kernel's default without",
                               .value_name = "NAME"};
  cli::Command server{.name = "server", .summary = "Receive until SIGTERM, then print the processor time used"};
  server.options = {
      {.names = "--port", .target = &settings.port, .help = "port on 127.0.0.1; 0: a free one", .min = 0, .max = 65535},
      congestion};
  server.run = [&settings] { return bench::serve(settings); };
  cli::Command client{.name = "client", .summary = "Send to a server and print what was reached"};
  client.options = {
      {.names = "--port",
       .target = &settings.port,
       .help = "port of the server",
       .min = 1,
       .max = 65535,
       .required = true},
      congestion,
      {.names = "--form",
       .target = &settings.form,
       .help = "acknowledge each message, or all at the end",
       .choices = {"request", "stream"}},
      {.names = "--bytes", .target = &settings.bytes, .help = "size of a message", .min = 1, .max = 1 << 30},
      {.names = "--outstanding",
       .target = &settings.outstanding,
       .help = "messages that may wait for their acknowledgement",
       .min = 1,
       .max = 4096},
      {.names = "--seconds", .target = &settings.seconds, .help = "duration of the load", .min = 0.01, .max = 3600}};
  client.run = [&settings] { return bench::send(settings); };
  cli::Command root{.name = "stream_sender", .summary = "Bulk over blocking sockets, to compare with"};
  root.commands = {server, client};
  return cli::run({.root = root}, argc, argv);
}
