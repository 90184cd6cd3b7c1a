#include "tests/bench/load.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>

namespace ff::bench {
namespace {

sigset_t termination_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  return signals;
}

double seconds_of(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; }

}  // namespace

void LatencyHistogram::merge(const LatencyHistogram& other) noexcept {
  for (std::size_t i = 0; i < kSlots; ++i) (*counts_)[i] += (*other.counts_)[i];
  count_ += other.count_;
}

std::uint64_t LatencyHistogram::middle_of(std::size_t slot) noexcept {
  const std::size_t row = slot >> kBits;
  if (row == 0) return slot;
  const auto shift = static_cast<unsigned>(row - 1);
  const std::uint64_t low = ((slot & ((1UL << kBits) - 1)) + (1UL << kBits)) << shift;
  return low + ((1UL << shift) >> 1);
}

std::uint64_t LatencyHistogram::quantile_ns(double quantile) const noexcept {
  if (count_ == 0) return 0;
  const auto wanted =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(quantile * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kSlots; ++i) {
    seen += (*counts_)[i];
    if (seen >= wanted) return middle_of(i);
  }
  return middle_of(kSlots - 1);
}

void write_latencies(report::JsonWriter& json, const LatencyHistogram& latencies) {
  json.field("latency_ns_p50", latencies.quantile_ns(0.5))
      .field("latency_ns_p90", latencies.quantile_ns(0.9))
      .field("latency_ns_p99", latencies.quantile_ns(0.99))
      .field("latency_ns_p999", latencies.quantile_ns(0.999));
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

std::vector<cli::Option> LoadOptions::options() {
  return {{.names = "--port",
           .target = &port,
           .help = "port of the server on 127.0.0.1",
           .min = 1,
           .max = 65535,
           .required = true},
          {.names = "--connections", .target = &connections, .help = "connections", .min = 1, .max = 4096},
          {.names = "--outstanding",
           .target = &outstanding,
           .help = "requests that wait on each connection",
           .min = 1,
           .max = 65536},
          {.names = "--bytes",
           .target = &bytes,
           .help = "payload of a request and of its answer",
           .min = 0,
           .max = 1 << 20},
          {.names = "--seconds", .target = &seconds, .help = "duration of the load", .min = 0.01, .max = 3600},
          {.names = "--rate",
           .target = &rate,
           .help = "requests a second at fixed times (open loop); 0: as fast as the server answers",
           .min = 0,
           .max = 1e8}};
}

Result<int> print_load(const LatencyHistogram& latencies, double elapsed_seconds, double cpu_seconds) {
  report::JsonWriter json;
  json.begin_object()
      .field("requests", latencies.count())
      .field("seconds", elapsed_seconds)
      .field("requests_per_second", static_cast<double>(latencies.count()) / elapsed_seconds)
      .field("cpu_seconds", cpu_seconds);
  write_latencies(json, latencies);
  json.end_object();
  FF_TRY(print_line(json.text()));
  return cli::kExitOk;
}

int run_echo(const EchoProgram& program, int argc, char** argv) {
  std::int64_t port = 0;
  LoadOptions options;
  cli::Command server{.name = "server", .summary = "Answer until SIGTERM, then print the processor time used"};
  server.options = {
      {.names = "--port", .target = &port, .help = "port on 127.0.0.1; 0: a free one", .min = 0, .max = 65535}};
  server.run = [&] { return program.serve(port); };
  cli::Command client{.name = "client", .summary = "Load a server and print what it reached"};
  client.options = options.options();
  client.run = [&] { return program.load(options); };
  cli::Command root{.name = program.name, .summary = program.summary};
  root.commands = {server, client};
  return cli::run({.root = root}, argc, argv);
}

sockaddr_in loopback(std::int64_t port) noexcept {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

void block_termination() {
  const sigset_t signals = termination_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void report_when_terminated(std::uint16_t port, const std::function<void(report::JsonWriter&)>& more) {
  report::JsonWriter listening;
  listening.begin_object().field("listening", true).field("port", std::uint64_t{port}).end_object();
  if (!print_line(listening.text())) ::_exit(cli::kExitFailed);
  const sigset_t signals = termination_signals();
  int signal = 0;
  ::sigwait(&signals, &signal);
  report::JsonWriter json;
  json.begin_object().field("cpu_seconds", cpu_seconds());
  if (more) more(json);
  json.end_object();
  ::_exit(print_line(json.text()) ? cli::kExitOk : cli::kExitFailed);
}

Result<void> print_line(const std::string& text) {
  if (std::puts(text.c_str()) < 0 || std::fflush(stdout) != 0) return std::unexpected(errno_error("standard output"));
  return {};
}

}  // namespace ff::bench
