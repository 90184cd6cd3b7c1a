#include "ffctl/cluster/host_work.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "ffctl/cluster/local_cluster.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/net/cluster_key.hpp"
#include "libcommon/report/json.hpp"
#include "libcommon/report/json_cursor.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;

namespace {

constexpr auto kStopPatience = 10s;
constexpr auto kBeginPatience = 300ms;
constexpr std::size_t kKeyBytesMax = 4096;
constexpr int kKillRounds = 500;

DaemonCommand daemon_of(const ClusterHost& host, std::string name, std::vector<std::string> words) {
  const std::string base = host.folder + "/" + name;
  return {.name = std::move(name),
          .words = std::move(words),
          .pid_file = base + ".pid",
          .log_file = base + ".log",
          .folder = host.folder,
          .environment = {}};
}

// The key that is there must be that of the cluster: two clusters in one folder would ruin each other.
Result<> take_key(const HostWork& work) {
  const std::string path = work.folder + "/key";
  const auto there = read_file(path, kKeyBytesMax);
  if (there && *there == work.key) return {};
  if (there) return fail(Errc::kAlreadyExists, path + ": is the key of another cluster (name another folder)");
  FF_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path, 0600));
  FF_TRY(file.write(std::as_bytes(std::span(work.key))));
  FF_TRY(file.commit());
  const auto key = net::ClusterKey::load(path);
  return key ? Result<>() : Result<>(fail(key.error()));
}

Result<> end_ranks(const HostWork& work) {
  std::vector<pid_t> left = ranks_below(work.folder);
  if (left.empty()) return {};
  if (!work.force)
    return fail(Errc::kUnavailable, fmt::format("{} processes of jobs run (stop them, or give --force)", left.size()));
  for (int i = 0; i < kKillRounds && !left.empty(); ++i) {
    for (const pid_t pid : left) ::kill(pid, SIGKILL);
    ::usleep(20'000);
    left = ranks_below(work.folder);
  }
  if (left.empty()) return {};
  return fail(Errc::kTimeout, fmt::format("{} processes of jobs live although they were killed", left.size()));
}

Result<HostVerb> verb_of(const std::string& word) {
  if (word == "up") return HostVerb::kUp;
  if (word == "down") return HostVerb::kDown;
  return fail(Errc::kInvalidArgument, fmt::format("verb '{}': is neither up nor down", word));
}

}  // namespace

HostWork host_work(const ClusterPlan& plan, const ClusterHost& host, HostVerb verb, std::string key) {
  HostWork work{.verb = verb, .folder = host.folder, .key = std::move(key), .daemons = {}};
  const std::string key_file = host.folder + "/key";
  if (host.master) {
    const std::string store = plan.store == "rocksdb" ? "rocksdb:" + host.folder + "/ffctld" : plan.store;
    work.daemons.push_back(daemon_of(
        host, "ffctld",
        {plan.binaries + "/ffctld", "--store", store, "--listen", fmt::format("{}:{}", host.address, plan.master_port),
         "--socket", host.folder + "/ffctld.sock", "--key", key_file, "--name", host.name, "--policy", plan.policy,
         "--min-run", exact_duration(plan.min_run)}));
  }
  if (host.node) {
    DaemonCommand agent = daemon_of(
        host, "ffnoded",
        {plan.binaries + "/ffnoded", "--master", master_addresses(plan), "--key", key_file, "--name", host.name,
         "--folder", host.folder + "/node", "--listen", fmt::format("{}:{}", host.address, plan.node_port), "--host",
         host.address, "--gpus", std::to_string(host.gpus)});
    if (host.fake_gpus) agent.words.emplace_back("--fake-gpus");
    for (const auto& [option, value] : {std::pair("--zone", host.zone), std::pair("--leaf", host.leaf)})
      if (!value.empty()) agent.words.insert(agent.words.end(), {option, value});
    for (const std::string& label : host.labels) agent.words.insert(agent.words.end(), {"--label", label});
    if (!plan.ffs.empty()) agent.environment.emplace_back("FF_CLUSTER", plan.ffs);
    work.daemons.push_back(std::move(agent));
  }
  return work;
}

std::string host_work_text(const HostWork& work) {
  report::JsonWriter json;
  json.begin_object().field("schema", "ff.host-work/1").field("verb", work.verb == HostVerb::kUp ? "up" : "down");
  json.field("force", work.force).field("folder", std::string_view(work.folder));
  json.field("key", std::string_view(work.key)).key("daemons").begin_array();
  for (const DaemonCommand& one : work.daemons) {
    json.begin_object().field("name", std::string_view(one.name)).key("words").begin_array();
    for (const std::string& word : one.words) json.value(std::string_view(word));
    json.end_array().key("environment").begin_object();
    for (const auto& [key, value] : one.environment) json.field(key, std::string_view(value));
    json.end_object().end_object();
  }
  json.end_array().end_object();
  return json.take() + "\n";
}

Result<HostWork> parse_host_work(std::string_view text) {
  FF_TRY_ASSIGN(const report::JsonValue tree, report::JsonValue::parse(text));
  const report::JsonCursor at(tree);
  HostWork work;
  FF_TRY_ASSIGN(const std::string verb, at.text("verb"));
  FF_TRY_ASSIGN(work.verb, verb_of(verb));
  FF_TRY_ASSIGN(work.force, at.boolean("force"));
  FF_TRY_ASSIGN(work.folder, at.text("folder"));
  if (!work.folder.starts_with('/')) return at.error("has a folder that is not absolute");
  FF_TRY_ASSIGN(work.key, at.text("key"));
  FF_TRY_ASSIGN(const report::JsonCursor daemons, at.member("daemons"));
  FF_TRY_ASSIGN(const auto items, daemons.items());
  for (const report::JsonCursor& item : items) {
    ClusterHost host;
    host.folder = work.folder;
    FF_TRY_ASSIGN(std::string name, item.text("name"));
    if (name != "ffctld" && name != "ffnoded") return item.error("is no daemon of a host");
    std::vector<std::string> words;
    FF_TRY_ASSIGN(const report::JsonCursor list, item.member("words"));
    FF_TRY_ASSIGN(const auto all, list.items());
    for (const report::JsonCursor& word : all) {
      FF_TRY_ASSIGN(words.emplace_back(), word.text());
    }
    if (words.empty()) return item.error("has no words");
    DaemonCommand command = daemon_of(host, std::move(name), std::move(words));
    FF_TRY_ASSIGN(const report::JsonCursor variables, item.member("environment"));
    FF_TRY_ASSIGN(const auto pairs, variables.members());
    for (const auto& [key, value] : pairs) {
      FF_TRY_ASSIGN(std::string to, value.text());
      command.environment.emplace_back(key, std::move(to));
    }
    work.daemons.push_back(std::move(command));
  }
  return work;
}

Result<std::vector<HostDaemon>> do_host_work(const HostWork& work) {
  std::vector<HostDaemon> done;
  if (work.verb == HostVerb::kDown && ::access(work.folder.c_str(), F_OK) != 0) return done;
  FF_TRY_ASSIGN(const LocalLock lock, LocalLock::take(work.folder, work.verb == HostVerb::kUp));
  if (work.verb == HostVerb::kUp) {
    FF_TRY(take_key(work));
    bool started = false;
    for (const DaemonCommand& one : work.daemons) {
      std::optional<pid_t> pid = running(one.pid_file);
      const bool ran = pid.has_value();
      if (!ran) {
        FF_TRY_ASSIGN(pid, start_daemon(one));
      }
      started = started || !ran;
      done.push_back({one.name, ran ? "runs" : "started", *pid});
    }
    // What cannot open its store or its port ends at once, and says why.
    if (started) ::usleep(std::chrono::microseconds(kBeginPatience).count());
    for (const DaemonCommand& one : work.daemons)
      if (!running(one.pid_file))
        return fail(Errc::kInternal, fmt::format("{}: has ended: {}", one.name, log_tail(one.log_file)));
    return done;
  }
  if (!work.force && !ranks_below(work.folder).empty()) FF_TRY(end_ranks(work));
  // The agent before the master.
  for (auto one = work.daemons.rbegin(); one != work.daemons.rend(); ++one) {
    const bool ran = running(one->pid_file).has_value();
    FF_TRY_ASSIGN(const bool killed, stop_daemon(one->pid_file, kStopPatience));
    done.push_back({one->name, killed ? "killed" : ran ? "stopped" : "did not run", 0});
  }
  FF_TRY(end_ranks(work));
  return done;
}

std::string host_reply_text(const std::vector<HostDaemon>& daemons) {
  report::JsonWriter json;
  json.begin_object().field("schema", "ff.host-reply/1").key("daemons").begin_array();
  for (const HostDaemon& one : daemons)
    json.begin_object()
        .field("name", std::string_view(one.name))
        .field("state", std::string_view(one.state))
        .field("pid", one.pid)
        .end_object();
  json.end_array().end_object();
  return json.take() + "\n";
}

Result<std::vector<HostDaemon>> parse_host_reply(std::string_view text) {
  FF_TRY_ASSIGN(const report::JsonValue tree, report::JsonValue::parse(text));
  const report::JsonCursor at(tree);
  FF_TRY_ASSIGN(const report::JsonCursor daemons, at.member("daemons"));
  FF_TRY_ASSIGN(const auto items, daemons.items());
  std::vector<HostDaemon> out;
  for (const report::JsonCursor& item : items) {
    HostDaemon& one = out.emplace_back();
    FF_TRY_ASSIGN(one.name, item.text("name"));
    FF_TRY_ASSIGN(one.state, item.text("state"));
    FF_TRY_ASSIGN(one.pid, item.integer("pid"));
  }
  return out;
}

std::vector<std::string> ssh_words(const ClusterPlan& plan, const ClusterHost& host) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(plan.connect_timeout).count();
  std::vector<std::string> words = {"ssh",           "-T", "-o",
                                    "BatchMode=yes", "-o", fmt::format("ConnectTimeout={}", seconds)};
  for (const std::string& option : plan.ssh_options) words.insert(words.end(), {"-o", option});
  words.insert(words.end(), {"-p", std::to_string(host.ssh_port)});
  if (!host.ssh_user.empty()) words.insert(words.end(), {"-l", host.ssh_user});
  // A path of plain characters: nothing for a shell to take apart.
  words.insert(words.end(), {"--", host.ssh_host, plan.binaries + "/ffctl host"});
  return words;
}

}  // namespace ff::ctl
