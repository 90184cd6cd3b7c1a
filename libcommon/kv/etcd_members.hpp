// EtcdMembers: which member is asked next: in turn, leaving out those that failed lately; and which one leads.
// Pure: times are given. Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/runtime/time.hpp"

namespace ff::kv {

class EtcdMembers {
 public:
  // REQUIRES: at least one endpoint.
  explicit EtcdMembers(std::vector<std::string> endpoints);

  std::size_t count() const noexcept { return members_.size(); }
  const std::string& endpoint(std::size_t member) const { return members_[member].endpoint; }

  // The next of those that are not in `tried`; one that is well, if there is. REQUIRES: not all were tried.
  std::size_t next(runtime::Time now, const std::vector<bool>& tried);
  bool well(std::size_t member, runtime::Time now) const { return now >= members_[member].out_until; }

  void failed(std::size_t member, runtime::Time now);
  // `id` and `term` from the answer's header. True when the leader should be asked for: this is a term not heard of.
  bool answered(std::size_t member, std::uint64_t id, std::uint64_t term);
  // Of the term last heard of; 0: there is none.
  void leads(std::uint64_t id) { leader_ = id; }
  std::optional<std::size_t> leader() const;

 private:
  struct Member {
    std::string endpoint;
    std::uint64_t id = 0;  // 0: not known yet
    unsigned failures = 0;
    runtime::Time out_until{};
  };
  std::vector<Member> members_;
  std::size_t turn_ = 0;
  std::uint64_t term_ = 0;
  std::uint64_t leader_ = 0;
};

}  // namespace ff::kv
