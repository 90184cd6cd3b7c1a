#include "libcommon/runtime/epoll_poller.hpp"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <climits>

#include "libcommon/base/assert.hpp"

namespace ff::runtime {

Result<std::unique_ptr<EpollPoller>> EpollPoller::create(int wake_fd) {
  UniqueFd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd) return fail(errno_error("epoll_create1"));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;
  if (::epoll_ctl(fd.get(), EPOLL_CTL_ADD, wake_fd, &event) != 0) return fail(errno_error("epoll_ctl"));
  return std::unique_ptr<EpollPoller>(new EpollPoller(std::move(fd)));
}

int EpollPoller::wait_for_events(epoll_event* events, int count, Duration wait) {
  if (wait <= Duration(0)) return ::epoll_wait(fd_.get(), events, count, 0);
  if (wait == Duration::max()) return ::epoll_wait(fd_.get(), events, count, -1);
  if (precise_) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(wait);
    const timespec limit{seconds.count(), (wait - seconds).count()};
    const int n = ::epoll_pwait2(fd_.get(), events, count, &limit, nullptr);
    if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return n;
    precise_ = false;  // before Linux 5.11, or a seccomp filter that does not know it
  }
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  return ::epoll_wait(fd_.get(), events, count, static_cast<int>(std::min<long long>(ms, INT_MAX)));
}

void EpollPoller::poll(Duration wait) {
  std::array<epoll_event, 256> events;
  const int count = wait_for_events(events.data(), static_cast<int>(events.size()), wait);
  FF_ASSERT(count >= 0 || errno == EINTR, errno);
  // Waking only makes tasks ready: none runs here, so no watch can go while its event is in the array.
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr != nullptr) static_cast<EpollWatch*>(event.data.ptr)->happened(event.events);
  }
}

EpollWatch::~EpollWatch() {
  if (watching_) (void)::epoll_ctl(poller_.fd_.get(), EPOLL_CTL_DEL, fd_, nullptr);
}

Result<> EpollWatch::begin() {
  if (watching_) return {};
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = this;
  // Adding tells the present state as a first edge.
  if (::epoll_ctl(poller_.fd_.get(), EPOLL_CTL_ADD, fd_, &event) != 0) return fail(errno_error("epoll_ctl"));
  watching_ = true;
  return {};
}

Task<Result<>> EpollWatch::readable() {
  FF_CO_TRY(begin());
  co_return co_await readers_.wait();
}

Task<Result<>> EpollWatch::writable() {
  FF_CO_TRY(begin());
  co_return co_await writers_.wait();
}

void EpollWatch::happened(std::uint32_t events) noexcept {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readers_.wake_all();
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writers_.wake_all();
}

}  // namespace ff::runtime
