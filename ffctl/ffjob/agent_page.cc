#include "ffctl/ffjob/agent_page.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/futex.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "libcommon/base/file.hpp"

namespace ff::ctl {
namespace {

// A new file of that length whose blocks are there: a page that could not be written would kill who touches it.
Result<UniqueFd> make_file(const std::string& path, std::size_t bytes, mode_t mode) {
  ::unlink(path.c_str());
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return fail(errno_error(path));
  if (::fchmod(fd.get(), mode) != 0) return fail(errno_error(path));
  if (const int code = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); code != 0)
    return fail(errno_error(path, code));
  return fd;
}

Result<> put(int fd, const std::string& path, std::size_t offset, const void* data, std::size_t bytes) {
  if (bytes == 0 || ::pwrite(fd, data, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes)) return {};
  return fail(errno_error(path));
}

template <class T>
T field(const std::byte* slot, std::size_t offset) {
  T value;
  std::memcpy(&value, slot + offset, sizeof value);
  return value;
}

}  // namespace

Result<AgentPage> AgentPage::create(const PageSpec& spec) {
  if (spec.slots == 0 || spec.slots > kSlotsMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("ranks on a node: {} (1 to {} are possible)", spec.slots, kSlotsMax));
  if (spec.state.size() > kStateBytesMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("state: {} bytes are more than {}", spec.state.size(), kStateBytesMax));
  if (::mkdir(spec.folder.c_str(), 0711) != 0 && errno != EEXIST) return fail(errno_error(spec.folder));
  if (::chmod(spec.folder.c_str(), 0711) != 0) return fail(errno_error(spec.folder));
  const std::string control = control_file(spec.folder), ranks = ranks_file(spec.folder);
  FF_TRY_ASSIGN(const UniqueFd ranks_fd, make_file(ranks, ranks_bytes(spec.slots), 0600));
  if (::geteuid() == 0 && ::fchown(ranks_fd.get(), spec.uid, spec.gid) != 0) return fail(errno_error(ranks));
  const struct {
    std::uint64_t magic;
    std::uint32_t version, slots;
  } ranks_head{kRanksMagic, kPageVersion, spec.slots};
  FF_TRY(put(ranks_fd.get(), ranks, 0, &ranks_head, sizeof ranks_head));

  FF_TRY_ASSIGN(const UniqueFd control_fd, make_file(control, kControlBytes, 0644));
  FF_TRY(put(control_fd.get(), control, kHeadBytes, spec.state.data(), spec.state.size()));
  FF_TRY_ASSIGN(const Mapping mapping, Mapping::open(control, kControlBytes, true));
  auto* head = reinterpret_cast<ControlHead*>(mapping.data());
  head->version = kPageVersion;
  head->slots = spec.slots;
  head->job = spec.job;
  head->attempt = spec.attempt;
  head->first_rank = spec.first_rank;
  head->resume_step = spec.resume_step;
  head->state_bytes = static_cast<std::uint32_t>(spec.state.size());
  head->node_rank = spec.node_rank;
  head->deadline_ns.store(UINT64_MAX, std::memory_order_relaxed);
  head->magic = kControlMagic;
  return open(spec.folder);
}

Result<AgentPage> AgentPage::open(const std::string& folder) {
  FF_TRY_ASSIGN(Mapping control, Mapping::open(control_file(folder), kControlBytes, true));
  const auto* head = reinterpret_cast<const ControlHead*>(control.data());
  if (head->magic != kControlMagic || head->version != kPageVersion || head->slots == 0 || head->slots > kSlotsMax)
    return fail(Errc::kCorrupt, control_file(folder) + ": no control page of this version");
  UniqueFd ranks(::open(ranks_file(folder).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!ranks) return fail(errno_error(ranks_file(folder)));
  return AgentPage(std::move(control), std::move(ranks));
}

void AgentPage::remove(const std::string& folder) noexcept {
  ::unlink(control_file(folder).c_str());
  ::unlink(ranks_file(folder).c_str());
  ::rmdir(folder.c_str());
}

void AgentPage::set_order(const Order& order) noexcept {
  ControlHead* const at = head();
  if (at->order.load(std::memory_order_relaxed) == order.word()) return;
  at->order.store(order.word(), std::memory_order_seq_cst);
  at->changes.fetch_add(1, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  ::syscall(SYS_futex, &at->changes, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void AgentPage::set_deadline(std::chrono::nanoseconds monotonic) noexcept {
  head()->deadline_ns.store(static_cast<std::uint64_t>(monotonic.count()), std::memory_order_relaxed);
}

Result<std::vector<SlotView>> AgentPage::slot_views() const {
  const std::uint32_t count = slots();
  std::vector<std::byte> bytes(count * sizeof(RankSlot));
  // The order that was written before must be visible before the steps are read.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const ssize_t got = ::pread(ranks_.get(), bytes.data(), bytes.size(), static_cast<off_t>(kHeadBytes));
  if (got != static_cast<ssize_t>(bytes.size()))
    return fail(Errc::kCorrupt, "the ranks' page: shorter than it was made");
  std::vector<SlotView> views(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::byte* at = bytes.data() + i * sizeof(RankSlot);
    SlotView& view = views[i];
    view.used = field<std::uint32_t>(at, offsetof(RankSlot, pid)) != 0;
    view.step = field<std::uint64_t>(at, offsetof(RankSlot, step));
    view.held = field<std::uint64_t>(at, offsetof(RankSlot, held));
    view.saved_step = field<std::uint64_t>(at, offsetof(RankSlot, saved_step));
    view.heartbeat_ns = field<std::uint64_t>(at, offsetof(RankSlot, heartbeat_ns));
    const auto state = field<std::uint32_t>(at, offsetof(RankSlot, state));
    view.state =
        state <= static_cast<std::uint32_t>(RankState::kSaved) ? static_cast<RankState>(state) : RankState::kNone;
    view.seen = field<std::uint32_t>(at, offsetof(RankSlot, seen)) != 0;
    view.yielded = field<std::uint32_t>(at, offsetof(RankSlot, yielded)) != 0;
  }
  return views;
}

bool AgentPage::fence_holds(const Order& order, const std::vector<SlotView>& slots, const std::vector<bool>& ended) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (i < ended.size() && ended[i]) continue;
    if (slots[i].used && slots[i].step >= order.step && slots[i].held != order.word()) return false;
  }
  return true;
}

std::optional<std::string> AgentPage::new_state(std::uint64_t& generation) const {
  const auto word = [&]() -> std::uint64_t {
    std::uint64_t value = 0;
    return ::pread(ranks_.get(), &value, sizeof value, offsetof(RanksHead, state)) == sizeof value ? value : 0;
  };
  const std::uint64_t before = word();
  if (before >> 32 == 0 || before >> 32 == generation || (before & 0xffffffffu) > kStateBytesMax) return std::nullopt;
  std::string out(before & 0xffffffffu, '\0');
  const std::size_t at = state_offset(slots()) + (before >> 32) % 2 * kStateBytesMax;
  if (::pread(ranks_.get(), out.data(), out.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(out.size()))
    return std::nullopt;
  if (word() != before) return std::nullopt;
  generation = before >> 32;
  return out;
}

}  // namespace ff::ctl
