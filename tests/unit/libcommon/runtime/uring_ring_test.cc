// What happens where io_uring is forbidden. A seccomp filter cannot be taken off again, so each case is a child process
// that tells by its exit status and standard error what it saw.
#include "libcommon/runtime/uring_ring.hpp"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "libcommon/base/unique_fd.hpp"
#include "libcommon/runtime/disk.hpp"
#include "tests/unit/libcommon/runtime/real_env_fixture.hpp"

namespace ff::runtime {
namespace {

// From now on `call` fails with `error` in this process.
void forbid(unsigned call, unsigned error) {
  std::array filter = {
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::perror("seccomp");
    _exit(77);
  }
}

[[noreturn]] void tell(const std::string& text, int status) {
  std::fprintf(stderr, "%s\n", text.c_str());
  _exit(status);
}

[[noreturn]] void create_uring(unsigned call, unsigned error) {
  forbid(call, error);
  auto env = RealEnv::create({.backend = Backend::kUring});
  if (env) tell("created", 1);
  tell(std::string(errc_name(env.error().code())) + " " + env.error().message(), 0);
}

Task<Result<int>> try_everything(RealEnv& env) {
  FF_CO_TRY(co_await sleep(1ms));
  FF_CO_TRY_ASSIGN(auto file, co_await env.disk().open("/proc/self/status", {}));
  std::array<std::byte, 16> into;
  FF_CO_TRY(co_await file->read(0, into));
  co_return co_await offload(env, [] { return 42; });
}

[[noreturn]] void create_auto(unsigned call, unsigned error) {
  forbid(call, error);
  auto env = RealEnv::create({});
  if (!env) tell(env.error().message(), 1);
  if ((*env)->backend() != Backend::kEpoll) tell("not epoll", 1);
  auto result = (*env)->run(try_everything(**env));
  if (!result || *result != 42) tell("does not work", 1);
  tell((*env)->fallback_reason(), 0);
}

struct UringRefused : testing::Test {
  // The messages of a machine that forbids io_uring anyway would be about that.
  void SetUp() override {
    if (auto ring = UringRing::create(8); !ring) GTEST_SKIP() << ring.error().message();
  }
};

const testing::ExitedWithCode kSaysNo(0);

TEST_F(UringRefused, BySeccompIsAnErrorThatSaysSo) {
  EXPECT_EXIT(create_uring(SYS_io_uring_setup, EPERM), kSaysNo,
              "permission io_uring_setup: Operation not permitted \\(a seccomp filter forbids it");
  EXPECT_EXIT(create_uring(SYS_io_uring_setup, ENOSYS), kSaysNo,
              "unsupported io_uring_setup: Function not implemented \\(kernel .* has no io_uring, or a seccomp");
  EXPECT_EXIT(create_uring(SYS_io_uring_enter, EPERM), kSaysNo, "permission io_uring_enter: .*seccomp");
  EXPECT_EXIT(create_uring(SYS_io_uring_register, EPERM), kSaysNo, "permission io_uring_register: .*seccomp");
}

TEST_F(UringRefused, FallsBackToEpollWithTheReason) {
  EXPECT_EXIT(create_auto(SYS_io_uring_setup, EPERM), kSaysNo, "^io_uring_setup: Operation not permitted \\(a seccomp");
  EXPECT_EXIT(create_auto(SYS_io_uring_enter, ENOSYS), kSaysNo, "^io_uring_enter: ");
}

[[noreturn]] void create_without_descriptors() {
  const rlimit none{.rlim_cur = 3, .rlim_max = 3};
  if (::setrlimit(RLIMIT_NOFILE, &none) != 0) _exit(77);
  auto env = RealEnv::create({});
  tell(env ? "created" : std::string(errc_name(env.error().code())) + " " + env.error().message(), env ? 1 : 0);
}

TEST_F(UringRefused, ForWantOfDescriptorsIsNoReasonToFallBack) {
  EXPECT_EXIT(create_without_descriptors(), kSaysNo, "exhausted .*Too many open files");
}

struct Answer final : UringCompletion {
  void completed(int r, std::uint32_t) override {
    result = r;
    ++count;
  }
  int result = 0;
  int count = 0;
};

TEST_F(UringRefused, NotAndThenARingAnswersEverySubmissionOnce) {
  auto ring = *UringRing::create(8);
  ring->attach();
  std::array<Answer, 100> answers;                      // many more than the queue holds
  for (auto& answer : answers) ring->prepare(&answer);  // an empty submission is IORING_OP_NOP
  for (int i = 0; i < 100; ++i) ring->enter(Duration(0));
  for (const auto& answer : answers) {
    EXPECT_EQ(answer.count, 1);
    EXPECT_EQ(answer.result, 0);
  }
  ring->detach();
}

struct Answers final : UringCompletion {
  void completed(int result, std::uint32_t) override {
    ++count;
    if (result != 1) ++wrong;
  }
  int count = 0;
  int wrong = 0;
};

class FileSize {
 public:
  FileSize() : fd_(::memfd_create("uring_ring_test", MFD_CLOEXEC)) {}
  int fd() const { return fd_.get(); }
  // True once the file has `bytes`; waits for that.
  bool becomes(off_t bytes, std::chrono::milliseconds patience) const {
    for (const auto end = std::chrono::steady_clock::now() + patience;;) {
      struct stat about{};
      if (::fstat(fd(), &about) == 0 && about.st_size == bytes) return true;
      if (std::chrono::steady_clock::now() >= end) return false;
      std::this_thread::sleep_for(1ms);
    }
  }

 private:
  UniqueFd fd_;
};

TEST(UringRing, GivesTheKernelGroupsOfTransfersBeforeTheRoundEnds) {
  auto ring = UringRing::create(64);
  if (!ring) GTEST_SKIP() << ring.error().message();
  (*ring)->attach();
  const FileSize file;
  Answers answers;
  const auto write = [&](unsigned offset) {
    io_uring_sqe& sqe = (*ring)->prepare(&answers);
    sqe.opcode = IORING_OP_WRITE;
    sqe.fd = file.fd();
    sqe.addr = reinterpret_cast<std::uintptr_t>("x");
    sqe.len = 1;
    sqe.off = offset;
    (*ring)->filled(sqe);
  };
  for (unsigned i = 0; i < 3; ++i) write(i);
  EXPECT_FALSE(file.becomes(3, 50ms));  // few of them wait for the end of the round
  write(3);
  EXPECT_TRUE(file.becomes(4, 10s));
  EXPECT_EQ(answers.count, 0);  // that nobody has asked for yet
  write(4);
  while (answers.count < 5) (*ring)->enter(10s);
  EXPECT_EQ(answers.wrong, 0);
  EXPECT_TRUE(file.becomes(5, 0ms));
  (*ring)->detach();
}

TEST(UringRing, KeepsWhatIsNoTransferUntilTheRoundEnds) {
  auto ring = UringRing::create(64);
  if (!ring) GTEST_SKIP() << ring.error().message();
  (*ring)->attach();
  const FileSize file;
  Answers answers;
  for (unsigned i = 0; i < 16; ++i) {
    io_uring_sqe& sqe = (*ring)->prepare(&answers);
    sqe.opcode = IORING_OP_FALLOCATE;
    sqe.fd = file.fd();
    sqe.off = i;
    sqe.addr = 1;
    (*ring)->filled(sqe);
  }
  EXPECT_FALSE(file.becomes(16, 50ms));
  while (answers.count < 16) (*ring)->enter(10s);
  EXPECT_TRUE(file.becomes(16, 0ms));
  (*ring)->detach();
}

}  // namespace
}  // namespace ff::runtime
