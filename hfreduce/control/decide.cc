#include "hfreduce/control/decide.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace ff::hfreduce::control {
namespace {

// The newest call that a rank is in.
const OpState* current_call(const std::vector<MemberView>& members) {
  const OpState* newest = nullptr;
  for (const MemberView& m : members)
    if (m.answered && m.state.running && (newest == nullptr || m.state.seq > newest->seq)) newest = &m.state;
  return newest;
}

bool same_call(const OpState& a, const OpState& b) {
  return a.kind == b.kind && a.dtype == b.dtype && a.op == b.op && a.root == b.root && a.count == b.count;
}

std::string during(const std::vector<MemberView>& members) {
  const OpState* call = current_call(members);
  return call == nullptr ? "" : fmt::format(" during {}, phase {}", describe(*call), phase_name(call->phase));
}

template <class Pick>
std::string list(const std::vector<MemberView>& members, std::vector<int>* ranks, Pick pick) {
  std::string text;
  for (const MemberView& m : members) {
    if (!pick(m)) continue;
    text.append(text.empty() ? "" : ", ").append(describe(m));
    if (ranks != nullptr) ranks->push_back(m.rank);
  }
  return text;
}

bool plural(const std::vector<int>& ranks) { return ranks.size() > 1; }

// Two ranks inside the call of the same number that differ in what they called.
bool find_mismatch(const std::vector<MemberView>& members, std::string* text) {
  for (const MemberView& a : members)
    for (const MemberView& b : members) {
      if (a.rank >= b.rank || !a.answered || !b.answered || !a.state.running || !b.state.running) continue;
      if (a.state.seq != b.state.seq || same_call(a.state, b.state)) continue;
      // Point-to-point calls differ by nature.
      if (a.state.kind == Collective::kSendRecv || b.state.kind == Collective::kSendRecv) continue;
      *text = fmt::format("ranks called different collectives: {} called {}, but {} called {}", describe(a),
                          describe(a.state), describe(b), describe(b.state));
      return true;
    }
  return false;
}

// The call that the report is about: the reporter's, if it waits for one other rank; else the newest.
const OpState* call_in_trouble(int reporter, const std::vector<MemberView>& members) {
  for (const MemberView& m : members)
    if (m.rank == reporter && m.answered && m.state.running && m.state.kind == Collective::kSendRecv) return &m.state;
  return current_call(members);
}

}  // namespace

std::string describe(const MemberView& m) { return fmt::format("rank {} (host {}, pid {})", m.rank, m.host, m.pid); }

Verdict decide(const Trouble& trouble, int reporter, const std::vector<MemberView>& members) {
  Verdict verdict;
  if (trouble.kind == Trouble::Kind::kAborted) {
    verdict.code = Errc::kCancelled;
    verdict.message = fmt::format("aborted by rank {}: {}", reporter, trouble.detail);
    return verdict;
  }

  const std::string gone = list(members, &verdict.lost, [](const MemberView& m) { return !m.connected && !m.left; });
  if (!gone.empty()) {
    verdict.code = Errc::kUnavailable;
    verdict.message = fmt::format("{} {} gone{}: the process ended or its connection was cut", gone,
                                  plural(verdict.lost) ? "are" : "is", during(members));
    return verdict;
  }
  const std::string silent =
      list(members, &verdict.lost, [](const MemberView& m) { return m.connected && !m.answered; });
  if (!silent.empty()) {
    verdict.code = Errc::kUnavailable;
    verdict.message = fmt::format("{} {} not answer{}: stopped or cut off", silent,
                                  plural(verdict.lost) ? "do" : "does", during(members));
    return verdict;
  }

  if (std::string text; trouble.kind != Trouble::Kind::kCorrupt && find_mismatch(members, &text)) {
    verdict.code = Errc::kCorrupt;
    verdict.message = text;
    return verdict;
  }
  if (trouble.kind == Trouble::Kind::kMismatch || trouble.kind == Trouble::Kind::kCorrupt) {
    verdict.code = Errc::kCorrupt;
    verdict.message = fmt::format("reported by rank {}: {}", reporter, trouble.detail);
    return verdict;
  }

  const auto suspect =
      std::find_if(members.begin(), members.end(), [&](const MemberView& m) { return m.rank == trouble.suspect; });
  const std::string who = suspect == members.end() ? std::string("no rank in particular") : describe(*suspect);
  // A link that broke between two living ranks says nothing of who has called what.
  const bool link_broke = trouble.kind == Trouble::Kind::kLinkLost && suspect != members.end() && !suspect->left;
  if (link_broke) {
    verdict.code = Errc::kUnavailable;
    verdict.message = fmt::format("the connection between rank {} and {} was lost while both live{}: {}", reporter, who,
                                  during(members), trouble.detail);
    return verdict;
  }

  if (const OpState* call = call_in_trouble(reporter, members)) {
    const bool between_two = call->kind == Collective::kSendRecv;
    const std::string absent = list(members, nullptr, [&](const MemberView& m) {
      const bool suspected = m.rank == trouble.suspect;
      // A send or receive is the business of two: the others need not have called anything.
      if (between_two) return suspected && (m.left || !m.state.running || m.state.seq < call->seq);
      // A rank that has finished the call may have left since.
      return m.state.seq < call->seq || (suspected && !m.left && m.state.seq == call->seq && !m.state.running);
    });
    if (!absent.empty()) {
      verdict.code = Errc::kTimeout;
      verdict.message =
          fmt::format("{} did not take part in {} in time: not called yet, or already left", absent, describe(*call));
      return verdict;
    }
  }
  verdict.code = Errc::kTimeout;
  verdict.message = fmt::format("rank {} reports {}: {}{}", reporter, who, trouble.detail, during(members));
  return verdict;
}

}  // namespace ff::hfreduce::control
