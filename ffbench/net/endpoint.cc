#include "ffbench/net/endpoint.hpp"

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "ffbench/measure/processors.hpp"
#include "ffbench/net/socket_traffic.hpp"
#include "libcommon/cli/app.hpp"

namespace ff::bench {
namespace {

std::uint64_t process_cpu_ns() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto ns = [](const timeval& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_usec) * 1000;
  };
  return ns(used.ru_utime) + ns(used.ru_stime);
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? std::string(name) : std::string("?");
}

Result<TrafficHost::FfNetwork> ff_network(runtime::RealEnv& env, const SharedKey& key, const NetTest& test) {
  net::TcpOptions options = net_options("net-test", key);
  options.lanes_per_plane = static_cast<std::uint16_t>(test.lanes());
  options.bulk_checksum = test.checksum();
  if (test.tls()) {
    if (!key) return fail(Errc::kInvalidArgument, "--tls: needs a cluster key (give --key FILE instead of --insecure)");
    FF_TRY_ASSIGN(net::TlsContext tls, net::TlsContext::from_cluster_key(*key));
    options.tls = std::make_shared<const net::TlsContext>(std::move(tls));
  }
  FF_TRY_ASSIGN(auto network, net::make_tcp_network(env, std::move(options)));
  return TrafficHost::FfNetwork{std::move(network), true};
}

}  // namespace

net::TcpOptions net_options(const char* role, SharedKey key) {
  net::TcpOptions options;
  std::uint64_t instance = 0;
  while (instance == 0) net::secure_random(std::as_writable_bytes(std::span(&instance, 1)));
  options.endpoint.identity = {role, 0, instance};
  options.endpoint.insecure = key == nullptr;
  options.endpoint.key = std::move(key);
  return options;
}

Result<SharedKey> parse_key_line(const std::string& text) {
  if (text == "insecure\n") return SharedKey();
  FF_TRY_ASSIGN(net::ClusterKey key, net::ClusterKey::parse(text));
  return std::make_shared<const net::ClusterKey>(std::move(key));
}

std::string key_line(const SharedKey& key) {
  if (!key) return "insecure\n";
  std::string line = "ffkey1 ";
  for (const std::byte b : key->bytes()) line += fmt::format("{:02x}", static_cast<unsigned>(b));
  return line + "\n";
}

Result<SharedKey> load_key(const std::string& file, bool insecure) {
  if (insecure && !file.empty())
    return fail(Errc::kInvalidArgument, "--key, --insecure: contradict each other (give one of them)");
  if (insecure) return SharedKey();
  if (file.empty())
    return fail(Errc::kInvalidArgument,
                "--key: no key (give --key FILE, the same file on all hosts; or --insecure where everybody who reaches "
                "this port may run tests)");
  FF_TRY_ASSIGN(net::ClusterKey key, net::ClusterKey::load(file));
  return std::make_shared<const net::ClusterKey>(std::move(key));
}

TrafficHost real_traffic_host(runtime::RealEnv& env, SharedKey key) {
  TrafficHost host;
  host.name = host_name();
  host.pid = static_cast<std::uint64_t>(::getpid());
  host.version = cli::build_version();
  host.cpu_ns = process_cpu_ns;
  host.socket_traffic = make_socket_traffic;
  host.ff_network = [&env, key](const NetTest& test) { return ff_network(env, key, test); };
  // Threads that are started from now on inherit it; those that run keep their place.
  host.bind = [all = allowed_processors()](const std::vector<int>& processors) -> Result<> {
    if (!all) return std::unexpected(all.error());
    // Against those of the start: another test may have bound this process to others meanwhile.
    for (const int processor : processors)
      if (!std::ranges::binary_search(*all, processor))
        return fail(Errc::kInvalidArgument, fmt::format("processor {}: not available to this agent (it may use {})",
                                                        processor, format_processors(*all)));
    return move_this_thread(processors.empty() ? *all : processors);
  };
  return host;
}

}  // namespace ff::bench
