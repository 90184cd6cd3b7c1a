// RealEnvTest: the same tests on both backends. A backend that this machine refuses is skipped with the reason.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "libcommon/runtime/real_env.hpp"

namespace ff::runtime {

using namespace std::chrono_literals;

class RealEnvTest : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override { make({}); }

  // Replaces the Env by one with these options.
  void make(RealEnvOptions options) {
    env_.reset();
    options.backend = GetParam();
    auto env = RealEnv::create(options);
    if (!env && options.backend == Backend::kUring && env.error().code() != Errc::kInvalidArgument) {
      GTEST_SKIP() << env.error().message();
    }
    ASSERT_TRUE(env) << env.error().message();
    env_ = std::move(*env);
  }

  RealEnv& env() { return *env_; }

  // Both ends of a stream, each as a Socket of the Env.
  std::pair<std::unique_ptr<Socket>, std::unique_ptr<Socket>> socket_pair() {
    std::array<int, 2> fds{-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    return {env_->adopt(UniqueFd(fds[0])), env_->adopt(UniqueFd(fds[1]))};
  }

  // Nothing here takes long: a wait that never ends fails the test instead of stopping it.
  template <class T>
  Result<T> run(Task<Result<T>> task) {
    return env_->run(with_timeout(20s, "test", std::move(task)));
  }
  void expect_ok(Task<Result<>> task) {
    const Result<> result = run(std::move(task));
    EXPECT_TRUE(result) << result.error().message();
  }

 private:
  std::unique_ptr<RealEnv> env_;
};

inline std::string backend_name(const testing::TestParamInfo<Backend>& info) {
  return info.param == Backend::kUring ? "uring" : "epoll";
}

#define FF_TEST_ON_BOTH_BACKENDS(Suite) \
  INSTANTIATE_TEST_SUITE_P(Backends, Suite, testing::Values(Backend::kUring, Backend::kEpoll), backend_name)

template <class T>
Errc code_of(const Result<T>& result) {
  if (result) {
    ADD_FAILURE() << "expected an error";
    return Errc::kInternal;
  }
  return result.error().code();
}

// A listening TCP socket on the loopback interface, and its address.
struct TcpListener {
  explicit TcpListener(int backlog = 128) {
    fd = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(::listen(fd.get(), backlog), 0);
    EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  }
  UniqueFd fd;
  sockaddr_storage address{};
  socklen_t length = sizeof address;
};

inline UniqueFd tcp_socket() { return UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

inline std::vector<std::byte> pattern(std::size_t bytes, unsigned seed = 1) {
  std::vector<std::byte> out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::byte>((i * 131 + i / 251 + seed) & 0xff);
  return out;
}

inline std::string text_of(const Received& received) {
  return {reinterpret_cast<const char*>(received.bytes().data()), received.bytes().size()};
}

inline iovec part_of(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

inline Task<Result<>> write_text(Socket& socket, std::string text) {
  const iovec part = part_of(text);
  co_return co_await socket.write({&part, 1});
}

}  // namespace ff::runtime
