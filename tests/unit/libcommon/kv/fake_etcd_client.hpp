// An EtcdClient whose cluster is the test.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "libcommon/base/assert.hpp"
#include "libcommon/kv/etcd_client.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::tests {

namespace rpc = etcdserverpb;
using runtime::Task;

// What one watch stream was told, and what it tells.
struct FakeWatchStream {
  std::vector<rpc::WatchRequest> written;
  runtime::Channel<rpc::WatchResponse> answers{16};  // closed: the stream breaks
};

class FakeEtcdClient : public kv::EtcdClient {
 public:
  Task<Result<>> connect() override { co_return {}; }

  // Reads: each key's value is "value of KEY", its revision 3; the newest revision grows by one a call.
  Task<Result<kv::EtcdAnswer<rpc::RangeResponse>>> range(rpc::RangeRequest request,
                                                         std::optional<std::size_t> /*member*/) override {
    ++calls;
    FF_CO_TRY(co_await answer.wait());
    kv::EtcdAnswer<rpc::RangeResponse> got{.reply = {}, .member = 1};
    if (request.revision() == gone && gone != 0) co_return fail(Errc::kUnavailable, "has been compacted");
    got.reply.mutable_header()->set_revision(++revision);
    fill(got.reply, request);
    co_return got;
  }
  Task<Result<kv::EtcdAnswer<rpc::TxnResponse>>> read(rpc::TxnRequest request,
                                                      std::optional<std::size_t> /*member*/) override {
    ++calls;
    FF_CO_TRY(co_await answer.wait());
    kv::EtcdAnswer<rpc::TxnResponse> got{.reply = {}, .member = 2};
    for (const auto& one : request.success()) {
      if (one.request_range().revision() == gone && gone != 0) co_return fail(Errc::kUnavailable, "has been compacted");
      fill(*got.reply.add_responses()->mutable_response_range(), one.request_range());
    }
    got.reply.mutable_header()->set_revision(++revision);
    co_return got;
  }
  Task<Result<std::optional<rpc::TxnResponse>>> commit(rpc::TxnRequest /*request*/) override {
    co_return fail(Errc::kUnsupported, "fake");
  }
  Task<Result<rpc::LeaseGrantResponse>> grant_lease(std::int64_t /*ttl_s*/) override {
    co_return fail(Errc::kUnsupported, "fake");
  }
  Task<Result<>> revoke_lease(std::int64_t /*id*/) override { co_return fail(Errc::kUnsupported, "fake"); }
  Task<Result<bool>> renew_lease(std::int64_t /*id*/, runtime::Duration /*attempt*/) override {
    co_return fail(Errc::kUnsupported, "fake");
  }
  std::optional<std::size_t> leader() const override { return std::nullopt; }
  std::string describe() const override { return "fake"; }
  Task<void> stop() override { co_return; }

  std::unique_ptr<kv::EtcdWatchStream> open_watch_stream() override {
    streams.push_back(std::make_shared<FakeWatchStream>());
    return std::make_unique<Stream>(streams.back());
  }

  int calls = 0;
  std::int64_t revision = 10;
  std::int64_t gone = 0;  // reads of this revision fail
  runtime::Event answer;  // calls wait for it
  std::vector<std::shared_ptr<FakeWatchStream>> streams;

 private:
  class Stream final : public kv::EtcdWatchStream {
   public:
    explicit Stream(std::shared_ptr<FakeWatchStream> shared) : shared_(std::move(shared)) {}
    Task<Result<>> write(rpc::WatchRequest request) override {
      shared_->written.push_back(std::move(request));
      co_return {};
    }
    Task<Result<rpc::WatchResponse>> read() override { co_return co_await shared_->answers.receive(); }

   private:
    std::shared_ptr<FakeWatchStream> shared_;
  };

  static void fill(rpc::RangeResponse& response, const rpc::RangeRequest& request) {
    auto* pair = response.add_kvs();
    pair->set_key(request.key());
    pair->set_value("value of " + request.key());
    pair->set_mod_revision(3);
  }
};

}  // namespace ff::tests
