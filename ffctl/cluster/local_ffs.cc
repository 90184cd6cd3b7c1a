#include "ffctl/cluster/local_ffs.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <random>

#include "ffctl/cluster/child.hpp"
#include "ffctl/cluster/executables.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/net/cluster_key.hpp"
#include "libcommon/report/json_cursor.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;

namespace {

namespace fs = std::filesystem;

// Below the range that the kernel gives to whoever asks for any port.
constexpr std::uint32_t kPortMin = 10'000, kPortMax = 30'000;
constexpr int kPortTries = 200;
constexpr auto kFormatPatience = 30s;

bool is_free(std::uint32_t port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return fd && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

Result<std::uint32_t> free_ports(std::uint32_t count) {
  std::random_device random;
  for (int i = 0; i < kPortTries; ++i) {
    const std::uint32_t first = kPortMin + random() % (kPortMax - kPortMin);
    bool all = true;
    for (std::uint32_t port = first; all && port < first + count; ++port) all = is_free(port);
    if (all) return first;
  }
  return fail(Errc::kExhausted,
              fmt::format("ffs: no {} free ports in a row from {} to {} (give --no-ffs)", count, kPortMin, kPortMax));
}

std::string random_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

std::string description(std::uint32_t processes, std::uint32_t port) {
  std::string text = fmt::format(
      "# The file system of a local cluster, made by `ffctl up --local`. man 5 ffs-cluster explains each key.\n"
      "cluster:\n  id: '{}'\n  key: cluster.key\n  replicas: {}\n  chains_per_folder: 2\n  one_host: true\n"
      "mgmtd:\n  store: rocksdb:mgmtd\nmetad:\n  store: rocksdb:metad\n"
      "stored:\n  journal: 8MiB\n"
      "nodes:\n",
      random_id(), processes);
  for (std::uint32_t i = 1; i <= processes; ++i)
    text += fmt::format("  - {} 127.0.0.1:{} {}stored node-{}\n", i, port + i - 1, i == 1 ? "mgmtd,metad," : "", i);
  return text;
}

}  // namespace

std::string local_ffs_folder(const std::string& folder) { return folder + "/ffs"; }

Result<DaemonCommand> local_ffs_command(const std::string& folder) {
  FF_TRY_ASSIGN(const std::string ffs, find_executable("ffs"));
  return DaemonCommand{.name = "ffs",
                       .words = {ffs, "serve", local_ffs_folder(folder)},
                       .pid_file = folder + "/ffs.pid",
                       .log_file = folder + "/ffs.log",
                       .folder = folder,
                       .environment = {}};
}

Result<> prepare_local_ffs(const std::string& folder, std::uint32_t processes) {
  const std::string home = local_ffs_folder(folder), mark = home + "/formatted";
  if (::access(mark.c_str(), F_OK) == 0) return {};
  FF_TRY_ASSIGN(const std::string ffs, find_executable("ffs"));
  std::error_code error;
  fs::remove_all(home, error);
  if (error) return fail(errno_error(home, error.value()));
  fs::create_directory(home, error);
  if (error) return fail(errno_error(home, error.value()));
  FF_TRY(net::ClusterKey::generate().create_file(home + "/cluster.key"));
  FF_TRY_ASSIGN(const std::uint32_t port, free_ports(processes));
  FF_TRY(write_file_atomic(home + "/cluster.yaml", description(processes, port)));
  std::vector<ChildCommand> commands;
  for (std::uint32_t i = 1; i <= processes; ++i)
    commands.push_back({.name = fmt::format("ffs format --node {}", i),
                        .words = {ffs, "format", home + "/cluster.yaml", "--node", std::to_string(i)},
                        .input = "",
                        .patience = kFormatPatience,
                        .environment = {}});
  const auto done = run_children(commands, commands.size());
  for (std::size_t i = 0; i < done.size(); ++i) {
    if (!done[i]) return fail(done[i].error());
    if (done[i]->code != 0)
      return fail(Errc::kInternal, fmt::format("{}: {}", commands[i].name, last_line(done[i]->errors)));
  }
  return write_file_atomic(mark, "");
}

Result<std::string> ffs_state(const std::string& description, std::chrono::milliseconds patience) {
  FF_TRY_ASSIGN(const std::string ffs, find_executable("ffs"));
  FF_TRY_ASSIGN(const ChildResult result, run_child({.name = "ffs status",
                                                     .words = {ffs, "status", "--cluster", description, "--timeout",
                                                               fmt::format("{}ms", patience.count()), "--json"},
                                                     .input = "",
                                                     .patience = 2 * patience + 5s,
                                                     .environment = {}}));
  if (result.code == 0) return std::string("healthy");
  const auto tree = report::JsonValue::parse(result.output);
  if (tree) {
    const report::JsonCursor at(*tree);
    if (const auto rows = at.member("rows"); rows) {
      if (const auto items = rows->items(); items && !items->empty()) {
        if (auto word = items->front().text("status"); word) return *std::move(word);
      }
    }
  }
  return fail(Errc::kUnavailable, "ffs: " + last_line(result.errors));
}

}  // namespace ff::ctl
