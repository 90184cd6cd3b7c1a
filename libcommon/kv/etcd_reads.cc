#include "libcommon/kv/etcd_reads.hpp"

#include <algorithm>

namespace ff::kv {

using runtime::Task;

namespace rpc = etcdserverpb;

namespace {

// Two, so that one travels while the other is answered.
constexpr unsigned kCallsMax = 2;
// Of one call; etcd allows 128.
constexpr std::size_t kBatchMax = 64;

void fill(rpc::RangeRequest& range, const std::string& key, Version snapshot) {
  range.set_key(key);
  if (snapshot == 0) return;
  range.set_revision(static_cast<std::int64_t>(snapshot));
  range.set_serializable(true);
}

EtcdReads::Fresh result_of(rpc::RangeResponse& answer, std::int64_t revision, std::size_t member) {
  EtcdReads::Fresh fresh{.value = {}, .snapshot = static_cast<Version>(revision), .member = member};
  if (answer.kvs_size() > 0) {
    fresh.value = {std::move(*answer.mutable_kvs(0)->mutable_value()), answer.kvs(0).mod_revision()};
  }
  return fresh;
}

}  // namespace

Task<Result<EtcdReads::Fresh>> EtcdReads::fresh(std::string key) {
  auto request = std::make_shared<Request>();
  request->key = std::move(key);
  // Any other member would ask the leader first. That all go there is no load: they are few calls, however many reads.
  request->member = client_.leader();
  co_return co_await enqueue(fresh_, std::move(request));
}

Task<Result<EtcdValue>> EtcdReads::at(std::string key, Version snapshot, std::size_t member) {
  auto request = std::make_shared<Request>();
  request->key = std::move(key);
  request->snapshot = snapshot;
  request->member = member;
  FF_CO_TRY_ASSIGN(Fresh read, co_await enqueue(lanes_[member], std::move(request)));
  co_return std::move(read.value);
}

Task<Result<EtcdReads::Fresh>> EtcdReads::enqueue(Lane& lane, std::shared_ptr<Request> request) {
  FF_CO_TRY(co_await runtime::not_cancelled());
  if (scope_.context().cancelled()) co_return std::unexpected(scope_.context().why());
  lane.waiting.push_back(request);
  send_waiting(lane);
  FF_CO_TRY(co_await request->done.wait());
  co_return std::move(request->result);
}

void EtcdReads::send_waiting(Lane& lane) {
  while (lane.calls < kCallsMax && !lane.waiting.empty() && !scope_.context().cancelled()) {
    ++lane.calls;
    scope_.spawn(carry(lane, {}));
    if (lane.waiting.size() <= kBatchMax) return;
  }
}

Task<void> EtcdReads::carry(Lane& lane, Batch batch) {
  // What has come until this task runs goes along.
  while (!lane.waiting.empty() && batch.size() < kBatchMax) {
    batch.push_back(std::move(lane.waiting.front()));
    lane.waiting.pop_front();
  }
  Result<> together = co_await read_all(batch);
  if (!together) {
    // One revision that is gone fails them all; asked alone, each gets its own answer.
    for (const auto& request : batch) co_await read_one(*request);
  }
  for (const auto& request : batch) request->done.set();
  --lane.calls;
  send_waiting(lane);
}

Task<void> EtcdReads::read_one(Request& request) {
  rpc::RangeRequest range;
  fill(range, request.key, request.snapshot);
  auto answer = co_await client_.range(std::move(range), request.member);
  if (!answer) {
    request.result = std::unexpected(std::move(answer).error());
  } else {
    request.result = result_of(answer->reply, answer->reply.header().revision(), answer->member);
  }
}

Task<Result<>> EtcdReads::read_all(const Batch& batch) {
  if (batch.size() <= 1) {
    for (const auto& request : batch) co_await read_one(*request);
    co_return {};
  }
  rpc::TxnRequest request;
  for (const auto& one : batch) fill(*request.add_success()->mutable_request_range(), one->key, one->snapshot);
  auto answer = co_await client_.read(std::move(request), batch.front()->member);
  if (!answer) {
    // Members that cannot be reached now would not be for each of them either.
    if (answer.error().code() != Errc::kUnavailable || batch.front()->snapshot == 0) {
      for (const auto& one : batch) one->result = std::unexpected(answer.error());
      co_return {};
    }
    co_return std::unexpected(answer.error());
  }
  for (std::size_t i = 0; i < batch.size(); ++i) {
    auto* range = answer->reply.mutable_responses(static_cast<int>(i))->mutable_response_range();
    batch[i]->result = result_of(*range, answer->reply.header().revision(), answer->member);
  }
  co_return {};
}

}  // namespace ff::kv
