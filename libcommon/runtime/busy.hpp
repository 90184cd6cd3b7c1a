// Busy: marks that a task is inside an operation of which there may be one at a time; a second is a bug and stops the
// program.
#pragma once

#include "libcommon/base/assert.hpp"

namespace ff::runtime {

class Busy {
 public:
  explicit Busy(bool& flag) : flag_(flag) {
    FF_ASSERT(!flag_);
    flag_ = true;
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { flag_ = false; }

 private:
  bool& flag_;
};

}  // namespace ff::runtime
