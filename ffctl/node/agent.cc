#include "ffctl/node/agent.hpp"

#include <dirent.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <thread>

#include "ffctl/node/check.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/cli/app.hpp"
#include "libcommon/log/log.hpp"
#include "libcommon/net/crypto.hpp"
#include "libcommon/rpc/client.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;
using runtime::Time;

namespace {

constexpr std::size_t kRecordBytesMax = 64u << 20;
constexpr std::size_t kRequestBytesMax = 4u << 20;   // of a message: all attempts, new ones with their commands
constexpr std::size_t kStatesBytesMax = 512u << 10;  // of a report, which is one message as well; the next has others
constexpr Duration kTickBusy = 50ms;                 // while something runs: steps and states are looked at
constexpr Duration kTickSuspending = 10ms;
constexpr Duration kReportTimeout = 5s, kReportTimeoutLeast = 50ms;
constexpr Duration kReportPause = 300ms;  // after a master that did not take one
constexpr Duration kFolderEvery = 1s;
constexpr std::uint64_t kFolderLeast = 16u << 20;  // or a twentieth of a small disk
constexpr int kSweepRounds = 40;
constexpr auto kSweepPause = std::chrono::milliseconds(25);
constexpr std::size_t kClosedMax = 10'000;

// Whose words count: who holds the cluster's key.
Result<> member(const net::PeerIdentity& peer) {
  if (peer.authenticated) return {};
  return fail(Errc::kPermission, "the agent: speaks to holders of the cluster key alone");
}

std::map<std::string, std::string> own_environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (const auto equals = text.find('='); equals != std::string_view::npos)
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

// What all agents of a cluster derive alike and nobody else can.
std::string derive_token(const net::ClusterKey& key, std::uint64_t job, std::uint32_t attempt) {
  const std::string name = attempt_name(job, attempt);
  const net::Digest digest = net::labelled_hmac(key.bytes(), "ffctl rank token", {std::as_bytes(std::span(name))});
  std::string token;
  for (std::size_t i = 0; i < 16; ++i) token += fmt::format("{:02x}", static_cast<unsigned>(digest[i]));
  return token;
}

std::optional<std::pair<std::uint64_t, std::uint32_t>> parse_name(std::string_view name) {
  std::pair<std::uint64_t, std::uint32_t> key;
  const char* const end = name.data() + name.size();
  const auto job = std::from_chars(name.data(), end, key.first);
  if (job.ec != std::errc() || job.ptr == end || *job.ptr != '-') return std::nullopt;
  const auto attempt = std::from_chars(job.ptr + 1, end, key.second);
  if (attempt.ec != std::errc() || attempt.ptr != end) return std::nullopt;
  return key;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  if (DIR* const open = ::opendir(folder.c_str()); open != nullptr) {
    while (const dirent* entry = ::readdir(open))
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    ::closedir(open);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

Agent::Agent(runtime::RealEnv& env, AgentOptions options)
    : env_(env),
      options_(std::move(options)),
      host_{.env = env,
            .folder = options_.folder,
            .ffrank = options_.ffrank,
            .cgroups = {},
            .inherited = own_environment(),
            .log_bytes = options_.log_bytes,
            .lease = {},
            .token = [key = options_.key](std::uint64_t job,
                                          std::uint32_t attempt) { return derive_token(*key, job, attempt); },
            .spawn = [this](Task<void> task) { scope_.spawn(std::move(task)); },
            .changed = [this] { kick_.set(); }},
      report_timeout_(kReportTimeout),
      server_(env, {.request_bytes_max = kRequestBytesMax}),
      scope_(env) {
  while (instance_ == 0) instance_ = env.rng().next();
  for (const net::PeerAddress& master : options_.masters)
    clients_.push_back(std::make_unique<rpc::Client>(env, master, rpc::ClientOptions{.connect_timeout = 2s}));
}

Agent::~Agent() = default;

Task<Result<>> Agent::start() {
  FF_CO_TRY(prepare_folder());
  FF_CO_TRY(open_cgroups());
  load_attempts();
  sweep();
  look_at_folder(env_.now());
  FF_CO_TRY(server_.add(*this, member));
  FF_CO_TRY_ASSIGN(address_, co_await server_.listen(options_.listen));
  fill_facts();
  for (const auto& [key, attempt] : attempts_) attempt->adopt();
  scope_.spawn(tick_loop());
  scope_.spawn(report_loop());
  scope_.spawn(tidy_loop());
  co_return {};
}

Task<void> Agent::stop() {
  scope_.cancel();
  (void)co_await scope_.join();
  co_await server_.stop(1s);
  for (auto& client : clients_) co_await client->stop();
}

std::string Agent::about() const {
  return fmt::format("node {} at {}, {} GPUs{}, {} attempts found, limits {}", options_.name, address_.text(),
                     facts_.gpus(), facts_.fake_gpus() ? " (fake)" : "", attempts_.size(),
                     facts_.cgroups() ? "enforced" : "not enforced");
}

Result<> Agent::prepare_folder() {
  // Ranks of other users pass through to their pages; what else is here they cannot list or read.
  if (::chmod(options_.folder.c_str(), 0711) != 0) return fail(errno_error(options_.folder));
  for (const auto& [name, mode] :
       {std::pair("attempts", 0700), std::pair("pages", 0711), std::pair("logs", 0711), std::pair("closed", 0700)}) {
    const std::string path = options_.folder + "/" + name;
    if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) != 0 && errno != EEXIST) return fail(errno_error(path));
    if (::chmod(path.c_str(), static_cast<mode_t>(mode)) != 0) return fail(errno_error(path));
  }
  AgentRecord record;
  if (const auto text = read_file(options_.folder + "/agent", kRecordBytesMax); text && record.ParseFromString(*text))
    epoch_ = record.master_epoch();
  return {};
}

void Agent::load_attempts() {
  for (const std::string& name : names_in(options_.folder + "/attempts")) {
    const auto key = parse_name(name);
    const auto text = read_file(host_.attempt_folder(name) + "/record", kRecordBytesMax);
    AttemptRecord record;
    if (!key || !text || !record.ParseFromString(*text) || !check_desired(record.desired())) {
      // Nothing was started: the record comes before the ranks.
      std::error_code ignored;
      std::filesystem::remove_all(host_.attempt_folder(name), ignored);
      continue;
    }
    attempts_[*key] = std::make_shared<NodeAttempt>(host_, std::move(record));
  }
}

// Named after the folder too: what is swept there must not be another agent's, and nodes of two clusters on one machine
// have the same names.
Result<> Agent::open_cgroups() {
  if (!options_.cgroups) return {};
  struct stat info{};
  if (::stat(options_.folder.c_str(), &info) != 0) return fail(errno_error(options_.folder));
  host_.cgroups =
      Cgroups::open(fmt::format("{}-{:x}-{:x}", options_.name, info.st_dev, info.st_ino), options_.cgroup_base);
  return {};
}

void Agent::sweep() {
  std::set<std::string> known;
  for (const auto& [key, attempt] : attempts_) known.insert(attempt->name());
  for (const std::string& name : names_in(options_.folder + "/pages"))
    if (parse_name(name) && !known.contains(name)) AgentPage::remove(host_.page_folder(name));
  if (!host_.cgroups) return;
  for (const std::string& name : names_in(host_.cgroups->folder())) {
    if (!parse_name(name) || known.contains(name)) continue;
    const std::string group = host_.cgroups->folder() + "/" + name;
    Result<> removed;
    for (int round = 0; round < kSweepRounds; ++round) {
      Cgroups::kill(group);
      if (removed = Cgroups::remove(group); removed) break;
      std::this_thread::sleep_for(kSweepPause);
    }
    if (!removed) log::warn("{}, ignoring", removed.error().message());
  }
}

// Before records and logs cannot be written any more.
void Agent::look_at_folder(Time now) {
  if (now < folder_again_) return;
  folder_again_ = now + kFolderEvery;
  struct statvfs info{};
  if (::statvfs(options_.folder.c_str(), &info) != 0) {
    folder_trouble_ = errno_error(options_.folder).message();
    return;
  }
  const std::uint64_t total = std::uint64_t{info.f_blocks} * info.f_frsize;
  const std::uint64_t left = std::uint64_t{::geteuid() == 0 ? info.f_bfree : info.f_bavail} * info.f_frsize;
  // A little more before it is well again, so that it does not come and go.
  const std::uint64_t least = std::min(kFolderLeast, total / 20);
  const std::uint64_t wanted = folder_trouble_.empty() ? least : least + least / 2;
  const bool was_well = folder_trouble_.empty();
  folder_trouble_ = left >= wanted ? std::string()
                                   : fmt::format("{}: the disk is full, {} MiB are wanted (make room)", options_.folder,
                                                 (wanted >> 20) + 1);
  if (was_well && !folder_trouble_.empty()) log::warn("{}, taking no jobs", folder_trouble_);
}

void Agent::fill_facts() {
  facts_.set_name(options_.name);
  const std::string host = options_.host.empty() ? address_.host : options_.host;
  facts_.set_host(host);
  facts_.set_address(address_.is_unix() ? address_.text() : net::Address::tcp(host, address_.port).text());
  facts_.set_cpus(static_cast<std::uint32_t>(std::max(::sysconf(_SC_NPROCESSORS_ONLN), 1L)));
  struct sysinfo memory{};
  if (::sysinfo(&memory) == 0) facts_.set_memory_bytes(std::uint64_t{memory.totalram} * memory.mem_unit);
  facts_.set_gpus(options_.gpus);
  facts_.set_gpu_model(options_.gpu_model);
  facts_.set_fake_gpus(options_.fake_gpus);
  for (const std::string& label : options_.labels) facts_.add_labels(label);
  facts_.set_zone(options_.zone);
  facts_.set_leaf(options_.leaf);
  facts_.set_version(cli::build_version());
  facts_.set_log_folder(options_.folder + "/logs");
  facts_.set_cgroups(host_.cgroups && host_.cgroups->limits());
}

NodeReport Agent::report() {
  NodeReport out;
  *out.mutable_facts() = facts_;
  out.set_instance(instance_);
  out.set_sequence(++sequence_);
  std::size_t states = 0;
  for (const auto& [key, attempt] : attempts_) {
    AttemptReport& one = *out.add_attempts() = attempt->report();
    const auto told = told_states_.find(key);
    const bool news = told == told_states_.end() || told->second != attempt->state_generation();
    states += news ? one.user_state().size() : 0;
    if (!news || states > kStatesBytesMax) one.clear_user_state();
  }
  out.set_trouble(folder_trouble_);
  for (const auto& [key, attempt] : attempts_)
    if (attempt->state() == AttemptReport::UNCLEAN && out.trouble().empty())
      out.set_trouble(fmt::format("job {}: {}", key.first, attempt->report().trouble()));
  out.set_now_ms(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(env_.wall_now().time_since_epoch()).count()));
  out.set_applied_epoch(applied_epoch_);
  out.set_applied_sequence(applied_sequence_);
  return out;
}

// What of a report is worth sending at once: not what changes with every step and every line.
std::string Agent::report_key() const {
  std::string key = folder_trouble_;
  for (const auto& [name, attempt] : attempts_) {
    AttemptReport report = attempt->report();
    const bool often = attempt->suspending() && attempt->desired().fence().step() == 0;
    if (!often) report.clear_step_max();
    report.clear_steps_per_second();
    report.clear_last_output_ms();
    report.clear_last_step_ms();
    report.clear_log_bytes();
    for (RankReport& rank : *report.mutable_ranks()) rank.clear_step();
    key += report.SerializeAsString();
  }
  return key;
}

void Agent::tick() {
  const Time now = env_.now();
  look_at_folder(now);
  for (const auto& [key, attempt] : attempts_) {
    if (!attempt->begun()) {
      if (!attempt->wanted()) {
        attempt->never_began();
      } else if (leased()) {
        attempt->start();
      }
    }
    attempt->tick(now);
  }
  // Nobody asks for what the master has dropped.
  for (auto at = attempts_.begin(); at != attempts_.end();) {
    const auto next = std::next(at);
    if (at->second->forgettable()) close(at->first);
    at = next;
  }
  if (std::string key = report_key(); key != reported_key_) {
    reported_key_ = std::move(key);
    news_.set();
  }
}

Task<void> Agent::tick_loop() {
  for (;;) {
    kick_.reset();
    tick();
    Duration wait = 1s;
    for (const auto& [key, attempt] : attempts_) {
      if (attempt->suspending()) wait = std::min(wait, kTickSuspending);
      if (!attempt->done()) wait = std::min(wait, kTickBusy);
    }
    const Result<> kicked = co_await runtime::with_timeout(wait, "tick", kick_.wait());
    if (!kicked && kicked.error().code() == Errc::kCancelled) co_return;
    // Lines of output come in bursts; one look answers many.
    if (kicked && !co_await runtime::sleep(1ms)) co_return;
  }
}

Task<Result<>> Agent::send_report() {
  std::map<Key, std::uint64_t> generations;
  for (const auto& [key, attempt] : attempts_) generations[key] = attempt->state_generation();
  const NodeReport request = report();
  const std::uint64_t sent_ms = lease_clock_ms();
  ReportsClient client(*clients_[master_]);
  FF_CO_TRY_ASSIGN(
      const ReportReply reply,
      co_await client.report(request, {.timeout = report_timeout_, .attempts = 1, .wait_for_connection = false}));
  FF_CO_TRY(see_epoch(reply.master_epoch()));
  take_lease(reply, sent_ms);
  for (const AttemptReport& one : request.attempts())
    if (!one.user_state().empty()) told_states_[{one.job(), one.attempt()}] = generations[{one.job(), one.attempt()}];
  co_return {};
}

void Agent::take_lease(const ReportReply& reply, std::uint64_t sent_ms) {
  const bool leased_before = leased();
  host_.lease = {};
  // Both are bounded, so that nothing overflows.
  constexpr std::uint64_t kMostMs = 1ull << 40;
  const std::uint64_t leave = std::min(reply.lease_ms(), kMostMs), stop = std::clamp(reply.stop_ms(), leave, kMostMs);
  if (leave != 0) host_.lease = {sent_ms + leave, sent_ms + stop};
  // An answer that was long on its way is none: the master may have given the node up by then.
  report_timeout_ =
      leave == 0 ? kReportTimeout
                 : std::clamp<Duration>(std::chrono::milliseconds(stop - leave), kReportTimeoutLeast, kReportTimeout);
  answered_ = true;
  void_epoch_ = reply.master_epoch();
  void_sequence_ = reply.void_sequence();
  // Taken without a lease, and not begun for the lack of it: by now it may run elsewhere.
  if (voided(applied_epoch_, applied_sequence_))
    for (const auto& [key, attempt] : attempts_)
      if (!attempt->begun()) attempt->unwanted();
  for (const auto& [key, attempt] : attempts_) attempt->new_lease();
  if (!leased_before) kick_.set();
}

bool Agent::voided(std::uint64_t epoch, std::uint64_t sequence) const noexcept {
  return epoch == void_epoch_ && sequence <= void_sequence_;
}

bool Agent::leased() const noexcept {
  return answered_ && (host_.lease.leave == 0 || lease_clock_ms() < host_.lease.leave);
}

Duration Agent::heartbeat() const noexcept {
  // The length of the lease, as far as its first half tells: reports are sent moments before they are answered.
  if (host_.lease.leave == 0) return options_.heartbeat;
  const std::uint64_t now = lease_clock_ms();
  const std::uint64_t left = host_.lease.leave > now ? host_.lease.leave - now : 0;
  return std::clamp<Duration>(std::chrono::milliseconds(left / 4), kReportTimeoutLeast, options_.heartbeat);
}

Task<void> Agent::report_loop() {
  log::RateLimit quiet(60'000);
  std::size_t tried = 0;
  while (!clients_.empty()) {
    news_.reset();
    const Result<> sent = co_await send_report();
    if (!sent && sent.error().code() == Errc::kCancelled) co_return;
    if (sent) {
      tried = 0;
      const Result<> news = co_await runtime::with_timeout(heartbeat(), "heartbeat", news_.wait());
      if (!news && news.error().code() == Errc::kCancelled) co_return;
      continue;
    }
    master_ = (master_ + 1) % clients_.size();
    if (++tried % clients_.size() != 0) continue;
    quiet.warn(fmt::format("no master takes reports: {}, trying again", sent.error().message()));
    if (!co_await runtime::sleep(kReportPause)) co_return;
  }
}

Result<> Agent::see_epoch(std::uint64_t epoch) {
  if (epoch < epoch_)
    return fail(Errc::kPermission,
                fmt::format("master epoch {}: {} has been seen (another master leads)", epoch, epoch_));
  if (epoch == epoch_) return {};
  epoch_ = epoch;
  told_states_.clear();  // what the one before has not stored is told again
  AgentRecord record;
  record.set_master_epoch(epoch);
  if (const Result<> kept = write_file_atomic(options_.folder + "/agent", record.SerializeAsString()); !kept)
    log::warn("{}, ignoring", kept.error().message());
  return {};
}

NodeAttempt* Agent::find(std::uint64_t job, std::uint32_t attempt) {
  const auto at = attempts_.find({job, attempt});
  return at == attempts_.end() ? nullptr : at->second.get();
}

// The mark stays, so that an order that was long on its way does not start it again.
void Agent::close(const Key& key) {
  const auto at = attempts_.find(key);
  if (at == attempts_.end()) return;
  const std::string mark = options_.folder + "/closed/" + at->second->name();
  if (const Result<> kept = write_file_atomic(mark, ""); !kept) log::warn("{}, ignoring", kept.error().message());
  at->second->forget();
  told_states_.erase(key);
  attempts_.erase(at);
}

bool Agent::was_closed(const Key& key) const {
  return ::access((options_.folder + "/closed/" + attempt_name(key.first, key.second)).c_str(), F_OK) == 0;
}

void Agent::apply_one(const DesiredAttempt& desired) {
  const Key key{desired.job(), desired.attempt()};
  if (NodeAttempt* const known = find(key.first, key.second); known != nullptr) {
    known->want(desired, env_.now());
    return;
  }
  std::shared_ptr<NodeAttempt> made;
  if (desired.want() != DesiredAttempt::RUN) {
    made = NodeAttempt::absent(host_, desired, "");
  } else if (!desired.has_spec()) {
    // Meant for an agent before this one that had it, and whose folder is gone.
    made = NodeAttempt::absent(host_, desired, "the node has lost what it knew of this attempt");
  } else if (was_closed(key)) {
    made = NodeAttempt::absent(host_, desired, "this attempt has ended here before");
  } else {
    // Begun with the next look, or when there is a lease.
    made = std::make_shared<NodeAttempt>(host_, desired);
    made->want(desired, env_.now());
  }
  attempts_[key] = std::move(made);
}

void Agent::drop_unwanted(const ApplyRequest& request) {
  for (const auto& [key, attempt] : attempts_) {
    const bool wanted = std::ranges::any_of(request.attempts(), [&](const DesiredAttempt& desired) {
      return desired.job() == key.first && desired.attempt() == key.second;
    });
    if (!wanted) attempt->unwanted();
  }
}

Task<void> Agent::tidy_loop() {
  for (;;) {
    const std::string folder = options_.folder;
    const auto keep = std::chrono::duration_cast<std::chrono::seconds>(options_.log_keep);
    std::vector<std::string> open;
    for (const auto& [key, attempt] : attempts_) open.push_back(attempt->name());
    (void)co_await runtime::offload(env_, [folder, keep, open] {
      const std::time_t now = ::time(nullptr);
      std::error_code ignored;
      for (const std::string& name : names_in(folder + "/logs")) {
        struct stat info{};
        const std::string path = folder + "/logs/" + name;
        if (std::ranges::find(open, name) == open.end() && ::lstat(path.c_str(), &info) == 0 &&
            now - info.st_mtime > keep.count())
          std::filesystem::remove_all(path, ignored);
      }
      // Old marks first: jobs have growing numbers.
      std::vector<std::pair<std::uint64_t, std::string>> marks;
      for (const std::string& name : names_in(folder + "/closed"))
        if (const auto key = parse_name(name)) marks.emplace_back(key->first, name);
      std::ranges::sort(marks);
      for (std::size_t i = 0; i + kClosedMax < marks.size(); ++i)
        std::filesystem::remove(folder + "/closed/" + marks[i].second, ignored);
    });
    if (!co_await runtime::sleep(1h)) co_return;
  }
}

}  // namespace ff::ctl
