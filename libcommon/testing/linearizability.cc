#include "libcommon/testing/linearizability.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <unordered_set>

namespace ff::testing {

using runtime::kNever;
using runtime::Time;

namespace {

struct Op {
  RegisterOpKind kind;
  std::uint32_t expected, value;  // interned
  bool succeeded;
  bool certain;
  Time called, returned;
  std::size_t order;  // in the history
  const RegisterOp* source;
};

std::string text(const RegisterValue& value) { return value ? fmt::format("'{}'", *value) : "absent"; }

std::string text(const RegisterOp& op) {
  const auto ns = [](Time t) { return t.time_since_epoch().count(); };
  const std::string when = op.returned ? fmt::format("[{}, {}] ns", ns(op.called), ns(*op.returned))
                                       : fmt::format("[{}, unknown] ns", ns(op.called));
  switch (op.kind) {
    case RegisterOpKind::kRead: return fmt::format("client {} read {} {}", op.client, text(op.value), when);
    case RegisterOpKind::kWrite: return fmt::format("client {} wrote {} {}", op.client, text(op.value), when);
    case RegisterOpKind::kCompareAndSet:
      return fmt::format("client {} cas {} to {}: {} {}", op.client, text(op.expected), text(op.value),
                         !op.returned   ? "unknown"
                         : op.succeeded ? "set"
                                        : "refused",
                         when);
  }
  return {};
}

class Search {
 public:
  Search(const std::vector<const RegisterOp*>& history, const LinearizabilityOptions& options)
      : states_max_(options.states_max) {
    value_ = intern(options.initial);
    for (const RegisterOp* op : history) {
      if (!op->returned && op->kind == RegisterOpKind::kRead) continue;
      ops_.push_back({op->kind, intern(op->expected), intern(op->value), op->succeeded, op->returned.has_value(),
                      op->called, op->returned.value_or(kNever), ops_.size(), op});
    }
    std::sort(ops_.begin(), ops_.end(),
              [](const Op& a, const Op& b) { return std::pair(a.called, a.order) < std::pair(b.called, b.order); });
    done_.assign((ops_.size() + 63) / 64, 0);
    for (const Op& op : ops_) certain_left_ += op.certain ? 1 : 0;
  }

  Result<> run(const std::string& key) {
    struct Step {
      std::size_t op;
      std::uint32_t value_before;
    };
    std::vector<Step> path;
    std::size_t next = 0;  // the first operation not tried yet at this depth
    while (certain_left_ > 0) {
      const std::size_t chosen = candidate(next);
      if (chosen < ops_.size()) {
        path.push_back({chosen, value_});
        take(chosen);
        if (fresh()) {
          if (path.size() > best_.size()) {
            best_.clear();
            for (const Step& step : path) best_.push_back(step.op);
          }
          next = first_open_;
          if (states_.size() > states_max_) {
            return fail(
                Errc::kExhausted,
                fmt::format("key '{}': not decided within {} states (make the history shorter)", key, states_max_));
          }
          continue;
        }
      } else if (path.empty()) {
        return fail(Errc::kCorrupt, verdict(key));
      }
      const Step last = path.back();
      path.pop_back();
      undo(last.op, last.value_before);
      next = last.op + 1;
    }
    return {};
  }

 private:
  std::uint32_t intern(const RegisterValue& value) {
    return values_.try_emplace(value, static_cast<std::uint32_t>(values_.size())).first->second;
  }
  bool is_done(std::size_t i) const { return (done_[i / 64] >> (i % 64) & 1) != 0; }

  // The first operation from `from` on that may be next: called before every open one has returned, and legal.
  std::size_t candidate(std::size_t from) const {
    Time limit = kNever;  // the earliest return among open operations
    for (std::size_t i = first_open_; i < ops_.size() && ops_[i].called <= limit; ++i) {
      if (!is_done(i)) limit = std::min(limit, ops_[i].returned);
    }
    for (std::size_t i = std::max(from, first_open_); i < ops_.size() && ops_[i].called <= limit; ++i) {
      if (!is_done(i) && legal(ops_[i])) return i;
    }
    return ops_.size();
  }
  bool legal(const Op& op) const {
    if (op.kind == RegisterOpKind::kRead) return op.value == value_;
    if (op.kind == RegisterOpKind::kWrite) return true;
    // An unknown compare-and-set that would be refused changes nothing: leaving it out says the same.
    if (!op.certain) return op.expected == value_;
    return (op.expected == value_) == op.succeeded;
  }
  void take(std::size_t i) {
    const Op& op = ops_[i];
    done_[i / 64] |= std::uint64_t{1} << (i % 64);
    if (op.certain) --certain_left_;
    if (op.kind == RegisterOpKind::kWrite || (op.kind == RegisterOpKind::kCompareAndSet && op.succeeded))
      value_ = op.value;
    while (first_open_ < ops_.size() && is_done(first_open_)) ++first_open_;
  }
  void undo(std::size_t i, std::uint32_t value_before) {
    done_[i / 64] &= ~(std::uint64_t{1} << (i % 64));
    if (ops_[i].certain) ++certain_left_;
    value_ = value_before;
    first_open_ = std::min(first_open_, i);
  }
  // This set with this value has not been seen.
  bool fresh() {
    std::string state(reinterpret_cast<const char*>(done_.data()), done_.size() * sizeof(std::uint64_t));
    state.append(reinterpret_cast<const char*>(&value_), sizeof(value_));
    return states_.insert(std::move(state)).second;
  }
  std::string verdict(const std::string& key) const {
    std::string out = fmt::format("key '{}': not linearizable; the longest order found has {} of {} operations", key,
                                  best_.size(), ops_.size());
    const std::size_t shown = std::min<std::size_t>(best_.size(), 8);
    if (shown > 0) out += ", ending with";
    for (std::size_t i = best_.size() - shown; i < best_.size(); ++i) out += "\n  " + text(*ops_[best_[i]].source);
    out += "\n  then none of";
    std::vector<bool> in(ops_.size());
    for (const std::size_t i : best_) in[i] = true;
    std::size_t listed = 0;
    for (std::size_t i = 0; i < ops_.size() && listed < 8; ++i) {
      if (in[i] || !ops_[i].certain) continue;
      out += "\n  " + text(*ops_[i].source);
      ++listed;
    }
    return out;
  }

  std::uint64_t states_max_;
  std::map<RegisterValue, std::uint32_t> values_;
  std::vector<Op> ops_;  // by the time of the call
  std::vector<std::uint64_t> done_;
  std::size_t first_open_ = 0;
  std::size_t certain_left_ = 0;
  std::uint32_t value_ = 0;
  std::unordered_set<std::string> states_;  // only asked, never walked: its order does not matter
  std::vector<std::size_t> best_;
};

}  // namespace

Result<> check_linearizable(const std::vector<RegisterOp>& history, const LinearizabilityOptions& options) {
  std::map<std::string, std::vector<const RegisterOp*>> by_key;
  for (const RegisterOp& op : history) {
    if (op.returned && *op.returned < op.called) {
      return fail(Errc::kInvalidArgument, fmt::format("key '{}': {}: returned before it was called", op.key, text(op)));
    }
    by_key[op.key].push_back(&op);
  }
  for (const auto& [key, ops] : by_key) FF_TRY(Search(ops, options).run(key));
  return {};
}

}  // namespace ff::testing
