#include "ffbench/node/isolate.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>

#include "libcommon/base/deadline.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kFindingsBytesMax = 4u << 20;
constexpr int kPollMs = 50;  // how soon a requested stop is seen
constexpr auto kReapWait = std::chrono::seconds(1);

[[noreturn]] void run_child(int out, pid_t parent, const std::function<Findings()>& check) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it died before it could be asked
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE}) std::signal(signal, SIG_DFL);
  const rlimit no_core{0, 0};  // a crash is reported by its signal; nobody wants a core of a memory test
  ::setrlimit(RLIMIT_CORE, &no_core);
  // Results alone go to standard output, and they are the parent's.
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  report::JsonWriter writer;
  writer.begin_array();
  for (const Finding& finding : check()) write_finding(writer, finding);
  writer.end_array();
  const std::string text = writer.take();
  const bool written = write_all(out, std::as_bytes(std::span(text))).has_value();
  ::_exit(written ? 0 : 1);
}

enum class End : std::uint8_t { kFinished, kDeadline, kStopped, kTooLong };

// Reads until the child closes its end.
End collect(int in, Deadline deadline, const std::stop_token& stop, std::string& text) {
  std::array<char, 16384> buffer;
  for (;;) {
    if (stop.stop_requested()) return End::kStopped;
    if (deadline.expired()) return End::kDeadline;
    pollfd ready{in, POLLIN, 0};
    if (::poll(&ready, 1, deadline.poll_timeout_ms(kPollMs)) <= 0) continue;
    const ssize_t got = ::read(in, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return End::kFinished;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kFindingsBytesMax) return End::kTooLong;
  }
}

// The child's wait status; nothing when the kernel does not let it go in time.
std::optional<int> reap(pid_t child, Deadline deadline) {
  for (;;) {
    int status = 0;
    const pid_t got = ::waitpid(child, &status, WNOHANG);
    if (got == child) return status;
    if (got < 0 && errno != EINTR) return std::nullopt;
    if (deadline.expired()) return std::nullopt;
    ::usleep(2000);
  }
}

Result<Findings> parse_findings(const std::string& text) {
  FF_TRY_ASSIGN(const auto tree, report::JsonValue::parse(text));
  if (tree.array() == nullptr) return fail(Errc::kCorrupt, "findings: are no list");
  Findings findings;
  for (const report::JsonValue& item : *tree.array()) {
    FF_TRY_ASSIGN(Finding finding, parse_finding(item));
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace

Findings run_isolated(const std::string& name, const std::string& measures, std::chrono::nanoseconds deadline,
                      const std::function<Findings()>& check, const std::stop_token& stop, DeadlineOf whose) {
  const auto alone = [&](CheckVerdict verdict, std::string reason, std::string fix) {
    return Findings{statement(name, measures, verdict, std::move(reason), std::move(fix))};
  };
  const auto started = Deadline::Clock::now();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return alone(CheckVerdict::kFail, errno_error("pipe").message(), "free file descriptors");
  UniqueFd in(ends[0]), out(ends[1]);
  std::fflush(nullptr);  // or the child would write what is buffered here once more
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return alone(CheckVerdict::kFail, errno_error("fork").message(), "free memory or processes");
  if (child == 0) run_child(out.get(), parent, check);
  ::setpgid(child, child);  // also here: whoever comes first, the group exists before it is killed
  out.reset();
  std::string text;
  const End end = collect(in.get(), Deadline::after(deadline), stop, text);
  if (end != End::kFinished) ::kill(-child, SIGKILL);
  const auto status = reap(child, Deadline::after(kReapWait));
  ::kill(-child, SIGKILL);  // what the child left behind
  if (end == End::kStopped) return alone(CheckVerdict::kSkip, "stopped before it was done", "run it again");
  if (end == End::kDeadline && whose == DeadlineOf::kAll && status)
    return alone(CheckVerdict::kWarn,
                 fmt::format("cut short after {}: the time for all checks was up", format_duration(deadline)),
                 "give more --timeout, or look for the check that took it");
  if (end == End::kDeadline)
    return alone(CheckVerdict::kFail,
                 fmt::format("hung: no answer within {}{}", format_duration(deadline),
                             status ? "" : ", and the kernel does not let its process go (state D)"),
                 "look for the device it waits for (dmesg, /proc/PID/stack); reboot when it does not answer");
  if (!status) return alone(CheckVerdict::kFail, "its process does not end (state D)", "look at dmesg; reboot");
  if (WIFSIGNALED(*status))
    return alone(CheckVerdict::kFail,
                 fmt::format("crashed by signal {} (SIG{})", WTERMSIG(*status),
                             ::sigabbrev_np(WTERMSIG(*status)) ? ::sigabbrev_np(WTERMSIG(*status)) : "?"),
                 "look at dmesg; a crash of a check that runs elsewhere points to bad memory or a bad driver");
  auto findings = parse_findings(text);
  if (!findings || findings->empty())
    return alone(CheckVerdict::kFail,
                 findings ? "said nothing" : "its findings cannot be read: " + findings.error().message(),
                 "run it again; report it when it comes back");
  const std::int64_t elapsed_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Deadline::Clock::now() - started).count();
  for (Finding& finding : *findings) finding.elapsed_ns = elapsed_ns;
  return std::move(*findings);
}

}  // namespace ff::bench
