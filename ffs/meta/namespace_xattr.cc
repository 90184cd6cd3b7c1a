// Extended attributes: names that begin with "user.", of files and directories.
#include <fmt/core.h>

#include <cerrno>

#include "ffs/meta/namespace_answers.hpp"
#include "ffs/meta/resolve.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr std::string_view kUserPrefix = "user.";
// Names and values of one inode fit, with their keys.
constexpr kv::RangeOptions kAll{.limit = 10'000, .bytes_limit = 4u << 20};

Result<> check_xattr(const XattrRequest& request) {
  const std::string shown = printable_name(request.name());
  if (request.operation() == XattrRequest::LIST) return {};
  if (!request.name().starts_with(kUserPrefix)) return refuse(EOPNOTSUPP, shown, "only names that begin with 'user.'");
  if (request.name().size() > kNameBytesMax) return refuse(ERANGE, shown);
  if (request.name().size() == kUserPrefix.size() || request.name().find('\0') != std::string::npos) {
    return refuse(EINVAL, shown);
  }
  if (request.value().size() > kXattrValueBytesMax) return refuse(E2BIG, shown);
  if (request.create() && request.replace()) return refuse(EINVAL, shown, "both create and replace");
  return {};
}

}  // namespace

Task<Result<XattrReply>> Namespace::xattr(XattrRequest request) {
  FF_CO_TRY(check_xattr(request));
  if (request.operation() == XattrRequest::GET || request.operation() == XattrRequest::LIST) {
    co_return co_await look<XattrReply>(
        [&] [[clang::coro_wrapper]] (View & view) { return read_xattr_in(view, request); });
  }
  co_return co_await answer_once<XattrReply>(
      request, "xattr", [&] [[clang::coro_wrapper]] (View & view) { return change_xattr_in(view, request); });
}

Task<Result<XattrReply>> Namespace::read_xattr_in(View& view, const XattrRequest& request) {
  FF_CO_TRY_ASSIGN(const Inode inode,
                   co_await resolve_inode(view, request.user(), request.where(), request.where().follow()));
  XattrReply reply;
  if (request.operation() == XattrRequest::LIST) {
    FF_CO_TRY_ASSIGN(const auto all, co_await view.range(keys::xattrs(inode.id), kAll));
    for (const kv::KeyValue& pair : all.pairs) reply.add_names(std::string(keys::xattr_name(pair.key)));
    co_return reply;
  }
  const std::string shown = printable_name(request.name());
  if (!allows(request.user(), inode.record, kMayRead)) co_return refuse(EACCES, shown);
  FF_CO_TRY_ASSIGN(const auto value, co_await view.get(keys::xattr(inode.id, request.name())));
  if (!value) co_return refuse(ENODATA, shown);
  reply.set_value(value->substr(1));
  co_return reply;
}

Task<Result<XattrReply>> Namespace::change_xattr_in(View& view, const XattrRequest& request) {
  FF_CO_TRY_ASSIGN(Inode inode,
                   co_await resolve_inode(view, request.user(), request.where(), request.where().follow()));
  const std::string shown = printable_name(request.name());
  if (inode.is_symlink()) co_return refuse(EPERM, shown, "a symlink has none");
  if (!allows(request.user(), inode.record, kMayWrite)) co_return refuse(EACCES, shown);
  if (inode.record.immutable()) co_return refuse(EPERM, shown, "immutable");
  const std::string key = keys::xattr(inode.id, request.name());
  FF_CO_TRY_ASSIGN(const auto old, co_await view.get(key));
  if (request.operation() == XattrRequest::REMOVE_ATTRIBUTE) {
    if (!old) co_return refuse(ENODATA, shown);
    view.transaction().clear(key);
  } else {
    if (old && request.create()) co_return refuse(EEXIST, shown);
    if (!old && request.replace()) co_return refuse(ENODATA, shown);
    FF_CO_TRY_ASSIGN(const auto all, co_await view.range(keys::xattrs(inode.id), kAll));
    std::size_t bytes = request.name().size() + request.value().size();
    for (const kv::KeyValue& pair : all.pairs) {
      if (pair.key != key) bytes += keys::xattr_name(pair.key).size() + pair.value.size() - 1;
    }
    if (bytes > kXattrBytesMax) co_return refuse(ENOSPC, shown, "the attributes of one inode are 64 KiB at most");
    view.transaction().set(key, std::string(1, kRecordVersion) + request.value());
  }
  view.change(inode);
  co_return XattrReply();
}

}  // namespace ff::ffs
