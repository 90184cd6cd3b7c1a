#include "libcommon/kv/etcd_commit.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "libcommon/kv/key_range.hpp"

namespace ff::kv {

namespace rpc = etcdserverpb;

namespace {

rpc::Compare changed_at(std::string key, std::int64_t revision) {
  rpc::Compare compare;
  compare.set_key(std::move(key));
  compare.set_target(rpc::Compare::MOD);
  compare.set_result(rpc::Compare::EQUAL);
  compare.set_mod_revision(revision);
  return compare;
}

// `range_end` empty: the one key.
rpc::Compare not_changed_since(EtcdRange range, Version snapshot) {
  rpc::Compare compare;
  compare.set_key(std::move(range.key));
  compare.set_range_end(std::move(range.range_end));
  compare.set_target(rpc::Compare::MOD);
  compare.set_result(rpc::Compare::LESS);
  compare.set_mod_revision(static_cast<std::int64_t>(snapshot) + 1);
  return compare;
}

rpc::Compare held_since(std::string key, std::uint64_t epoch) {
  rpc::Compare compare;
  compare.set_key(std::move(key));
  compare.set_target(rpc::Compare::CREATE);
  compare.set_result(rpc::Compare::EQUAL);
  compare.set_create_revision(static_cast<std::int64_t>(epoch));
  return compare;
}

class Builder {
 public:
  Builder(const EtcdKeys& keys, const EtcdCommit& commit, const EtcdValues& operands, Version stamp)
      : keys_(keys), commit_(commit), operands_(operands), stamp_(stamp) {}

  Result<rpc::TxnRequest> build() {
    for (const std::string& operand : operands_of(keys_, commit_.writes)) {
      *request_.add_compare() = changed_at(operand, operands_.at(operand).revision);
      request_.add_failure()->mutable_request_range()->set_key(operand);
    }
    for (const LeaseGuard& guard : commit_.guards) {
      *request_.add_compare() = held_since(keys_.lease(guard.name), guard.epoch);
    }
    compare_points();
    if (commit_.snapshot) compare_ranges();
    FF_TRY(collect_puts());
    clear_ranges();
    for (auto& [key, value] : puts_) put(keys_.data(key), std::move(value));
    for (const std::string& marker : markers_) put(marker, {});
    if (!commit_.writes.stamped().empty()) put(keys_.stamps(), {});
    FF_TRY(check());
    return std::move(request_);
  }

 private:
  void compare_points() {
    for (const std::string& key : commit_.reads.points) {
      const auto revision = commit_.record.revision_of(key);
      if (revision && compared_.insert(key).second) *request_.add_compare() = changed_at(keys_.data(key), *revision);
    }
  }

  struct RangeRead {
    const KeyRange* range;
    std::vector<std::pair<std::string, std::int64_t>> present;
  };

  void compare_ranges() {
    std::vector<RangeRead> exact;
    std::vector<const KeyRange*> marked;
    std::size_t need = static_cast<std::size_t>(request_.compare_size()) + commit_.reads.ranges.size();
    for (const KeyRange& range : commit_.reads.ranges) {
      *request_.add_compare() = not_changed_since(keys_.data(range), *commit_.snapshot);
      if (commit_.record.has_all_of(range)) {
        exact.push_back({&range, commit_.record.present_in(range)});
        need += exact.back().present.size();
      } else {
        marked.push_back(&range);
        need += kMarkerCompares;
      }
    }
    // The longest go by markers first: they save most.
    std::ranges::sort(exact, std::greater{}, [](const RangeRead& read) { return read.present.size(); });
    auto first_exact = exact.begin();
    for (; need > kEtcdOperationsMax && first_exact != exact.end() && first_exact->present.size() > kMarkerCompares;
         ++first_exact) {
      need -= first_exact->present.size() - kMarkerCompares;
      marked.push_back(first_exact->range);
    }
    for (; first_exact != exact.end(); ++first_exact) {
      for (auto& [key, revision] : first_exact->present) {
        if (compared_.insert(key).second) *request_.add_compare() = changed_at(keys_.data(key), revision);
      }
    }
    for (const KeyRange* range : marked) {
      *request_.add_compare() = not_changed_since(keys_.markers_of(*range), *commit_.snapshot);
      *request_.add_compare() = not_changed_since({keys_.wide_marker(), {}}, *commit_.snapshot);
    }
  }

  // The last write of each key: those with a value.
  Result<> collect_puts() {
    for (const auto& [key, write] : commit_.writes.points()) {
      if (write.kind == PointWrite::Kind::kSet) puts_.emplace(key, write.value);
      if (write.kind == PointWrite::Kind::kAtomic) {
        FF_TRY_ASSIGN(std::string value, apply_atomics(key, operands_.at(keys_.data(key)).value, write.atomics));
        puts_.emplace(key, std::move(value));
      }
    }
    std::uint16_t order = 0;
    for (const StampedKey& stamped : commit_.writes.stamped()) {
      puts_.insert_or_assign(stamped.key(stamp_, order++), stamped.value);
    }
    return {};
  }

  void clear_ranges() {
    for (const auto& [begin, end] : commit_.writes.cleared()) {
      markers_.insert(keys_.marker_of(KeyRange{begin, end}));
      KeyRange rest{begin, end};
      for (auto at = puts_.lower_bound(begin); at != puts_.end() && before_end(at->first, end); ++at) {
        remove({rest.begin, at->first});
        rest.begin = key_after(at->first);
      }
      remove(rest);
    }
    for (const auto& [key, write] : commit_.writes.points()) {
      if (write.kind != PointWrite::Kind::kClear || commit_.writes.is_cleared(key) || puts_.contains(key)) continue;
      request_.add_success()->mutable_request_delete_range()->set_key(keys_.data(key));
      markers_.insert(keys_.marker_of(key));
    }
  }

  void remove(const KeyRange& range) {
    if (is_empty(range)) return;
    EtcdRange stored = keys_.data(range);
    auto* request = request_.add_success()->mutable_request_delete_range();
    request->set_key(std::move(stored.key));
    request->set_range_end(std::move(stored.range_end));
  }

  void put(std::string key, std::string value) {
    auto* request = request_.add_success()->mutable_request_put();
    request->set_key(std::move(key));
    request->set_value(std::move(value));
  }

  Result<> check() const {
    const auto compares = static_cast<std::size_t>(request_.compare_size());
    const auto writes = static_cast<std::size_t>(request_.success_size());
    if (compares > kEtcdOperationsMax) {
      return fail(Errc::kExhausted,
                  fmt::format("transaction: what it read takes {} comparisons, etcd allows {} (read less in one "
                              "transaction, or in snapshot mode what need not be checked)",
                              compares, kEtcdOperationsMax));
    }
    if (writes > kEtcdOperationsMax) {
      return fail(Errc::kExhausted,
                  fmt::format("transaction: takes {} writes, with the markers of removals and the pieces of cleared "
                              "ranges; etcd allows {} (split it into several that are each consistent)",
                              writes, kEtcdOperationsMax));
    }
    if (const std::size_t bytes = request_.ByteSizeLong(); bytes > kEtcdRequestBytesMax) {
      return fail(Errc::kExhausted,
                  fmt::format("transaction: {} bytes of keys and values, read and written; etcd allows "
                              "{} (split it into several that are each consistent)",
                              bytes, kEtcdRequestBytesMax));
    }
    return {};
  }

  static constexpr std::size_t kMarkerCompares = 2;

  const EtcdKeys& keys_;
  const EtcdCommit& commit_;
  const EtcdValues& operands_;
  const Version stamp_;
  rpc::TxnRequest request_;
  std::set<std::string, std::less<>> compared_;
  std::map<std::string, std::string, std::less<>> puts_;
  std::set<std::string, std::less<>> markers_;
};

}  // namespace

std::vector<std::string> operands_of(const EtcdKeys& keys, const WriteSet& writes) {
  std::vector<std::string> operands;
  for (const auto& [key, write] : writes.points()) {
    if (write.kind == PointWrite::Kind::kAtomic) operands.push_back(keys.data(key));
  }
  if (!writes.stamped().empty()) operands.push_back(keys.stamps());
  return operands;
}

Result<rpc::TxnRequest> build_commit(const EtcdKeys& keys, const EtcdCommit& commit, const EtcdValues& operands,
                                     Version stamp) {
  return Builder(keys, commit, operands, stamp).build();
}

}  // namespace ff::kv
