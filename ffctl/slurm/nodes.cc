#include "ffctl/slurm/nodes.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "ffctl/slurm/rows.hpp"

namespace ff::ctl {
namespace {

enum Field : std::uint8_t {
  kName,
  kState,
  kCpus,
  kMemory,
  kGres,
  kFeatures,
  kAddress,
  kReason,
  kUser,
  kVersion,
  kFields
};

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// "gpu:a100:8(S:0-1),nic:1": model and count of the GPUs.
void set_gpus(NodeFacts& facts, std::string_view gres) {
  for (std::size_t at = 0; at < gres.size();) {
    std::size_t stop = at;
    for (int depth = 0; stop < gres.size() && (depth > 0 || gres[stop] != ','); ++stop)
      depth += gres[stop] == '(' ? 1 : gres[stop] == ')' ? -1 : 0;
    std::string_view one = gres.substr(at, stop - at);
    at = stop + 1;
    one = one.substr(0, one.find('('));
    if (!one.starts_with("gpu:")) continue;
    const std::size_t colon = one.rfind(':');
    const std::uint64_t count = facts.gpus() + number(one.substr(colon + 1));
    facts.set_gpus(static_cast<std::uint32_t>(std::min<std::uint64_t>(count, 1024)));
    if (colon > 4) facts.set_gpu_model(std::string(one.substr(4, colon - 4)));
  }
}

// "idle", "mixed", "draining", "down*", …: marks follow the word.
void set_state(NodeInfo& node, std::string_view text) {
  std::size_t letters = 0;
  while (letters < text.size() && ((text[letters] >= 'a' && text[letters] <= 'z') || text[letters] == '_')) ++letters;
  const std::string_view word = text.substr(0, letters);
  const bool silent = text.contains('*');
  if (word == "down" || word == "unknown" || word == "no_respond" || word == "fail" || word == "failing" || silent) {
    node.set_state(NodeInfo::LOST);
  } else if (word == "drained") {
    node.set_state(NodeInfo::DRAINED);
  } else if (word == "idle" || word == "planned" || word == "reserved" || word == "maint") {
    node.set_state(NodeInfo::READY);
  } else {
    node.set_state(NodeInfo::BUSY);
  }
  node.set_draining(word == "draining" || word == "drained");
  if (node.state() == NodeInfo::LOST) node.set_trouble("slurm: " + std::string(text));
}

bool absent(std::string_view text) { return text.empty() || text == "(null)" || text == "none" || text == "Unknown"; }

}  // namespace

const std::vector<std::string>& node_fields() {
  static const std::vector<std::string> fields = {"NodeList", "StateLong", "CPUs",   "Memory", "Gres",
                                                  "Features", "NodeAddr",  "Reason", "User",   "Version"};
  static_assert(kFields == 10);
  return fields;
}

Result<std::vector<NodeInfo>> read_nodes(std::string_view text, const std::string& separator) {
  FF_TRY_ASSIGN(const std::vector<Row> rows, read_rows(text, separator, kFields));
  std::vector<NodeInfo> nodes;
  // A node in several partitions has several rows.
  std::set<std::string> seen;
  for (const Row& row : rows) {
    if (row[kName].empty()) return fail(Errc::kCorrupt, "sinfo: a node has no name");
    if (!seen.insert(row[kName]).second) continue;
    NodeInfo node;
    NodeFacts& facts = *node.mutable_facts();
    facts.set_name(row[kName]);
    facts.set_cpus(static_cast<std::uint32_t>(std::min<std::uint64_t>(number(row[kCpus]), 1u << 20)));
    facts.set_memory_bytes(std::min<std::uint64_t>(number(row[kMemory]), 1ull << 40) << 20);
    set_gpus(facts, row[kGres]);
    if (!absent(row[kFeatures]))
      for (std::size_t at = 0; at <= row[kFeatures].size();) {
        const std::size_t comma = std::min(row[kFeatures].find(',', at), row[kFeatures].size());
        facts.add_labels(row[kFeatures].substr(at, comma - at));
        at = comma + 1;
      }
    facts.set_address(row[kAddress]);
    facts.set_version("slurm " + row[kVersion]);
    set_state(node, row[kState]);
    if (!absent(row[kReason])) node.set_drain_reason(row[kReason]);
    if (!absent(row[kUser])) node.set_drained_by(row[kUser]);
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace ff::ctl
