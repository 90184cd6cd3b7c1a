// Register histories: what clients of a store of single values asked and were told, for check_linearizable().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/runtime/time.hpp"

namespace ff::testing {

// nullopt: absent.
using RegisterValue = std::optional<std::string>;

enum class RegisterOpKind : std::uint8_t { kRead, kWrite, kCompareAndSet };

// Times are the world's (SimWorld::now()), not a node's.
struct RegisterOp {
  RegisterOpKind kind = RegisterOpKind::kRead;
  std::uint32_t client = 0;  // for messages
  std::string key;
  RegisterValue expected;  // kCompareAndSet
  RegisterValue value;     // written; of a read: what it returned
  bool succeeded = true;   // kCompareAndSet: whether it set
  runtime::Time called{};
  // nullopt: the outcome is unknown (timeout, lost connection, crash): it took effect at some time since, or never.
  std::optional<runtime::Time> returned;
};

// Collects operations: begin() when calling, one of the ends when it is known what happened. What has no end is of
// unknown outcome. What certainly did not happen is dropped.
class RegisterHistory {
 public:
  std::size_t begin(RegisterOp op, runtime::Time now) {
    op.called = now;
    op.returned.reset();
    ops_.push_back(Slot{std::move(op), true});
    return ops_.size() - 1;
  }
  void end_read(std::size_t id, RegisterValue value, runtime::Time now) {
    ops_[id].op.value = std::move(value);
    ops_[id].op.returned = now;
  }
  void end_write(std::size_t id, runtime::Time now) { ops_[id].op.returned = now; }
  void end_compare_and_set(std::size_t id, bool succeeded, runtime::Time now) {
    ops_[id].op.succeeded = succeeded;
    ops_[id].op.returned = now;
  }
  void drop(std::size_t id) { ops_[id].counts = false; }

  std::size_t size() const noexcept { return ops_.size(); }
  std::vector<RegisterOp> operations() const {
    std::vector<RegisterOp> out;
    for (const Slot& slot : ops_) {
      if (slot.counts) out.push_back(slot.op);
    }
    return out;
  }

 private:
  struct Slot {
    RegisterOp op;
    bool counts;
  };
  std::vector<Slot> ops_;
};

}  // namespace ff::testing
