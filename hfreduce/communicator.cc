// Setup of a communicator: rendezvous, rank table, engines; and its end: abort, shrink, flight recorder.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "hfreduce/communicator_impl.hpp"
#include "hfreduce/unique_id.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/net/socket.hpp"

namespace ff::hfreduce {
namespace {

std::string first_line(const std::string& path) {
  auto text = read_file(path, 4096);
  if (!text) return "";
  return text->substr(0, text->find('\n'));
}

std::string machine_id() { return first_line("/proc/sys/kernel/random/boot_id"); }

// Ranks with the same id can share memory: same kernel, same network namespace (the abstract socket's), same user.
std::string host_id_of(const Config& config, int rank) {
  struct stat net{};
  const bool known = ::stat("/proc/self/ns/net", &net) == 0;
  std::string id = fmt::format("{}/{}/{}", machine_id(), known ? net.st_ino : 0, ::getuid());
  if (!config.host_id.empty()) id += "/" + config.host_id;
  if (config.transport == Transport::kTcp) id += fmt::format("/rank{}", rank);
  return id;
}

std::string machine_of(const std::string& host_id) { return host_id.substr(0, host_id.find('/')); }

std::string hostname() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

// The cores this process may use, as a string of 0 and 1 that other ranks can combine with theirs.
std::string allowed_cores() {
  std::string cores(CPU_SETSIZE, '0');
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    for (std::size_t cpu = 0; cpu < cores.size(); ++cpu)
      if (CPU_ISSET(cpu, &set)) cores[cpu] = '1';
  return cores.substr(0, cores.find_last_of('1') + 1);
}

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> number{0};
  return ++number;
}

Result<int> integer_variable(const char* name, const char* text, int min, int max) {
  int value = 0;
  const char* end_of_text = text + std::strlen(text);
  const auto [end, error] = std::from_chars(text, end_of_text, value);
  if (error != std::errc() || end != end_of_text || value < min || value > max)
    return fail(Errc::kInvalidArgument, fmt::format("{}: '{}' is not a number from {} to {}", name, text, min, max));
  return value;
}

}  // namespace

CommunicatorImpl::CommunicatorImpl(int rank, int size, Config config)
    : number_(next_number()), rank_(rank), size_(size), config_(std::move(config)) {}

CommunicatorImpl::~CommunicatorImpl() {
  // Queued calls still read and write memory from alloc().
  queue_.stop();
  for (const auto& [pointer, bytes] : ordinary_) std::free(pointer);
}

Result<std::unique_ptr<Communicator>> Communicator::create(const UniqueId& id, int rank, int size, const Config& config,
                                                           int listen_fd) {
  UniqueFd listener(listen_fd);
  if (size < 1 || rank < 0 || rank >= size)
    return fail(Errc::kInvalidArgument, fmt::format("rank {} of {}: ranks go from 0 to size-1", rank, size));
  if (config.timeout <= std::chrono::nanoseconds(0) || config.connect_timeout <= std::chrono::nanoseconds(0))
    return fail(Errc::kInvalidArgument, "timeouts must be more than zero");
  auto impl = std::make_unique<CommunicatorImpl>(rank, size, config);
  FF_TRY(impl->join(id, std::move(listener)));
  return std::unique_ptr<Communicator>(std::move(impl));
}

Result<std::unique_ptr<Communicator>> Communicator::from_environment(const Config& config) {
  const char* rank_text = std::getenv("RANK");
  const char* size_text = std::getenv("WORLD_SIZE");
  if (rank_text == nullptr && size_text == nullptr) return create({}, 0, 1, config);
  if (rank_text == nullptr || size_text == nullptr)
    return fail(Errc::kInvalidArgument, "RANK and WORLD_SIZE must both be set (hfreduce run sets them)");
  FF_TRY_ASSIGN(const int size, integer_variable("WORLD_SIZE", size_text, 1, 1 << 20));
  FF_TRY_ASSIGN(const int rank, integer_variable("RANK", rank_text, 0, size - 1));
  UniqueFd listener;
  if (const char* fd_text = std::getenv("HFR_LISTEN_FD"); fd_text != nullptr && rank == 0) {
    FF_TRY_ASSIGN(const int fd, integer_variable("HFR_LISTEN_FD", fd_text, 0, 1 << 20));
    listener.reset(fd);
    // The socket is for one communicator and not for this process's children.
    ::unsetenv("HFR_LISTEN_FD");
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  if (size == 1) return create({}, 0, 1, config);
  const char* address = std::getenv("MASTER_ADDR");
  const char* port_text = std::getenv("HFR_MASTER_PORT");
  if (port_text == nullptr) port_text = std::getenv("MASTER_PORT");
  if (address == nullptr || port_text == nullptr)
    return fail(Errc::kInvalidArgument, "MASTER_ADDR and MASTER_PORT must be set (hfreduce run sets them)");
  UniqueId id;
  id.address = address;
  FF_TRY_ASSIGN(const int port, integer_variable("MASTER_PORT", port_text, 1, 65535));
  id.port = static_cast<std::uint16_t>(port);
  const char* token = std::getenv("HFR_TOKEN");
  // Other launchers know no token; then whoever reaches the port may join, as with them.
  id.token = token != nullptr ? token : std::string(32, '0');
  return create(id, rank, size, config, listener.release());
}

Result<> CommunicatorImpl::join(const UniqueId& id, UniqueFd listener) {
  id_ = id;
  const Deadline deadline = Deadline::after(config_.connect_timeout);
  if (size_ == 1) {
    const std::string host = hostname();
    ranks_ = {{0, host, host_id_of(config_, 0), "", 0, ::getpid(), 0, 1, 0}};
    groups_ = group_by_host(std::vector<std::string>{ranks_[0].host_id});
    return {};
  }
  FF_TRY(gather_table(id, std::move(listener), deadline));
  auto engines = build_engines(id, deadline);
  // A rank that cannot build its engines must not leave the others waiting for it.
  if (!engines && !member_->failed())
    member_->report({Trouble::Kind::kAborted, rank_, "setup failed: " + engines.error().message()});
  return engines;
}

Result<> CommunicatorImpl::gather_table(const UniqueId& id, UniqueFd listener, const Deadline& deadline) {
  const net::Address rendezvous = net::Address::tcp(id.address, id.port);
  if (rank_ == 0) {
    if (!listener) listener = take_listener_of(id);
    if (!listener) {
      FF_TRY_ASSIGN(listener, net::listen_on(rendezvous));
    }
    ::fcntl(listener.get(), F_SETFL, ::fcntl(listener.get(), F_GETFL) | O_NONBLOCK);
    // A probe may take as long as a call, within what a person waits for an error message.
    const auto probe_wait = std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(config_.timeout),
                                       std::chrono::milliseconds(250), std::chrono::milliseconds(1000));
    FF_TRY_ASSIGN(coordinator_,
                  control::Coordinator::start(
                      std::move(listener),
                      {.size = size_, .token = id.token, .join_deadline = deadline, .probe_wait = probe_wait}));
  }
  FF_TRY_ASSIGN(member_, control::Member::connect(rendezvous, deadline));
  const std::string address = config_.interface_address.empty() ? member_->local_address() : config_.interface_address;
  FF_TRY_ASSIGN(reserve_listener_, net::listen_on(net::Address::tcp(address, 0)));
  FF_TRY_ASSIGN(const net::Address reserve, net::local_address(reserve_listener_.get()));
  FF_TRY_ASSIGN(listener_, NetListener::create(address, id.token));

  control::Hello hello;
  hello.token = id.token;
  hello.rank = rank_;
  hello.size = size_;
  hello.host = hostname();
  hello.host_id = host_id_of(config_, rank_);
  hello.address = address;
  hello.port = listener_->endpoint().port;
  hello.reserve_port = reserve.port;
  hello.pid = ::getpid();
  FF_TRY_ASSIGN(table_, member_->join(hello, &recorder_, deadline));

  std::vector<std::string> host_ids;
  for (const control::Hello& h : table_) host_ids.push_back(h.host_id);
  groups_ = group_by_host(host_ids);
  for (int r = 0; r < size_; ++r) {
    const auto i = static_cast<std::size_t>(r);
    const control::Hello& h = table_[i];
    ranks_.push_back({r, h.host, h.host_id, h.address, h.port, h.pid, groups_.local_rank_of[i], groups_.local_size(r),
                      groups_.host_of[i]});
  }
  return {};
}

// What must be equal on all ranks for their calls to match.
std::string CommunicatorImpl::settings_signature() const {
  return fmt::format("deterministic={} algo={} path={} channels={} net_chunk={} shm_chunk={} flat_max={}",
                     config_.deterministic, net_algorithm_name(config_.algorithm), shm_path_name(config_.ordinary),
                     config_.channels, config_.net_chunk_bytes, config_.shm_chunk_bytes, config_.flat_bytes_max);
}

Result<> CommunicatorImpl::build_engines(const UniqueId& id, const Deadline& deadline) {
  FF_TRY_ASSIGN(const std::vector<std::string> settings, member_->exchange(settings_signature(), deadline));
  for (std::size_t r = 1; r < settings.size(); ++r)
    if (settings[r] != settings[0])
      return fail(Errc::kInvalidArgument, fmt::format("rank {} has other settings than rank 0: '{}' against '{}' (set "
                                                      "HFR_* alike on every rank)",
                                                      r, settings[r], settings[0]));
  FF_TRY_ASSIGN(allowed_cores_, member_->exchange(allowed_cores(), deadline));
  const int hosts = static_cast<int>(groups_.hosts.size());
  const auto me = static_cast<std::size_t>(rank_);
  const std::vector<int>& local = groups_.hosts[static_cast<std::size_t>(groups_.host_of[me])];
  if (config_.transport == Transport::kShm && hosts > 1)
    return fail(Errc::kInvalidArgument,
                fmt::format("transport shm: the ranks are on {} hosts (use auto or tcp)", hosts));
  shape_ = hosts == 1 ? Shape::kOneHost : groups_.one_rank_each() ? Shape::kFlat : Shape::kHierarchical;
  if (hosts == 1) listener_.reset();

  if (local.size() > 1) {
    ShmOptions options;
    options.rank = groups_.local_rank_of[me];
    options.size = static_cast<int>(local.size());
    options.global_ranks = local;
    options.ordinary = config_.ordinary;
    options.flat_bytes_max = config_.flat_bytes_max;
    options.chunk_bytes = config_.shm_chunk_bytes;
    options.failure = member_.get();
    options.trace = trace();
    const std::string token = derive_token(id.token, fmt::format("shm/{}/{}", id.port, groups_.host_of[me]));
    FF_TRY_ASSIGN(shm_, ShmEngine::create(options, token, deadline));
  }
  if (hosts == 1) return {};

  std::vector<int> everyone;
  for (int r = 0; r < size_; ++r) everyone.push_back(r);
  FF_TRY_ASSIGN(net_, NetEngine::create(net_options(everyone, 1), *listener_));
  if (shape_ != Shape::kHierarchical) return {};
  leaders_options_ = net_options(groups_.leaders(), 2);
  if (groups_.local_rank_of[me] == 0) {
    FF_TRY_ASSIGN(leaders_, NetEngine::create(leaders_options_, *listener_));
  }
  return {};
}

// For an engine over `members`; on other ranks only to see what such an engine chooses.
NetOptions CommunicatorImpl::net_options(const std::vector<int>& members, std::uint32_t group_id) {
  const control::Hello& mine = table_[static_cast<std::size_t>(rank_)];
  NetOptions options;
  options.rank = static_cast<int>(std::ranges::find(members, rank_) - members.begin());
  options.size = static_cast<int>(members.size());
  options.global_ranks = members;
  options.algorithm = config_.algorithm;
  options.deterministic = config_.deterministic;
  options.chunk_bytes = config_.net_chunk_bytes;
  options.group_id = group_id;
  options.token = id_.token;
  options.failure = member_.get();
  options.trace = trace();
  int here = 0;
  std::vector<bool> cores(CPU_SETSIZE);  // that any of the ranks here may use: each alone may be bound to one
  bool one_machine = true;
  for (const int r : members) {
    const control::Hello& h = table_[static_cast<std::size_t>(r)];
    options.endpoints.push_back({h.address, h.port});
    const bool same = machine_of(h.host_id) == machine_of(mine.host_id);
    options.same_machine.push_back(same);
    here += same ? 1 : 0;
    const std::string& theirs = allowed_cores_[static_cast<std::size_t>(r)];
    for (std::size_t cpu = 0; same && cpu < std::min(theirs.size(), cores.size()); ++cpu)
      if (theirs[cpu] == '1') cores[cpu] = true;
    one_machine = one_machine && machine_of(h.host_id) == machine_of(table_[0].host_id);
  }
  options.oversubscribed = here > std::ranges::count(cores, true);
  options.channels = config_.channels > 0 ? config_.channels : one_machine ? 1 : 2;
  return options;
}

void CommunicatorImpl::abort(const std::string& reason) {
  if (member_) {
    member_->report({Trouble::Kind::kAborted, rank_, reason});
  } else {
    const std::lock_guard lock(mutex_);
    aborted_ = reason;
    alone_aborted_.store(true);
  }
  note_failure();
}

bool CommunicatorImpl::failed() const noexcept { return member_ ? member_->failed() : alone_aborted_.load(); }

std::optional<Error> CommunicatorImpl::verdict() const {
  if (!failed()) return std::nullopt;
  if (member_) return member_->verdict();
  const std::lock_guard lock(mutex_);
  return Error(Errc::kCancelled, "aborted: " + aborted_);
}

std::vector<int> CommunicatorImpl::lost_ranks() const { return member_ ? member_->lost_ranks() : std::vector<int>(); }

std::string CommunicatorImpl::flight_json() const { return recorder_.json_lines(rank_); }

void CommunicatorImpl::note_failure() {
  if (config_.flight_dir.empty() || !failed()) return;
  const std::lock_guard lock(mutex_);
  if (std::exchange(flight_written_, true)) return;
  // The verdict is what the caller must see; a recorder that cannot be written must not hide it.
  (void)write_file_atomic(fmt::format("{}/flight-rank{}.jsonl", config_.flight_dir, rank_),
                          recorder_.json_lines(rank_));
}

Result<std::unique_ptr<Communicator>> CommunicatorImpl::shrink(std::span<const int> exclude) {
  if (!member_) return fail(Errc::kInvalidArgument, "shrink: a communicator of one rank cannot lose any");
  if (!failed()) return fail(Errc::kInvalidArgument, "shrink: the communicator has not failed (abort it first)");
  std::vector<int> gone = member_->lost_ranks();
  gone.insert(gone.end(), exclude.begin(), exclude.end());
  std::vector<int> survivors;
  for (int r = 0; r < size_; ++r)
    if (std::ranges::find(gone, r) == gone.end()) survivors.push_back(r);
  const auto me = std::ranges::find(survivors, rank_);
  if (me == survivors.end())
    return fail(Errc::kInvalidArgument, fmt::format("shrink: rank {} is among those that are left out", rank_));
  const control::Hello& first = table_[static_cast<std::size_t>(survivors.front())];
  std::string label = "shrink";
  for (const int r : survivors) label += fmt::format("/{}", r);
  const UniqueId id{first.address, first.reserve_port, derive_token(id_.token, label)};
  const int listen_fd = rank_ == survivors.front() ? reserve_listener_.release() : -1;
  return Communicator::create(id, static_cast<int>(me - survivors.begin()), static_cast<int>(survivors.size()), config_,
                              listen_fd);
}

}  // namespace ff::hfreduce
