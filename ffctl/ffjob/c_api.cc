// The C ABI over one RankPage a process. Nothing here throws into C.
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>

#include "ffctl/ffjob/ffjob.h"
#include "ffctl/ffjob/rank_page.hpp"

namespace {

using ff::Errc;
using ff::Result;
using ff::ctl::RankPage;

thread_local std::string t_error;

int errno_of(const ff::Error& error) {
  if (error.sys_errno() != 0) return error.sys_errno();
  switch (error.code()) {
    case Errc::kInvalidArgument: return EINVAL;
    case Errc::kUnsupported: return EPROTONOSUPPORT;
    case Errc::kExhausted: return ENOMEM;
    default: return EIO;
  }
}

int failed(const ff::Error& error) {
  t_error = error.message();
  return -errno_of(error);
}

std::uint32_t number_from(const char* name) {
  const char* text = std::getenv(name);
  std::uint32_t value = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), value);
  return value;
}

// Opened once, on first use; lives as long as the process.
struct Process {
  Result<std::unique_ptr<RankPage>> page = open();

  static Result<std::unique_ptr<RankPage>> open() {
    const char* folder = std::getenv("FF_CTL");
    if (folder == nullptr || *folder == '\0') return std::unique_ptr<RankPage>();
    // Under torchrun the agent starts one process, whose children know their number by LOCAL_RANK alone.
    return RankPage::open(folder,
                          number_from(std::getenv("FF_LOCAL_RANK") != nullptr ? "FF_LOCAL_RANK" : "LOCAL_RANK"));
  }
};

Process& process() {
  static Process& p = *new Process;  // never destroyed: exit handlers of others may still call
  return p;
}

// Null outside a job, and where the page cannot be used.
RankPage* page() {
  const auto& opened = process().page;
  return opened ? opened->get() : nullptr;
}

}  // namespace

extern "C" {

int ff_init(void) try {
  const auto& opened = process().page;
  return opened ? 0 : failed(opened.error());
} catch (const std::exception&) {
  return -ENOMEM;
}

int ff_active(void) { return page() != nullptr ? 1 : 0; }

int ff_should_stop(uint64_t step) {
  RankPage* const p = page();
  return p != nullptr && p->should_stop(step) ? 1 : 0;
}

int ff_saving(uint64_t bytes, double seconds) {
  if (RankPage* const p = page(); p != nullptr)
    p->saving(bytes, seconds > 0 && seconds < 1e9 ? static_cast<std::uint64_t>(std::ceil(seconds * 1e3)) : 0);
  return 0;
}

int ff_saved(uint64_t step) {
  if (RankPage* const p = page(); p != nullptr) p->saved(step);
  return 0;
}

void ff_yield(void) {
  if (RankPage* const p = page(); p != nullptr) std::exit(p->yield() && p->has_saved() ? 0 : FF_EXIT_REQUEUE);
}

int ff_heartbeat(void) {
  if (RankPage* const p = page(); p != nullptr) p->heartbeat();
  return 0;
}

int64_t ff_state_get(void* buffer, size_t bytes) try {
  RankPage* const p = page();
  if (p == nullptr) return 0;
  if (buffer == nullptr && bytes != 0) return failed(ff::Error(Errc::kInvalidArgument, "ff_state_get: buffer is null"));
  const std::string state = p->state();
  if (bytes != 0) std::memcpy(buffer, state.data(), std::min(bytes, state.size()));
  return static_cast<int64_t>(state.size());
} catch (const std::exception&) {
  return -ENOMEM;
}

int ff_state_set(const void* data, size_t bytes) try {
  RankPage* const p = page();
  if (p == nullptr) return 0;
  if (data == nullptr && bytes != 0) return failed(ff::Error(Errc::kInvalidArgument, "ff_state_set: data is null"));
  const Result<> set = p->set_state({static_cast<const std::byte*>(data), bytes});
  return set ? 0 : failed(set.error());
} catch (const std::exception&) {
  return -ENOMEM;
}

uint64_t ff_resume_step(void) {
  RankPage* const p = page();
  return p != nullptr ? p->resume_step() : 0;
}

uint32_t ff_attempt(void) {
  RankPage* const p = page();
  return p != nullptr ? p->attempt() : 0;
}

const char* ff_error(void) { return t_error.c_str(); }
}
