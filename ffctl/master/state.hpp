// State: all that ffctld knows of a cluster, and how it is stored. A plain model; engine.hpp says what changes it.
//
// Records    Of each job three: what changes often (JobRecord), its description, and the state that its program keeps;
//            of each node, quota, share and batch of events one; a header. A change is the records that it touches,
//            with their new values: reading the store at any moment gives the state after the last change that was
//            committed.
// Creation   Jobs from header.next_job on were not submitted, whatever records there are of them: so a submission of
//            any number of jobs is whole or not there although its records fill several transactions. Nor did events
//            from header.next_event on happen, nor those of a record that begins within another's.
// Light      In memory a job's description is without environment and script, which only its nodes need: they are kept
//            as bytes. 50,000 jobs take some 150 MB.
// Not stored What nodes have reported: they report it again.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ffctl/master/state.pb.h"
#include "ffctl/proto/master.pb.h"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

// What one node of an attempt has told of it.
struct NodeSight {
  AttemptReport report;              // STATE_NONE: nothing yet
  bool gone = false;                 // it was told of the attempt, and has nothing of it any more
  std::uint64_t instance = 0;        // of the agent that has told of it; 0: none has yet
  std::uint64_t first_sequence = 0;  // of the first order to it, in this master's epoch, that names the attempt
};

// Of an attempt that is not closed; forgotten at a change of masters.
struct Sight {
  std::vector<NodeSight> nodes;  // by node rank
  std::uint64_t round = 0;       // of the fence that is being agreed; 0: only steps are collected, or not yet asked
  std::uint64_t step = 0;
  std::uint64_t round_ms = 0;
  std::uint64_t last_output = 0, output_ms = 0;  // what was reported, and when that changed
  std::uint64_t last_step = 0, step_ms = 0;
};

struct JobEntry {
  JobRecord record;              // record.job without description and state
  JobSpec spec;                  // light
  std::string heavy;             // a RunSpec with environment and script alone
  std::string blob;              // ff_state_set
  std::unique_ptr<Sight> sight;  // of an attempt that is not closed
  std::uint64_t timer = 0;       // when it has to be looked at; 0: never
  std::uint64_t last_event = 0;  // of it: what comes next is caused by it
  std::uint64_t version = 0;     // of record and description, in this process: grows with every change

  const Job& job() const noexcept { return record.job(); }
  Job& job() noexcept { return *record.mutable_job(); }
  const Attempt& attempt() const noexcept { return job().attempts(job().attempts_size() - 1); }
  Attempt& attempt() noexcept { return *job().mutable_attempts(job().attempts_size() - 1); }
  bool live() const noexcept { return record.has_live(); }
  // With environment and script.
  JobSpec full_spec() const;
  // About what a node is given with it.
  std::size_t told_bytes() const { return spec.ByteSizeLong() + heavy.size() + blob.size(); }
  // As others are told; brief: without attempts but the last, environment, script and state.
  Job full_job(bool brief) const;
  // What ListJobsRequest.row is answered with.
  void row_job(Job& out) const;
};

struct NodeEntry {
  NodeRecord record;
  // Since this master leads.
  bool reported = false;
  bool lost = false;
  bool leftovers = false;  // it has something of attempts that it should not have
  std::uint64_t last_report_ms = 0;
  std::uint64_t instance = 0, report_sequence = 0;
  std::uint64_t applied_epoch = 0, applied_sequence = 0;
  std::uint64_t wanted_sequence = 0;  // of the last order that was made for it
  std::uint64_t void_sequence = 0;    // of the last order that was made before it was lost
  std::string trouble;
  bool checking = false;
  std::set<std::uint64_t> jobs;  // with an attempt on it that is not closed
};

struct QuotaKey {
  std::string user, queue;
  int priority = 0;
  auto operator<=>(const QuotaKey&) const = default;
};

struct Write {
  std::string key;
  std::optional<std::string> value;  // none: removed
};
struct Change {
  std::uint64_t sequence = 0;
  std::vector<Write> writes;  // without the header
  std::string header;         // as of this change
  std::size_t bytes() const noexcept;
};

struct State {
  HeaderRecord header;
  std::map<std::uint64_t, JobEntry> jobs;
  std::map<std::string, NodeEntry> nodes;
  std::map<QuotaKey, Quota> quotas;
  std::map<std::string, double> shares;     // weights of users that have one of their own
  std::deque<Event> events;                 // by id, without gaps
  std::deque<std::uint64_t> event_records;  // the first event of each record

  State();
};

// Moves environment and script out of a description.
std::string split_heavy(RunSpec& run);

// ---- records --------------------------------------------------------------------------------------------------------

inline constexpr std::string_view kHeaderKey = "h";
std::string job_key(std::uint64_t job);
std::string spec_key(std::uint64_t job);
std::string blob_key(std::uint64_t job);
std::string node_key(std::string_view node);
std::string quota_key(const QuotaKey& quota);
std::string share_key(std::string_view user);
std::string events_key(std::uint64_t first);

std::string encode(const google::protobuf::MessageLite& message);
Share share_record(const std::string& user, double weight);
std::string encode_job(const JobEntry& entry);
std::string encode_spec(const JobEntry& entry);

// Puts a stored record into the state. kCorrupt, kUnsupported (of newer software): the message names the key.
Result<> read_record(std::string_view key, std::string_view value, State& state);
// When all were read: drops what was not submitted, and rebuilds what follows from the records.
Result<> finish_reading(State& state);
// All records, for comparing states.
std::map<std::string, std::string> records_of(const State& state);

}  // namespace ff::ctl
