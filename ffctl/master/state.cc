#include "ffctl/master/state.hpp"

#include <fmt/core.h>

#include "libcommon/kv/key_range.hpp"

namespace ff::ctl {

namespace {

constexpr char kFormat = 1;

std::string with_number(char kind, std::uint64_t value) {
  std::string out(9, kind);
  for (std::size_t i = 8; i >= 1; --i, value >>= 8) out[i] = static_cast<char>(value & 0xff);
  return out;
}

std::uint64_t number_of(std::string_view key) {
  std::uint64_t value = 0;
  for (const char c : key.substr(1)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

Result<> decode(std::string_view key, std::string_view value, google::protobuf::MessageLite& message) {
  const std::string name = kv::printable_key(key);
  if (value.empty()) return fail(Errc::kCorrupt, fmt::format("record {}: is empty", name));
  if (value[0] != kFormat)
    return fail(Errc::kUnsupported, fmt::format("record {}: of format {}, this software knows {} (was it written by "
                                                "newer software? upgrade)",
                                                name, static_cast<int>(value[0]), static_cast<int>(kFormat)));
  if (!message.ParseFromArray(value.data() + 1, static_cast<int>(value.size() - 1)))
    return fail(Errc::kCorrupt, fmt::format("record {}: cannot be read", name));
  return {};
}

}  // namespace

State::State() {
  header.set_next_job(1);
  header.set_next_event(1);
}

std::size_t Change::bytes() const noexcept {
  std::size_t sum = header.size();
  for (const Write& write : writes) sum += write.key.size() + (write.value ? write.value->size() : 0);
  return sum;
}

std::string split_heavy(RunSpec& run) {
  if (run.environment().empty() && run.script().empty()) return {};
  RunSpec heavy;
  *heavy.mutable_environment() = std::move(*run.mutable_environment());
  run.clear_environment();
  heavy.set_script(std::move(*run.mutable_script()));
  run.clear_script();
  return heavy.SerializeAsString();
}

JobSpec JobEntry::full_spec() const {
  JobSpec full = spec;
  if (!heavy.empty()) (void)full.mutable_run()->MergeFromString(heavy);
  return full;
}

Job JobEntry::full_job(bool brief) const {
  Job out;
  if (!brief) {
    out = job();
    *out.mutable_spec() = full_spec();
    out.set_state(blob);
    if (sight != nullptr) out.mutable_attempts(out.attempts_size() - 1)->set_last_step(sight->last_step);
    return out;
  }
  // Not copied first and cut then: of a long list most would be attempts.
  const Job& in = job();
  out.set_id(in.id());
  out.set_user(in.user());
  out.set_uid(in.uid());
  out.set_gid(in.gid());
  out.set_submitted_ms(in.submitted_ms());
  out.set_phase(in.phase());
  out.set_result(in.result());
  out.set_exit_code(in.exit_code());
  out.set_reason(in.reason());
  out.set_first_start_ms(in.first_start_ms());
  out.set_done_ms(in.done_ms());
  out.set_phase_since_ms(in.phase_since_ms());
  out.set_service_ms(in.service_ms());
  out.set_preemptions(in.preemptions());
  out.set_failures(in.failures());
  *out.mutable_spec() = spec;
  if (!in.attempts().empty()) *out.add_attempts() = attempt();
  if (sight != nullptr) out.mutable_attempts(0)->set_last_step(sight->last_step);
  return out;
}

void JobEntry::row_job(Job& out) const {
  const Job& in = job();
  out.set_id(in.id());
  out.set_user(in.user());
  out.set_submitted_ms(in.submitted_ms());
  out.set_phase(in.phase());
  out.set_result(in.result());
  out.set_exit_code(in.exit_code());
  if (!in.reason().empty()) out.set_reason(in.reason());
  out.set_first_start_ms(in.first_start_ms());
  out.set_done_ms(in.done_ms());
  out.set_preemptions(in.preemptions());
  JobSpec& row = *out.mutable_spec();
  row.set_name(spec.name());
  if (!spec.queue().empty()) row.set_queue(spec.queue());
  row.set_priority(spec.priority());
  row.mutable_resources()->set_nodes(spec.resources().nodes());
  row.mutable_resources()->set_gpus_per_node(spec.resources().gpus_per_node());
  *row.mutable_run()->mutable_command() = spec.run().command();
  if (in.attempts().empty()) return;
  Attempt& last = *out.add_attempts();
  last.set_number(attempt().number());
  last.set_phase(attempt().phase());
  *last.mutable_nodes() = attempt().nodes();
}

std::string job_key(std::uint64_t job) { return with_number('j', job); }
std::string spec_key(std::uint64_t job) { return with_number('s', job); }
std::string blob_key(std::uint64_t job) { return with_number('b', job); }
std::string node_key(std::string_view node) { return "n" + std::string(node); }
std::string events_key(std::uint64_t first) { return with_number('e', first); }
std::string quota_key(const QuotaKey& quota) {
  return "q" + quota.user + '\0' + quota.queue + '\0' + static_cast<char>('0' + quota.priority);
}

std::string share_key(std::string_view user) { return "u" + std::string(user); }

std::string encode(const google::protobuf::MessageLite& message) {
  std::string out(1, kFormat);
  message.AppendToString(&out);
  return out;
}

Share share_record(const std::string& user, double weight) {
  Share record;
  record.set_user(user);
  record.set_weight(weight);
  return record;
}

std::string encode_job(const JobEntry& entry) { return encode(entry.record); }

std::string encode_spec(const JobEntry& entry) {
  // Concatenated messages merge.
  std::string out = encode(entry.spec);
  if (entry.heavy.empty()) return out;
  JobSpec heavy;
  (void)heavy.mutable_run()->ParseFromString(entry.heavy);
  heavy.AppendToString(&out);
  return out;
}

Result<> read_record(std::string_view key, std::string_view value, State& state) {
  if (key == kHeaderKey) return decode(key, value, state.header);
  const char kind = key.empty() ? '\0' : key[0];
  if ((kind == 'j' || kind == 's' || kind == 'b' || kind == 'e') && key.size() == 9) {
    const std::uint64_t number = number_of(key);
    if (kind == 'e') {
      EventRecord record;
      FF_TRY(decode(key, value, record));
      // Of a submission that was not stored whole: others have taken its place.
      if (!state.events.empty() && number <= state.events.back().id()) return {};
      state.event_records.push_back(number);
      for (Event& event : *record.mutable_events()) state.events.push_back(std::move(event));
      return {};
    }
    JobEntry& entry = state.jobs[number];
    if (kind == 'b') {
      if (!value.empty()) entry.blob = value.substr(1);
      return {};
    }
    if (kind == 's') {
      FF_TRY(decode(key, value, entry.spec));
      entry.heavy = split_heavy(*entry.spec.mutable_run());
      return {};
    }
    return decode(key, value, entry.record);
  }
  if (kind == 'n') {
    NodeRecord record;
    FF_TRY(decode(key, value, record));
    state.nodes[std::string(key.substr(1))].record = std::move(record);
    return {};
  }
  if (kind == 'q') {
    Quota quota;
    FF_TRY(decode(key, value, quota));
    state.quotas[{quota.user(), quota.queue(), static_cast<int>(quota.priority())}] = quota;
    return {};
  }
  if (kind == 'u') {
    Share share;
    FF_TRY(decode(key, value, share));
    state.shares[share.user()] = share.weight();
    return {};
  }
  return fail(Errc::kUnsupported,
              fmt::format("record {}: of a kind that this software does not know (upgrade)", kv::printable_key(key)));
}

Result<> finish_reading(State& state) {
  state.jobs.erase(state.jobs.lower_bound(state.header.next_job()), state.jobs.end());
  while (!state.events.empty() && state.events.back().id() >= state.header.next_event()) state.events.pop_back();
  while (!state.event_records.empty() && state.event_records.back() >= state.header.next_event())
    state.event_records.pop_back();
  for (auto& [id, entry] : state.jobs) {
    if (entry.job().id() != id || entry.spec.name().empty())
      return fail(Errc::kCorrupt, fmt::format("job {}: one of its records is missing", id));
    if (!entry.live()) continue;
    if (entry.job().attempts().empty())
      return fail(Errc::kCorrupt, fmt::format("job {}: has an attempt that is not there", id));
    entry.sight = std::make_unique<Sight>();
    entry.sight->nodes.resize(static_cast<std::size_t>(entry.attempt().nodes_size()));
    for (const std::string& node : entry.attempt().nodes()) state.nodes[node].jobs.insert(id);
  }
  for (auto& [name, node] : state.nodes) node.record.mutable_facts()->set_name(name);
  return {};
}

std::map<std::string, std::string> records_of(const State& state) {
  std::map<std::string, std::string> out;
  out[std::string(kHeaderKey)] = encode(state.header);
  for (const auto& [id, entry] : state.jobs) {
    out[job_key(id)] = encode_job(entry);
    out[spec_key(id)] = encode_spec(entry);
    if (!entry.blob.empty()) out[blob_key(id)] = std::string(1, kFormat) + entry.blob;
  }
  for (const auto& [name, node] : state.nodes) out[node_key(name)] = encode(node.record);
  for (const auto& [key, quota] : state.quotas) out[quota_key(key)] = encode(quota);
  for (const auto& [user, weight] : state.shares) out[share_key(user)] = encode(share_record(user, weight));
  for (const Event& event : state.events) {
    EventRecord record;
    *record.add_events() = event;
    out[events_key(event.id())] = encode(record);
  }
  return out;
}

}  // namespace ff::ctl
