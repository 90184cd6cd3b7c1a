#include "ffctl/node/rank_link.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <sstream>
#include <utility>
#include <vector>

#include "libcommon/base/file.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr int kKilledCode = 128 + SIGKILL;
constexpr std::size_t kLineMax = 64u << 10;

// A path of any length fits into a socket's address by way of its folder's descriptor.
Result<sockaddr_un> socket_address(const UniqueFd& folder, std::uint32_t number) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/rank-{}.sock", folder.get(), number);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<UniqueFd> open_folder(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail(errno_error(path));
  return fd;
}

Result<UniqueFd> unix_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(errno_error("socket"));
  return fd;
}

// A process of its own session with these descriptors as 3 and 4 and no others. They are above 4.
Result<pid_t> spawn_supervisor(const std::string& program, std::vector<std::string> words, int listener, int lock) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
  ::posix_spawn_file_actions_adddup2(&actions, 0, 1);
  ::posix_spawn_file_actions_adddup2(&actions, 0, 2);
  ::posix_spawn_file_actions_adddup2(&actions, listener, 3);
  ::posix_spawn_file_actions_adddup2(&actions, lock, 4);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, 5);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail(errno_error(program, error));
  return pid;
}

}  // namespace

RankLink::RankLink(runtime::RealEnv& env, std::string folder, std::uint32_t number, std::function<void()> changed)
    : env_(env), folder_(std::move(folder)), number_(number), changed_(std::move(changed)) {}

RankLink::~RankLink() {
  if (supervisor_ > 0) ::waitpid(supervisor_, nullptr, WNOHANG);
}

std::string RankLink::file(const char* what) const { return fmt::format("{}/rank-{}.{}", folder_, number_, what); }

Result<> RankLink::launch(const RankStart& start, const std::string& program) {
  FF_TRY(write_file_atomic(file("start"), start.SerializeAsString()));
  ::unlink(file("status").c_str());
  ::unlink(file("sock").c_str());
  FF_TRY_ASSIGN(const UniqueFd folder, open_folder(folder_));
  FF_TRY_ASSIGN(const UniqueFd made, unix_socket());
  FF_TRY_ASSIGN(const sockaddr_un address, socket_address(folder, number_));
  if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(made.get(), 8) != 0)
    return fail(errno_error(file("sock")));
  const UniqueFd lock_file(::open(file("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_file || ::flock(lock_file.get(), LOCK_EX | LOCK_NB) != 0) return fail(errno_error(file("lock")));
  const UniqueFd listener(::fcntl(made.get(), F_DUPFD_CLOEXEC, 10)),
      lock(::fcntl(lock_file.get(), F_DUPFD_CLOEXEC, 10));
  if (!listener || !lock) return fail(errno_error("descriptors"));
  FF_TRY_ASSIGN(supervisor_,
                spawn_supervisor(program, {"ffrank", folder_, std::to_string(number_)}, listener.get(), lock.get()));
  return {};
}

bool RankLink::supervisor_lives() const {
  const UniqueFd lock(::open(file("lock").c_str(), O_RDWR | O_CLOEXEC));
  return lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

Result<UniqueFd> RankLink::connect() const {
  FF_TRY_ASSIGN(const UniqueFd folder, open_folder(folder_));
  FF_TRY_ASSIGN(UniqueFd fd, unix_socket());
  FF_TRY_ASSIGN(const sockaddr_un address, socket_address(folder, number_));
  // The backlog takes it: no wait.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(errno_error(file("sock")));
  return fd;
}

Task<void> RankLink::follow() {
  while (supervisor_lives()) {
    auto connected = connect();
    if (connected) {
      socket_ = env_.adopt(std::move(*connected));
      say_lease();
      std::string pending;
      for (bool open = true; open;) {
        auto received = co_await socket_->receive();
        open = received && !received->bytes().empty() && pending.size() < kLineMax;
        if (!open) break;
        const auto bytes = received->bytes();
        pending.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        for (std::size_t end = 0; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1))
          hear(std::string_view(pending).substr(0, end));
      }
      socket_.reset();
    }
    if (status_.clean) break;
    // Its end closes the socket a moment before the lock; a new agent may also be listened to.
    if (!co_await runtime::sleep(20ms)) co_return;
  }
  for (int i = 0; supervisor_ > 0 && i < 100; ++i) {
    if (::waitpid(supervisor_, nullptr, WNOHANG) != 0) supervisor_ = 0;
    if (supervisor_ > 0 && !co_await runtime::sleep(10ms)) co_return;
  }
  if (!status_.over()) read_status_file();
  if (!status_.over()) {
    status_.state = RankStatus::State::kEnded;
    status_.exit_code = kKilledCode;
    status_.ended_ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(env_.wall_now().time_since_epoch()).count());
  }
  status_.clean = true;
  changed_();
}

void RankLink::read_status_file() {
  if (const auto text = read_file(file("status"), kLineMax); text && !text->empty())
    hear(std::string_view(*text).substr(0, text->size() - 1));
}

void RankLink::say(const std::string& line) {
  if (socket_ == nullptr) return;
  const std::string text = line + "\n";
  (void)!::send(socket_->fd(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void RankLink::lease(const RankLease& lease) {
  lease_ = lease;
  say_lease();
}

void RankLink::say_lease() {
  if (lease_.leave != 0) say(fmt::format("lease {} {}", lease_.leave, lease_.stop));
}

void RankLink::hear(std::string_view line) {
  std::istringstream words{std::string(line)};
  std::string verb;
  words >> verb;
  if (verb == "started") {
    words >> status_.pid;
    if (!status_.over()) status_.state = RankStatus::State::kRunning;
  } else if (verb == "ended") {
    int signo = 0, oom = 0, fenced = 0;
    words >> status_.exit_code >> signo >> oom >> status_.ended_ms >> fenced;
    status_.fenced = status_.fenced || fenced != 0;
    status_.out_of_memory = oom != 0;
    status_.state = RankStatus::State::kEnded;
  } else if (verb == "failed") {
    status_.reason = line.size() > 7 ? line.substr(7) : line;
    status_.state = RankStatus::State::kFailed;
  } else if (verb == "fenced") {
    status_.fenced = true;
  } else if (verb == "output") {
    words >> status_.log_bytes >> status_.output_ms;
  } else if (verb == "unclean") {
    status_.unclean = line.size() > 8 ? line.substr(8) : line;
  } else if (verb == "clean") {
    status_.clean = true;
    status_.vouched = true;
  }
  changed_();
}

}  // namespace ff::ctl
