#include "libcommon/net/socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/libcommon/net/error_code.hpp"

namespace ff::net {
namespace {

using namespace std::chrono_literals;

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &length), 0);
  return value;
}

UniqueFd accept_soon(int listener) {
  const Deadline deadline = Deadline::after(5s);
  for (;;) {
    UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (fd || deadline.expired()) return fd;
    std::this_thread::sleep_for(1ms);
  }
}

bool prepared(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

class UnixSocket : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ff_sock.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    at_ = Address::unix_path((folder_ / "s").string());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
  Address at_;
};

TEST(TcpSocket, ListensOnAFreePortAndConnects) {
  const auto listener = listen_on(Address::tcp("127.0.0.1", 0));
  ASSERT_TRUE(listener) << listener.error().message();
  EXPECT_TRUE(prepared(listener->get()));
  const auto at = local_address(listener->get());
  ASSERT_TRUE(at);
  EXPECT_EQ(at->host, "127.0.0.1");
  EXPECT_NE(at->port, 0);
  const auto client = connect_to(*at, Deadline::after(5s));
  ASSERT_TRUE(client) << client.error().message();
  EXPECT_TRUE(prepared(client->get()));
  EXPECT_EQ(*peer_address(client->get()), *at);
  const UniqueFd server = accept_soon(listener->get());
  EXPECT_EQ(*peer_address(server.get()), *local_address(client->get()));
  EXPECT_TRUE(is_same_machine(client->get()));
  EXPECT_EQ(option(client->get(), IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(client->get(), SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(client->get(), IPPROTO_TCP, TCP_KEEPIDLE), 10);
}

TEST(TcpSocket, SharesAPortOnlyWhenAsked) {
  const auto first = listen_on(Address::tcp("127.0.0.1", 0), {.reuse_port = true});
  ASSERT_TRUE(first);
  const Address at = *local_address(first->get());
  EXPECT_TRUE(listen_on(at, {.reuse_port = true}));
  const auto alone = listen_on(at);
  ASSERT_FALSE(alone);
  EXPECT_EQ(code_of(alone), Errc::kAlreadyExists);
  EXPECT_NE(alone.error().message().find(at.text()), std::string::npos);
}

TEST(TcpSocket, RefusesAddressesThatAreNotOurs) { EXPECT_FALSE(listen_on(Address::tcp("192.0.2.1", 0))); }

TEST(TcpSocket, AppliesOptions) {
  const auto listener = listen_on(Address::tcp("127.0.0.1", 0));
  const auto fd = connect_to(*local_address(listener->get()), Deadline::after(5s),
                             {.same_machine = true,
                              .user_timeout = 1234ms,
                              .keepalive_idle = 7s,
                              .keepalive_interval = 3s,
                              .keepalive_probes = 5});
  ASSERT_TRUE(fd);
  EXPECT_EQ(option(fd->get(), IPPROTO_TCP, TCP_USER_TIMEOUT), 1234);
  EXPECT_EQ(option(fd->get(), IPPROTO_TCP, TCP_KEEPIDLE), 7);
  EXPECT_EQ(option(fd->get(), IPPROTO_TCP, TCP_KEEPINTVL), 3);
  EXPECT_EQ(option(fd->get(), IPPROTO_TCP, TCP_KEEPCNT), 5);
  char name[16] = {};
  socklen_t length = sizeof name;
  ASSERT_EQ(::getsockopt(fd->get(), IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
  EXPECT_TRUE(std::string(name) == "cubic" || std::string(name) == "reno") << name;
  set_user_timeout(fd->get(), std::chrono::hours(24 * 365));  // beyond an int of milliseconds
  EXPECT_EQ(option(fd->get(), IPPROTO_TCP, TCP_USER_TIMEOUT), 2147483647);
}

TEST(ConnectTo, WaitsForAPeerThatStartsLater) {
  Address at;
  {
    const auto listener = listen_on(Address::tcp("127.0.0.1", 0));
    at = *local_address(listener->get());
  }
  std::jthread later([&] {
    std::this_thread::sleep_for(50ms);
    const auto listener = listen_on(at);
    ASSERT_TRUE(listener);
    EXPECT_TRUE(accept_soon(listener->get()));
  });
  const auto fd = connect_to(at, Deadline::after(5s));
  EXPECT_TRUE(fd) << fd.error().message();
}

TEST(ConnectTo, GivesUpAtTheDeadlineWithTheLastReason) {
  Address at;
  {
    const auto listener = listen_on(Address::tcp("127.0.0.1", 0));
    at = *local_address(listener->get());
  }
  const auto began = std::chrono::steady_clock::now();
  const auto fd = connect_to(at, Deadline::after(100ms));
  ASSERT_FALSE(fd);
  EXPECT_EQ(code_of(fd), Errc::kUnavailable);
  EXPECT_EQ(fd.error().sys_errno(), ECONNREFUSED);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 3s);
}

TEST(BeginConnect, ReportsFailureThroughTheSocketsError) {
  Address at;
  {
    const auto listener = listen_on(Address::tcp("127.0.0.1", 0));
    at = *local_address(listener->get());
  }
  const auto fd = begin_connect(*resolve_numeric(at, ResolveFor::kConnect));
  if (!fd) {
    EXPECT_EQ(fd.error().sys_errno(), ECONNREFUSED);
    return;
  }
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(socket_error(fd->get()), ECONNREFUSED);
  EXPECT_EQ(socket_error(-1), EBADF);
}

TEST(Interfaces, AreNumericAndReachable) {
  for (const std::string& address : interface_addresses()) {
    const auto at = resolve_numeric(Address::tcp(address, 1), ResolveFor::kConnect);
    ASSERT_TRUE(at) << address;
    EXPECT_FALSE(at->is_loopback());
  }
}

TEST_F(UnixSocket, ConnectsAndKnowsThePeersUser) {
  const auto listener = listen_on(at_);
  ASSERT_TRUE(listener) << listener.error().message();
  const auto client = connect_to(at_, Deadline::after(5s), {.same_machine = true});
  ASSERT_TRUE(client) << client.error().message();
  const UniqueFd server = accept_soon(listener->get());
  const auto credentials = peer_credentials(server.get());
  ASSERT_TRUE(credentials) << credentials.error().message();
  EXPECT_EQ(credentials->pid, ::getpid());
  EXPECT_EQ(credentials->uid, ::geteuid());
  EXPECT_EQ(credentials->gid, ::getegid());
  EXPECT_TRUE(is_same_machine(server.get()));
  EXPECT_EQ(*peer_address(client->get()), at_);
}

TEST_F(UnixSocket, CredentialsAreOfConnectedUnixSocketsOnly) {
  const auto tcp = listen_on(Address::tcp("127.0.0.1", 0));
  EXPECT_EQ(code_of(peer_credentials(tcp->get())), Errc::kUnsupported);
  const UniqueFd alone(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(code_of(peer_credentials(alone.get())), Errc::kUnavailable);
  EXPECT_FALSE(peer_credentials(-1));
}

TEST_F(UnixSocket, HasTheModeThatWasAskedFor) {
  const auto mode = [&] {
    struct stat about;
    EXPECT_EQ(::stat(at_.host.c_str(), &about), 0);
    return about.st_mode & 0777;
  };
  {
    const auto listener = listen_on(at_);
    EXPECT_EQ(mode(), 0600u);
  }
  const auto listener = listen_on(at_, {.unix_mode = 0666});
  ASSERT_TRUE(listener);
  EXPECT_EQ(mode(), 0666u);  // whatever the umask
}

TEST_F(UnixSocket, ReplacesTheFileOfADeadProcess) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto listener = listen_on(at_);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(std::filesystem::is_socket(at_.host));
  const auto listener = listen_on(at_);
  ASSERT_TRUE(listener) << listener.error().message();
  EXPECT_TRUE(connect_to(at_, Deadline::after(1s)));
}

TEST_F(UnixSocket, LeavesALiveListenerAlone) {
  const auto first = listen_on(at_);
  const auto second = listen_on(at_);
  ASSERT_FALSE(second);
  EXPECT_EQ(code_of(second), Errc::kAlreadyExists);
  EXPECT_NE(second.error().message().find("running process"), std::string::npos);
  EXPECT_TRUE(connect_to(at_, Deadline::after(1s)));
}

TEST_F(UnixSocket, LeavesALiveListenerAloneWhoseBacklogIsFull) {
  const auto first = listen_on(at_, {.backlog = 0});
  std::vector<UniqueFd> waiting;
  const auto to = *resolve_numeric(at_, ResolveFor::kConnect);
  for (;;) {
    auto fd = begin_connect(to);
    if (!fd) {
      EXPECT_EQ(code_of(fd), Errc::kUnavailable);
      break;
    }
    waiting.push_back(std::move(*fd));
    ASSERT_LT(waiting.size(), 100u);
  }
  EXPECT_EQ(code_of(listen_on(at_)), Errc::kAlreadyExists);
}

TEST_F(UnixSocket, LeavesAFileThatIsNoSocketAlone) {
  std::ofstream(at_.host) << "data";
  const auto listener = listen_on(at_);
  ASSERT_FALSE(listener);
  EXPECT_EQ(code_of(listener), Errc::kAlreadyExists);
  EXPECT_EQ(std::filesystem::file_size(at_.host), 4u);
}

TEST_F(UnixSocket, GivesUpWhenTheFolderStaysLocked) {
  const UniqueFd lock(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
  EXPECT_EQ(code_of(listen_on(at_)), Errc::kTimeout);
}

TEST_F(UnixSocket, OfManyThatStartAtOnceOneWins) {
  {
    const auto dead = listen_on(at_);
  }
  std::atomic<int> won{0};
  std::vector<UniqueFd> kept(8);
  {
    std::vector<std::jthread> starters;
    for (UniqueFd& slot : kept)
      starters.emplace_back([&] {
        if (auto listener = listen_on(at_)) {
          slot = std::move(*listener);
          ++won;
        }
      });
  }
  EXPECT_EQ(won, 1);
  EXPECT_TRUE(connect_to(at_, Deadline::after(1s)));
}

TEST_F(UnixSocket, ConnectWaitsForTheSocketFile) {
  EXPECT_EQ(connect_to(at_, Deadline::after(30ms)).error().sys_errno(), ENOENT);
  std::jthread later([&] {
    std::this_thread::sleep_for(30ms);
    const auto listener = listen_on(at_);
    EXPECT_TRUE(accept_soon(listener->get()));
  });
  EXPECT_TRUE(connect_to(at_, Deadline::after(5s)));
}

TEST_F(UnixSocket, AbstractNamesVanishWithTheirListener) {
  const Address at = Address::unix_abstract("ff-socket-test-" + std::to_string(::getpid()));
  {
    const auto listener = listen_on(at);
    ASSERT_TRUE(listener) << listener.error().message();
    EXPECT_EQ(*local_address(listener->get()), at);
    EXPECT_EQ(code_of(listen_on(at)), Errc::kAlreadyExists);
    EXPECT_TRUE(connect_to(at, Deadline::after(1s)));
  }
  EXPECT_TRUE(listen_on(at));
}

}  // namespace
}  // namespace ff::net
