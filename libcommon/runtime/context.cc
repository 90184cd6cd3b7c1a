#include "libcommon/runtime/context.hpp"

namespace ff::runtime {

Context::Context(Context& parent) : env_(parent.env_), trace_(parent.trace_), deadline_(parent.deadline_) {
  if (parent.cancelled()) {
    why_ = parent.why_;
  } else {
    parent.add(*this);
  }
}

void Context::cancel(Error why) {
  if (cancelled()) return;
  why_ = std::move(why);
  unlink();
  // A hook only makes its waiter ready; no task runs here, so nothing below can be destroyed under our feet.
  while (CancelHook* hook = hooks_.pop_front()) hook->on_cancel(*why_);
}

}  // namespace ff::runtime
