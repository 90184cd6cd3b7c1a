// Quotas: a directory with an account of its own, in which everything that is made below it counts.
#include <fmt/core.h>

#include <cerrno>

#include "ffs/meta/namespace_answers.hpp"
#include "ffs/meta/resolve.hpp"

namespace ff::ffs {

using runtime::Task;

Task<Result<QuotaReply>> Namespace::quota(QuotaRequest request) {
  if (!request.set())
    co_return co_await look<QuotaReply>([&] [[clang::coro_wrapper]] (View & view) { return quota_in(view, request); });
  co_return co_await answer_once<QuotaReply>(
      request, "quota", [&] [[clang::coro_wrapper]] (View & view) { return quota_in(view, request); });
}

Task<Result<QuotaReply>> Namespace::quota_in(View& view, const QuotaRequest& request) {
  FF_CO_TRY_ASSIGN(Inode directory,
                   co_await resolve_inode(view, request.user(), request.where(), request.where().follow()));
  const std::string shown = fmt::format("inode {}", number(directory.id));
  if (!directory.is_directory()) co_return refuse(ENOTDIR, shown);
  QuotaReply reply;
  if (request.set()) {
    if (!is_root(request.user())) co_return refuse(EPERM, shown, "only root sets quotas");
    if (directory.record.project() != number(directory.id)) {
      FF_CO_TRY_ASSIGN(const bool empty, co_await view.is_empty(directory.id));
      if (!empty) co_return refuse(ENOTEMPTY, shown, "set a quota before the directory is filled");
      view.charge(directory.record.project(), 0, ~std::uint64_t{0});
      directory.record.set_project(number(directory.id));
      view.charge(number(directory.id), 0, 1);
      view.change(directory);
    }
    QuotaRecord quota;
    quota.set_bytes_limit(request.bytes());
    quota.set_files_limit(request.files());
    view.transaction().set(keys::quota(directory.id), encode_record(quota));
  }
  if (directory.record.project() == 0) co_return reply;
  const InodeId project{directory.record.project()};
  FF_CO_TRY_ASSIGN(const auto value, co_await view.get(keys::quota(project), kv::Read::kSnapshot));
  if (value) {
    FF_CO_TRY_ASSIGN(const QuotaRecord quota, decode_record<QuotaRecord>(*value, "quota"));
    reply.set_bytes_limit(quota.bytes_limit());
    reply.set_files_limit(quota.files_limit());
  }
  FF_CO_TRY_ASSIGN(const std::uint64_t bytes, co_await view.count_at(keys::quota_bytes(project)));
  FF_CO_TRY_ASSIGN(const std::uint64_t files, co_await view.count_at(keys::quota_files(project)));
  reply.set_bytes_used(bytes);
  reply.set_files_used(files);
  co_return reply;
}

}  // namespace ff::ffs
