// ScriptedMeta: a metadata service that answers as a test says, call by call, and as late. What the test does not say
// it refuses.
//
// Ownership  The test's functions outlive its calls.
#pragma once

#include <functional>

#include "ffs/meta/meta.ff.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ffs {

class ScriptedMeta final : public MetaService {
 public:
  // What it answers is decided when the request comes; then it takes `time`.
  template <class Reply>
  struct Answer {
    Result<Reply> reply;
    runtime::Duration time{};
  };
  template <class Reply, class Request>
  using Script = std::function<Answer<Reply>(const Request&)>;
  Script<StatReply, StatRequest> on_stat;
  Script<OpenReply, OpenRequest> on_open;
  Script<CloseReply, CloseRequest> on_close;
  Script<EntryReply, RemoveRequest> on_remove;
  Script<StatReply, TruncateRequest> on_truncate;

  runtime::Task<Result<StatReply>> stat(rpc::ServerCall&, const StatRequest& r) override {
    co_return co_await say(on_stat, r);
  }
  runtime::Task<Result<OpenReply>> open(rpc::ServerCall&, const OpenRequest& r) override {
    co_return co_await say(on_open, r);
  }
  runtime::Task<Result<CloseReply>> close(rpc::ServerCall&, const CloseRequest& r) override {
    co_return co_await say(on_close, r);
  }
  runtime::Task<Result<EntryReply>> remove(rpc::ServerCall&, const RemoveRequest& r) override {
    co_return co_await say(on_remove, r);
  }
  runtime::Task<Result<StatReply>> truncate(rpc::ServerCall&, const TruncateRequest& r) override {
    co_return co_await say(on_truncate, r);
  }

  runtime::Task<Result<BatchStatReply>> batch_stat(rpc::ServerCall&, const BatchStatRequest&) override {
    co_return co_await no<BatchStatReply>();
  }
  runtime::Task<Result<ListReply>> list(rpc::ServerCall&, const ListRequest&) override {
    co_return co_await no<ListReply>();
  }
  runtime::Task<Result<EntryReply>> make_directory(rpc::ServerCall&, const MakeDirectoryRequest&) override {
    co_return co_await no<EntryReply>();
  }
  runtime::Task<Result<EntryReply>> make_symlink(rpc::ServerCall&, const MakeSymlinkRequest&) override {
    co_return co_await no<EntryReply>();
  }
  runtime::Task<Result<EntryReply>> link(rpc::ServerCall&, const LinkRequest&) override {
    co_return co_await no<EntryReply>();
  }
  runtime::Task<Result<EntryReply>> rename(rpc::ServerCall&, const RenameRequest&) override {
    co_return co_await no<EntryReply>();
  }
  runtime::Task<Result<StatReply>> set_attributes(rpc::ServerCall&, const SetAttributesRequest&) override {
    co_return co_await no<StatReply>();
  }
  runtime::Task<Result<XattrReply>> xattr(rpc::ServerCall&, const XattrRequest&) override {
    co_return co_await no<XattrReply>();
  }
  runtime::Task<Result<QuotaReply>> quota(rpc::ServerCall&, const QuotaRequest&) override {
    co_return co_await no<QuotaReply>();
  }
  runtime::Task<Result<StatFsReply>> stat_fs(rpc::ServerCall&, const StatFsRequest&) override {
    co_return co_await no<StatFsReply>();
  }

 private:
  template <class Reply>
  static runtime::Task<Result<Reply>> no() {
    co_return fail(Errc::kInternal, "the test has no answer to this");
  }
  template <class Reply, class Request>
  static runtime::Task<Result<Reply>> say(const Script<Reply, Request>& script, const Request& request) {
    if (!script) co_return co_await no<Reply>();
    Answer<Reply> answer = script(request);
    FF_CO_TRY(co_await runtime::sleep(answer.time));
    co_return std::move(answer.reply);
  }
};

}  // namespace ff::ffs
