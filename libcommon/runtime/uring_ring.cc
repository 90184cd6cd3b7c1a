#include "libcommon/runtime/uring_ring.hpp"

#include <fmt/core.h>
#include <liburing.h>
#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string_view>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/file.hpp"

namespace ff::runtime {

namespace {

constexpr unsigned kCompletionsPerEntry = 4;
// With 16 reads of 4 KiB in flight all of 1, 2, 4 and 8 gave a tenth more than waiting for the end of the round; 4
// costs no measurable processor time.
constexpr unsigned kTransfersAtOnce = 4;

bool is_transfer(int opcode) noexcept {
  return opcode == IORING_OP_READ_FIXED || opcode == IORING_OP_WRITE_FIXED || opcode == IORING_OP_READ ||
         opcode == IORING_OP_WRITE;
}

// EINTR: a signal; EAGAIN, EBUSY, ENOMEM: the kernel is short of memory or of room for answers, which reap() makes.
bool submits_later(int result) noexcept {
  return result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ENOMEM;
}

std::string kernel_name() {
  utsname name{};
  if (::uname(&name) != 0) return "this kernel";
  return fmt::format("kernel {}", name.release);
}

// Why the kernel refused a call of io_uring, with what to do about it.
Error refusal(std::string_view call, int error) {
  const std::string text = errno_error(call, error).message();
  if (error == ENOSYS) {
    return Error(Errc::kUnsupported,
                 fmt::format("{} ({} has no io_uring, or a seccomp filter hides it)", text, kernel_name()), error);
  }
  if (error == EPERM || error == EACCES) {
    const auto setting = read_file("/proc/sys/kernel/io_uring_disabled", 16);
    if (setting && !setting->empty() && setting->front() != '0') {
      return Error(Errc::kPermission,
                   fmt::format("{} (kernel.io_uring_disabled={}; sysctl kernel.io_uring_disabled=0 allows it)", text,
                               setting->front()),
                   error);
    }
    return Error(Errc::kPermission,
                 fmt::format("{} (a seccomp filter forbids it, as container runtimes do; allow io_uring_setup, "
                             "io_uring_enter and io_uring_register)",
                             text),
                 error);
  }
  if (error == ENOMEM) {
    return Error(Errc::kExhausted, fmt::format("{} (raise the locked memory limit, ulimit -l)", text), error);
  }
  return errno_error(call, error);
}

Error missing(std::string_view what, std::string_view since) {
  return Error(Errc::kUnsupported,
               fmt::format("io_uring: {} lacks {} (it came with Linux {})", kernel_name(), what, since));
}

struct NamedOpcode {
  int opcode;
  std::string_view name;
  std::string_view since;
};

constexpr std::array kOpcodes = {
    NamedOpcode{IORING_OP_READ_FIXED, "READ_FIXED", "5.1"},
    NamedOpcode{IORING_OP_WRITE_FIXED, "WRITE_FIXED", "5.1"},
    NamedOpcode{IORING_OP_FSYNC, "FSYNC", "5.1"},
    NamedOpcode{IORING_OP_SENDMSG, "SENDMSG", "5.3"},
    NamedOpcode{IORING_OP_ACCEPT, "ACCEPT", "5.5"},
    NamedOpcode{IORING_OP_CONNECT, "CONNECT", "5.5"},
    NamedOpcode{IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL", "5.5"},
    NamedOpcode{IORING_OP_READ, "READ", "5.6"},
    NamedOpcode{IORING_OP_WRITE, "WRITE", "5.6"},
    NamedOpcode{IORING_OP_RECV, "RECV", "5.6"},
    NamedOpcode{IORING_OP_FALLOCATE, "FALLOCATE", "5.6"},
    NamedOpcode{IORING_OP_OPENAT, "OPENAT", "5.6"},
    NamedOpcode{IORING_OP_STATX, "STATX", "5.6"},
    NamedOpcode{IORING_OP_CLOSE, "CLOSE", "5.6"},
    NamedOpcode{IORING_OP_RENAMEAT, "RENAMEAT", "5.11"},
    NamedOpcode{IORING_OP_UNLINKAT, "UNLINKAT", "5.11"},
    NamedOpcode{IORING_OP_MKDIRAT, "MKDIRAT", "5.15"},
    // Not used: it came with the release in which RECV and SENDMSG learned MSG_WAITALL and sparse buffer tables came.
    NamedOpcode{IORING_OP_SOCKET, "SOCKET", "5.19"},
};

Result<> check_features(io_uring& ring) {
  if ((ring.features & IORING_FEAT_NODROP) == 0) return fail(missing("IORING_FEAT_NODROP", "5.5"));
  if ((ring.features & IORING_FEAT_EXT_ARG) == 0) return fail(missing("IORING_FEAT_EXT_ARG", "5.11"));
  // Not io_uring_get_probe_ring(), which does not tell why it failed. The probe ends in an array of the operations.
  constexpr unsigned kOpcodesMax = 256;
  alignas(io_uring_probe) std::array<std::byte, sizeof(io_uring_probe) + kOpcodesMax * sizeof(io_uring_probe_op)>
      memory{};
  auto* probe = reinterpret_cast<io_uring_probe*>(memory.data());
  if (const int result = io_uring_register_probe(&ring, probe, kOpcodesMax); result < 0) {
    return fail(refusal("io_uring_register", -result));
  }
  for (const auto& [opcode, name, since] : kOpcodes) {
    if (!io_uring_opcode_supported(probe, opcode)) return fail(missing(fmt::format("IORING_OP_{}", name), since));
  }
  // The ring is disabled still: EBADFD is the answer of a kernel that lets us in.
  const int entered = io_uring_enter(static_cast<unsigned>(ring.ring_fd), 0, 0, 0, nullptr);
  if (entered < 0 && entered != -EBADFD) return fail(refusal("io_uring_enter", -entered));
  return {};
}

}  // namespace

void UringRing::Deleter::operator()(io_uring* ring) const noexcept {
  io_uring_queue_exit(ring);
  delete ring;
}

Result<std::unique_ptr<UringRing>> UringRing::create(std::uint32_t entries) {
  // Best first. Linux 6.1 runs completions only when we ask, 5.19 at least does not interrupt us for them. Disabled at
  // first, so that the thread which runs the ring, not the one that makes it, becomes its only issuer.
  constexpr unsigned kCommon = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
                               IORING_SETUP_R_DISABLED | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN;
  constexpr std::array kFlags = {kCommon | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, kCommon};
  int error = 0;
  for (const unsigned flags : kFlags) {
    io_uring_params params{};
    params.flags = flags;
    params.cq_entries = entries * kCompletionsPerEntry;
    auto raw = std::make_unique<io_uring>();
    error = -io_uring_queue_init_params(entries, raw.get(), &params);
    if (error == 0) {
      std::unique_ptr<io_uring, Deleter> ring(raw.release());
      FF_TRY(check_features(*ring));
      return std::unique_ptr<UringRing>(new UringRing(std::move(ring)));
    }
    if (error != EINVAL) break;
  }
  if (error == EINVAL) return fail(missing("IORING_SETUP_COOP_TASKRUN", "5.19"));
  return fail(refusal("io_uring_setup", error));
}

UringRing::~UringRing() = default;

void UringRing::attach() {
  if (!enabled_) {
    // By its system call: liburing 2.3 declares io_uring_enable_rings() and does not export it.
    const int result =
        io_uring_register(static_cast<unsigned>(ring_->ring_fd), IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    FF_ASSERT(result == 0, result);
    enabled_ = true;
  }
  // Saves looking up the descriptor at each call; where the kernel has no place left it works without.
  (void)io_uring_register_ring_fd(ring_.get());
}

void UringRing::detach() {
  // The registration belongs to this thread and would keep the ring alive as long as it.
  (void)io_uring_unregister_ring_fd(ring_.get());
}

io_uring_sqe& UringRing::prepare(UringCompletion* completion) {
  io_uring_sqe* sqe = io_uring_get_sqe(ring_.get());
  while (sqe == nullptr) {
    submit();
    sqe = io_uring_get_sqe(ring_.get());
    if (sqe == nullptr) reap();
  }
  *sqe = io_uring_sqe{};
  sqe->user_data = reinterpret_cast<std::uintptr_t>(completion);
  return *sqe;
}

void UringRing::cancel(UringCompletion& target) {
  io_uring_sqe& sqe = prepare(nullptr);
  sqe.opcode = IORING_OP_ASYNC_CANCEL;
  sqe.fd = -1;
  sqe.addr = reinterpret_cast<std::uintptr_t>(&target);
}

void UringRing::filled(const io_uring_sqe& sqe) {
  if (is_transfer(sqe.opcode) && ++transfers_ >= kTransfersAtOnce) submit_transfers();
}

void UringRing::submit() {
  transfers_ = 0;
  const int result = io_uring_submit_and_get_events(ring_.get());
  FF_ASSERT(result >= 0 || submits_later(result), result);
}

void UringRing::submit_transfers() {
  transfers_ = 0;
  // Without asking for answers: those come at the end of the round, together.
  const int result = io_uring_submit(ring_.get());
  FF_ASSERT(result >= 0 || submits_later(result), result);
}

void UringRing::enter(Duration wait) {
  if (wait <= Duration(0)) {
    const unsigned events = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    const bool kernel_has_work = (__atomic_load_n(ring_->sq.kflags, __ATOMIC_RELAXED) & events) != 0;
    if (kernel_has_work || io_uring_sq_ready(ring_.get()) > 0) submit();
  } else {
    transfers_ = 0;
    io_uring_cqe* first = nullptr;
    __kernel_timespec limit{};
    const auto seconds = std::chrono::floor<std::chrono::seconds>(wait);
    limit.tv_sec = seconds.count();
    limit.tv_nsec = (wait - seconds).count();
    const int result =
        io_uring_submit_and_wait_timeout(ring_.get(), &first, 1, wait == Duration::max() ? nullptr : &limit, nullptr);
    FF_ASSERT(result >= 0 || result == -ETIME || submits_later(result), result);
  }
  reap();
}

void UringRing::reap() {
  io_uring_cqe* cqe = nullptr;
  unsigned head = 0;
  unsigned count = 0;
  io_uring_for_each_cqe(ring_.get(), head, cqe) {
    ++count;
    if (auto* completion = reinterpret_cast<UringCompletion*>(cqe->user_data)) {
      completion->completed(cqe->res, cqe->flags);
    }
  }
  io_uring_cq_advance(ring_.get(), count);
}

Result<> UringRing::register_buffer_ring(std::byte* memory, std::uint32_t entries, std::uint16_t group) {
  io_uring_buf_reg about{};
  about.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  about.ring_entries = entries;
  about.bgid = group;
  const int result = io_uring_register_buf_ring(ring_.get(), &about, 0);
  if (result == -EINVAL) return fail(missing("IORING_REGISTER_PBUF_RING", "5.19"));
  if (result < 0) return fail(refusal("io_uring_register (buffer ring)", -result));
  return {};
}

Result<> UringRing::register_empty_buffers(std::uint32_t slots) {
  const int result = io_uring_register_buffers_sparse(ring_.get(), slots);
  if (result < 0) return fail(refusal("io_uring_register (buffers)", -result));
  return {};
}

Result<> UringRing::set_buffer(std::uint32_t slot, std::span<std::byte> memory) {
  const iovec part{memory.data(), memory.size()};
  const __u64 tag = 0;
  const int result = io_uring_register_buffers_update_tag(ring_.get(), slot, &part, &tag, 1);
  if (result < 0) return fail(refusal("io_uring_register (buffer)", -result));
  return {};
}

}  // namespace ff::runtime
