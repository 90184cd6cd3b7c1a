#include "ffs/cmd/each_path.hpp"

#include "libcommon/cli/app.hpp"

namespace ff::ffs {

Result<> tell_and_go_on(const Error& error, bool alone) {
  const Errc why = error.code();
  const bool of_all = why == Errc::kCancelled || why == Errc::kTimeout || why == Errc::kUnavailable ||
                      (why == Errc::kInvalidArgument && error.sys_errno() == 0);
  if (of_all || alone) return fail(error);
  cli::report_error("ffs", error, false);
  return {};
}

}  // namespace ff::ffs
