#include "ffctl/cmd/master_session.hpp"

#include <fmt/core.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "ffctl/cluster/local_folder.hpp"
#include "ffctl/slurm/slurm_executor.hpp"
#include "libcommon/net/tcp_network.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/runtime/sleep.hpp"
#include "libcommon/runtime/stop_signal.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr auto kPause = 100ms;
constexpr auto kCallLeast = 100ms;

Caller this_user() {
  Caller caller;
  caller.set_uid(::geteuid());
  caller.set_gid(::getegid());
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 16384> buffer{};
  if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    caller.set_user(found->pw_name);
  } else {
    caller.set_user(std::to_string(::geteuid()));
  }
  return caller;
}

// "ff.ctl.Master/Control at unix:/x: job 3: is not known" to what the master said.
Error without_method(const Error& error) {
  const std::string& text = error.message();
  if (!text.starts_with("ff.ctl.Master/")) return error;
  const auto at = text.find(" at ");
  const auto end = at == std::string::npos ? at : text.find(": ", at);
  return end == std::string::npos ? error : Error(error.code(), text.substr(end + 2), error.sys_errno());
}

Task<Result<int>> connect_and_run(runtime::RealEnv& env, const MasterTarget& target, MasterBody& body) {
  Result<int> result = 0;
  {
    MasterSession session(env, target);
    result = co_await body.run(session);
    co_await session.stop();
  }
  co_await env.network().stop();
  co_return result;
}

Result<int> run_session(const MasterTarget& target, MasterBody& body) {
  FF_TRY_ASSIGN(const auto env, runtime::RealEnv::create({.registered_bytes = 0, .receive_buffers = 64}));
  net::TcpOptions tcp;
  tcp.endpoint.identity = {.role = "ffctl", .node_id = 0, .instance_id = env->rng().next() | 1};
  if (target.key_file.empty()) {
    for (const net::PeerAddress& one : target.masters)
      if (!one.planes.front().is_unix())
        return fail(Errc::kInvalidArgument,
                    fmt::format("--key: master {} is not on this machine's sockets (give the file of the cluster key, "
                                "or set FF_KEY)",
                                one.text()));
    tcp.endpoint.insecure = true;
  } else {
    FF_TRY_ASSIGN(net::ClusterKey key, net::ClusterKey::load(target.key_file));
    tcp.endpoint.key = std::make_shared<const net::ClusterKey>(std::move(key));
  }
  FF_TRY_ASSIGN(auto network, net::make_tcp_network(*env, std::move(tcp)));
  env->attach_network(std::move(network));
  const runtime::StopOnSignals signals(*env);
  Result<int> result = env->run(connect_and_run(*env, target, body));
  if (signals.caught() != 0) return 128 + signals.caught();
  return result;
}

}  // namespace

void MasterChoice::add_to(cli::Command& command) {
  command.options.push_back({.names = "--master",
                             .target = &masters_,
                             .help = "where ffctld is, or several of them; else the local cluster's",
                             .value_name = "HOST:PORT|unix:PATH,…",
                             .environment = "FF_MASTER"});
  command.options.push_back({.names = "--key",
                             .target = &key_,
                             .help = "file of the cluster key, for masters that are not reached by unix:PATH",
                             .value_name = "FILE",
                             .environment = "FF_KEY",
                             .complete = "file"});
  command.options.push_back({.names = "--executor",
                             .target = &executor_,
                             .help = "who runs jobs: the agents of ffctl, or the Slurm of this machine",
                             .choices = {"own", "slurm"},
                             .environment = "FF_EXECUTOR"});
  command.options.push_back({.names = "--cluster",
                             .target = &cluster_,
                             .help = "file that says so, and how jobs are put to Slurm",
                             .value_name = "FILE",
                             .environment = "FF_CTL_CLUSTER",
                             .complete = "file"});
  command.options.push_back({.names = "--timeout",
                             .target = &timeout_,
                             .help = "most that one question may take, with all its retries",
                             .min = 0.1,
                             .max = 86400});
}

Result<MasterTarget> MasterChoice::target() const {
  MasterTarget target{.masters = {}, .key_file = key_, .timeout = timeout_};
  FF_TRY_ASSIGN(target.slurm, executor_settings(executor_, cluster_));
  if (target.slurm) return target;
  if (masters_.empty()) {
    FF_TRY_ASSIGN(const std::string folder, local_folder(""));
    const std::string socket = local_socket(folder);
    if (struct stat about{}; ::stat(socket.c_str(), &about) != 0)
      return fail(Errc::kUnavailable,
                  fmt::format("master: none given, and no local cluster runs at {} (`ffctl up --local` starts one; "
                              "--master or FF_MASTER names another)",
                              folder));
    FF_TRY_ASSIGN(net::Address address, net::parse_address("unix:" + socket));
    target.masters.push_back({{std::move(address)}});
    return target;
  }
  for (std::size_t at = 0; at <= masters_.size();) {
    const std::size_t comma = std::min(masters_.find(',', at), masters_.size());
    auto address = net::parse_address(std::string_view(masters_).substr(at, comma - at));
    if (!address) return fail(std::move(address).error().context("--master"));
    target.masters.push_back({{std::move(*address)}});
    at = comma + 1;
  }
  return target;
}

MasterSession::MasterSession(runtime::Env& env, const MasterTarget& target)
    : env_(env),
      timeout_(target.timeout),
      patience_(runtime::saturating_add(env.now(), target.first_patience)),
      caller_(this_user()),
      executor_(target.slurm ? make_slurm_executor(env, *target.slurm) : nullptr) {
  for (const net::PeerAddress& master : target.masters) clients_.push_back(std::make_unique<rpc::Client>(env, master));
}

MasterSession::~MasterSession() = default;

Task<void> MasterSession::stop() {
  for (const auto& client : clients_) co_await client->stop();
}

Error MasterSession::lacks(std::string request) const {
  if (request.ends_with("Request")) request.resize(request.size() - std::string_view("Request").size());
  std::string words;
  for (const char c : request) {
    const bool capital = c >= 'A' && c <= 'Z';
    if (capital && !words.empty()) words += ' ';
    words += capital ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return {Errc::kInvalidArgument,
          fmt::format("{}: executor {} has nothing for it (it needs an ffctld)", words, executor_->name())};
}

rpc::CallOptions MasterSession::call_options(runtime::Time until, runtime::Duration own_wait) const {
  rpc::CallOptions options;
  options.timeout = std::max<runtime::Duration>(until - env_.now(), kCallLeast);
  // Of several masters one may be gone without a word.
  if (clients_.size() > 1) options.timeout = std::min<runtime::Duration>(options.timeout, own_wait + 5s);
  options.attempts = 1;
  options.wait_for_connection = false;
  return options;
}

Task<Result<>> MasterSession::next_try(Error error, runtime::Time until) {
  const bool gone = error.code() == Errc::kUnavailable || (error.code() == Errc::kTimeout && clients_.size() > 1);
  const runtime::Time last = answered_ ? until : std::min(until, patience_);
  // Each has been asked at least once.
  const bool all = tried_ + 1 >= clients_.size();
  if (!gone || (all && env_.now() + kPause >= last)) co_return fail(without_method(error));
  ++tried_;
  at_ = (at_ + 1) % clients_.size();
  if (at_ == 0) FF_CO_TRY(co_await runtime::sleep(kPause));
  co_return {};
}

Result<int> run_with_master(Result<MasterTarget> target, bool json, MasterBody& body) {
  const Result<int> result = target ? run_session(*target, body) : fail(std::move(target).error());
  if (result) return result;
  cli::report_error("ffctl", result.error(), json);
  return exit_code_of(result.error());
}

std::uint64_t wall_ms(const runtime::Env& env) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(env.wall_now().time_since_epoch()).count());
}

Result<> print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return fail(errno_error("standard output"));
  return {};
}

}  // namespace ff::ctl
