// AgentPage: the agent's side of the shared pages. What ranks wrote is read by value and is not to be believed.
//
// Ownership  The files outlive the object (an agent that starts again opens them); remove() takes them away.
// Threads    One at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ffctl/ffjob/mapping.hpp"
#include "ffctl/ffjob/page.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::ctl {

struct PageSpec {
  std::string folder;  // made, with mode 0711; its parent exists
  std::uint64_t job = 0;
  std::uint32_t attempt = 0;
  std::uint32_t node_rank = 0;
  std::uint32_t first_rank = 0;
  std::uint32_t slots = 1;
  std::uint64_t resume_step = 0;
  std::string_view state = {};
  uid_t uid = 0;  // whose ranks write
  gid_t gid = 0;
};

struct SlotView {
  bool used = false;  // somebody called ff_init
  std::uint64_t step = 0;
  std::uint64_t held = 0;
  std::uint64_t saved_step = 0;
  std::uint64_t heartbeat_ns = 0;
  RankState state = RankState::kNone;
  bool seen = false;
  bool yielded = false;
};

class AgentPage {
 public:
  // Makes both files anew. kIo, kExhausted (disk full), kInvalidArgument (slots, state).
  static Result<AgentPage> create(const PageSpec& spec);
  static Result<AgentPage> open(const std::string& folder);
  static void remove(const std::string& folder) noexcept;

  std::uint32_t slots() const noexcept { return head()->slots; }
  Order order() const noexcept { return Order::of(head()->order.load(std::memory_order_relaxed)); }
  // For the ranks to see at once; those that wait wake up.
  void set_order(const Order& order) noexcept;
  void set_deadline(std::chrono::nanoseconds monotonic) noexcept;

  // kCorrupt when the ranks have shortened their file.
  Result<std::vector<SlotView>> slot_views() const;
  // No rank had reached the order's step when it was written, or it waits there. After set_order(), which has the
  // fence; `ended` ranks do not count.
  static bool fence_holds(const Order& order, const std::vector<SlotView>& slots, const std::vector<bool>& ended);
  // What rank 0 set since `generation`, which is moved on; nothing when there is nothing new (or it is being written).
  std::optional<std::string> new_state(std::uint64_t& generation) const;

 private:
  AgentPage(Mapping control, UniqueFd ranks) noexcept : control_(std::move(control)), ranks_(std::move(ranks)) {}
  ControlHead* head() const noexcept { return reinterpret_cast<ControlHead*>(control_.data()); }

  Mapping control_;
  UniqueFd ranks_;
};

}  // namespace ff::ctl
