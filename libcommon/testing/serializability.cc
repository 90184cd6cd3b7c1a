#include "libcommon/testing/serializability.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

namespace ff::testing {

namespace {

using Access = TxnRecord::Access;
enum EdgeKind : unsigned { kWw = 1, kWr = 2, kRw = 4, kRt = 8 };

struct Edge {
  std::size_t to;
  EdgeKind kind;
  std::string key;
};

constexpr std::size_t kInitial = ~std::size_t{0};  // the writer of what was there before
constexpr std::size_t kAmbiguous = kInitial - 1;

const char* edge_name(EdgeKind kind) {
  switch (kind) {
    case kWw: return "overwritten by";
    case kWr: return "read by";
    case kRw: return "did not see";
    case kRt: return "ended before";
  }
  return "";
}

class Checker {
 public:
  Checker(const std::vector<TxnRecord>& history, const SerializabilityOptions& options)
      : txns_(history), options_(options), counts_(history.size()) {}

  Result<> run() {
    FF_TRY(find_writers());
    FF_TRY(resolve_reads());
    edges_.resize(txns_.size());
    for (const auto& [key, writers] : writers_of_key_) order_key(key, writers);
    add_read_edges();
    FF_TRY(find_cycle("G0 (dirty write)", kWw, 0));
    FF_TRY(find_cycle("G1c (circular information flow)", kWw | kWr, 0));
    FF_TRY(find_cycle("G-single (lost update or read skew)", kWw | kWr, kRw));
    FF_TRY(find_cycle("G2-item (write skew)", kWw | kWr | kRw, 0));
    if (!options_.real_time) return {};
    add_real_time();
    return find_cycle("not strict (real time contradicts)", kWw | kWr | kRw | kRt, 0);
  }

 private:
  std::string name(std::size_t txn) const {
    return txns_[txn].name.empty() ? fmt::format("#{}", txn) : txns_[txn].name;
  }
  static std::string text(const std::optional<std::string>& value) {
    return value ? fmt::format("'{}'", *value) : "absent";
  }

  Result<> find_writers() {
    for (const Access& access : options_.initial) initial_[access.key] = access.value;
    for (std::size_t t = 0; t < txns_.size(); ++t) {
      for (const Access& write : txns_[t].writes) {
        if (!write.value) {
          if (txns_[t].outcome != TxnOutcome::kAborted) deleted_.insert(write.key);
          continue;
        }
        const auto [place, fresh] = writer_.try_emplace({write.key, *write.value}, t);
        const auto before = initial_.find(write.key);
        if (!fresh || (before != initial_.end() && before->second == write.value)) {
          return fail(Errc::kInvalidArgument,
                      fmt::format("key '{}': value {} is written twice ({} and {}); make values unique", write.key,
                                  text(write.value), fresh ? "initial" : name(place->second), name(t)));
        }
      }
    }
    return {};
  }

  // Who wrote what `read` saw; kInitial, kAmbiguous.
  Result<std::size_t> writer_of(std::size_t reader, const Access& read) const {
    const auto before = initial_.find(read.key);
    const std::optional<std::string> initial = before == initial_.end() ? std::nullopt : before->second;
    if (!read.value) return deleted_.contains(read.key) ? kAmbiguous : initial ? kAmbiguous : kInitial;
    const auto found = writer_.find({read.key, *read.value});
    if (found != writer_.end()) {
      if (txns_[found->second].outcome != TxnOutcome::kAborted) return found->second;
      return fail(Errc::kCorrupt, fmt::format("G1a: {} read {} = {}, which {} wrote and aborted", name(reader),
                                              read.key, text(read.value), name(found->second)));
    }
    if (initial == read.value) return kInitial;
    return fail(Errc::kCorrupt, fmt::format("garbage read: {} read {} = {}, which nobody wrote", name(reader), read.key,
                                            text(read.value)));
  }

  Result<> resolve_reads() {
    for (std::size_t t = 0; t < txns_.size(); ++t) counts_[t] = txns_[t].outcome == TxnOutcome::kCommitted;
    // What a counted transaction read has been committed; that may make more of them count.
    std::deque<std::size_t> open;
    for (std::size_t t = 0; t < txns_.size(); ++t) {
      if (counts_[t]) open.push_back(t);
    }
    reads_from_.resize(txns_.size());
    while (!open.empty()) {
      const std::size_t t = open.front();
      open.pop_front();
      for (const Access& read : txns_[t].reads) {
        FF_TRY_ASSIGN(const std::size_t writer, writer_of(t, read));
        if (writer == t) {
          return fail(Errc::kCorrupt,
                      fmt::format("{} read {} = {} of its own from the store", name(t), read.key, text(read.value)));
        }
        if (!read.value && initial_.contains(read.key) && initial_.at(read.key) && !deleted_.contains(read.key)) {
          return fail(Errc::kCorrupt,
                      fmt::format("garbage read: {} read {} as absent, but nobody deleted it", name(t), read.key));
        }
        reads_from_[t].push_back(writer);
        if (writer < txns_.size() && !counts_[writer]) {
          counts_[writer] = true;
          open.push_back(writer);
        }
      }
    }
    for (std::size_t t = 0; t < txns_.size(); ++t) {
      if (!counts_[t]) continue;
      for (const Access& write : txns_[t].writes) writers_of_key_[write.key].push_back(t);
    }
    for (std::size_t t = 0; t < txns_.size(); ++t) {
      for (const Access& read : txns_[t].reads) {
        if (counts_[t]) writers_of_key_.try_emplace(read.key);
      }
    }
    return {};
  }

  void order_key(const std::string& key, const std::vector<std::size_t>& writers) {
    auto& next = next_[key];
    const bool known =
        std::all_of(writers.begin(), writers.end(), [&](std::size_t t) { return txns_[t].version.has_value(); });
    if (known || writers.size() <= 1) {
      std::vector<std::size_t> ordered = writers;
      std::sort(ordered.begin(), ordered.end(),
                [&](std::size_t a, std::size_t b) { return txns_[a].version < txns_[b].version; });
      std::size_t last = kInitial;
      for (const std::size_t t : ordered) {
        next[last].push_back(t);
        last = t;
      }
    } else {
      for (const std::size_t t : writers) {
        for (std::size_t i = 0; i < txns_[t].reads.size(); ++i) {
          if (txns_[t].reads[i].key == key && reads_from_[t][i] != kAmbiguous) next[reads_from_[t][i]].push_back(t);
        }
      }
      // Whoever comes after the initial value is not known, but for those that read it; the first version is before
      // all.
      for (const std::size_t t : writers) initial_before_[key].push_back(t);
    }
    for (const auto& [before, after] : next) {
      if (before == kInitial) continue;
      for (const std::size_t t : after) edge(before, t, kWw, key);
    }
  }

  void add_read_edges() {
    for (std::size_t t = 0; t < txns_.size(); ++t) {
      if (!counts_[t]) continue;
      for (std::size_t i = 0; i < txns_[t].reads.size(); ++i) {
        const std::string& key = txns_[t].reads[i].key;
        const std::size_t writer = reads_from_[t][i];
        if (writer == kAmbiguous) continue;
        if (writer != kInitial) edge(writer, t, kWr, key);
        // Who read the initial value came before every writer, whatever their order.
        if (writer == kInitial && initial_before_.contains(key)) {
          for (const std::size_t after : initial_before_.at(key)) edge(t, after, kRw, key);
        } else if (const auto after = next_[key].find(writer); after != next_[key].end()) {
          for (const std::size_t overwriter : after->second) edge(t, overwriter, kRw, key);
        }
      }
    }
  }

  // Not all pairs: transactions pass through a chain of instants, which keeps the graph small.
  void add_real_time() {
    std::vector<std::size_t> by_end;
    for (std::size_t t = 0; t < txns_.size(); ++t) {
      if (counts_[t] && txns_[t].outcome == TxnOutcome::kCommitted) by_end.push_back(t);
    }
    std::sort(by_end.begin(), by_end.end(),
              [&](std::size_t a, std::size_t b) { return txns_[a].ended < txns_[b].ended; });
    const std::size_t first = edges_.size();
    edges_.resize(first + by_end.size());
    for (std::size_t i = 0; i < by_end.size(); ++i) {
      edges_[by_end[i]].push_back({first + i, kRt, ""});
      if (i + 1 < by_end.size()) edges_[first + i].push_back({first + i + 1, kRt, ""});
    }
    for (std::size_t t = 0; t < txns_.size(); ++t) {
      if (!counts_[t]) continue;
      const auto after = std::lower_bound(by_end.begin(), by_end.end(), txns_[t].began,
                                          [&](std::size_t a, runtime::Time began) { return txns_[a].ended < began; });
      if (after != by_end.begin())
        edges_[first + static_cast<std::size_t>(after - by_end.begin()) - 1].push_back({t, kRt, ""});
    }
  }

  void edge(std::size_t from, std::size_t to, EdgeKind kind, const std::string& key) {
    if (from != to) edges_[from].push_back({to, kind, key});
  }

  // A shortest cycle of edges of kinds `many`, with exactly one of kind `one` if that is not 0.
  Result<> find_cycle(const char* anomaly, unsigned many, unsigned one) const {
    std::vector<std::pair<std::size_t, const Edge*>> best;
    const std::vector<bool> cyclic = left_after_trimming(many | one);
    for (std::size_t start = 0; start < txns_.size(); ++start) {
      if (!cyclic[start]) continue;
      for (const Edge& opening : edges_[start]) {
        if ((opening.kind & (one != 0 ? one : many)) == 0) continue;
        auto path = shortest(opening.to, start, many);
        if (!path || (!best.empty() && path->size() + 1 >= best.size())) continue;
        path->insert(path->begin(), {start, &opening});
        best = std::move(*path);
        if (one == 0) break;
      }
      if (!best.empty() && best.size() <= 2) break;
    }
    if (best.empty()) return {};
    std::string out = fmt::format("not serializable: {}:", anomaly);
    for (const auto& [from, edge] : best) {
      if (from < txns_.size())
        out += fmt::format(" {} {}{}{}", name(from), edge_name(edge->kind), edge->key.empty() ? "" : " on ", edge->key);
      if (edge->to < txns_.size()) out += fmt::format(" {};", name(edge->to));
    }
    out.pop_back();
    return fail(Errc::kCorrupt, std::move(out));
  }

  // What remains when everything is taken away that nothing leads to, again and again: empty without cycles.
  std::vector<bool> left_after_trimming(unsigned kinds) const {
    std::vector<std::size_t> leading(edges_.size(), 0);
    for (const auto& edges : edges_) {
      for (const Edge& edge : edges) leading[edge.to] += (edge.kind & kinds) != 0 ? 1 : 0;
    }
    std::vector<bool> left(edges_.size(), true);
    std::vector<std::size_t> open;
    for (std::size_t v = 0; v < edges_.size(); ++v) {
      if (leading[v] == 0) open.push_back(v);
    }
    while (!open.empty()) {
      const std::size_t v = open.back();
      open.pop_back();
      left[v] = false;
      for (const Edge& edge : edges_[v]) {
        if ((edge.kind & kinds) != 0 && --leading[edge.to] == 0) open.push_back(edge.to);
      }
    }
    return left;
  }

  using Path = std::vector<std::pair<std::size_t, const Edge*>>;
  std::optional<Path> shortest(std::size_t from, std::size_t to, unsigned kinds) const {
    if (from == to) return Path{};
    std::vector<std::pair<std::size_t, const Edge*>> came(edges_.size(), {kInitial, nullptr});
    std::deque<std::size_t> open{from};
    while (!open.empty()) {
      const std::size_t at = open.front();
      open.pop_front();
      for (const Edge& edge : edges_[at]) {
        if ((edge.kind & kinds) == 0 || edge.to == from || came[edge.to].second != nullptr) continue;
        came[edge.to] = {at, &edge};
        if (edge.to != to) {
          open.push_back(edge.to);
          continue;
        }
        Path path;
        for (std::size_t v = to; v != from; v = came[v].first) path.emplace_back(came[v].first, came[v].second);
        std::reverse(path.begin(), path.end());
        return path;
      }
    }
    return std::nullopt;
  }

  const std::vector<TxnRecord>& txns_;
  const SerializabilityOptions& options_;
  std::vector<bool> counts_;  // committed, as far as anybody can tell
  std::map<std::string, std::optional<std::string>> initial_;
  std::map<std::pair<std::string, std::string>, std::size_t> writer_;
  std::set<std::string> deleted_;
  std::vector<std::vector<std::size_t>> reads_from_;  // beside TxnRecord::reads
  std::map<std::string, std::vector<std::size_t>> writers_of_key_;
  std::map<std::string, std::map<std::size_t, std::vector<std::size_t>>> next_;  // version's writer → the next ones
  std::map<std::string, std::vector<std::size_t>> initial_before_;
  std::vector<std::vector<Edge>> edges_;
};

}  // namespace

Result<> check_serializable(const std::vector<TxnRecord>& history, const SerializabilityOptions& options) {
  return Checker(history, options).run();
}

}  // namespace ff::testing
