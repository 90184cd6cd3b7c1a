#include "ffs/cmd/remote_tree.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <ranges>
#include <utility>

#include "ffs/cmd/local_tree.hpp"
#include "ffs/cmd/new_file.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"

namespace ff::ffs {

using runtime::Task;

Task<Result<>> RemoteTree::set_mode(std::uint64_t inode, std::uint32_t mode) {
  SetAttributesRequest request;
  request.mutable_where()->set_base(inode);
  request.set_set_mode(true);
  request.set_mode(mode);
  FF_CO_TRY(co_await fs_.meta().set_attributes(std::move(request)));
  co_return {};
}

Task<Result<std::uint64_t>> RemoteTree::make_folder(std::string path, std::uint32_t mode) {
  const std::uint32_t wanted = mode & 0777u;
  MakeDirectoryRequest request;
  *request.mutable_where() = at(path, false);
  request.set_mode(fillable(wanted));
  Attributes there;
  auto made = co_await fs_.meta().make_directory(std::move(request));
  if (made) {
    there = std::move(*made->mutable_attributes());
  } else if (made.error().sys_errno() == EEXIST) {
    FF_CO_TRY_ASSIGN(there, co_await fs_.stat(path, false));
    if (there.type() != DIRECTORY) {
      co_return fail(
          Errc::kAlreadyExists,
          fmt::format("{}: a {} stands where a folder is wanted (move it away)", path, type_text(there.type())),
          ENOTDIR);
    }
  } else {
    co_return fail(made.error());
  }
  if (wanted == fillable(wanted) || (!made && !made_for(there.mode() & 0777u, wanted))) co_return there.inode();
  const std::uint32_t special = there.mode() & 07000u;
  if ((there.mode() & 0777u) != fillable(wanted)) {
    FF_CO_TRY(co_await set_mode(there.inode(), special | fillable(wanted)));
  }
  late_.push_back({std::move(path), there.inode(), special | wanted});
  co_return there.inode();
}

Task<Result<>> RemoteTree::make_link(std::string path, std::string target) {
  MakeSymlinkRequest request;
  *request.mutable_where() = at(path, false);
  request.set_target(target);
  const auto made = co_await fs_.meta().make_symlink(request);
  if (made) co_return {};
  if (made.error().sys_errno() != EEXIST) co_return fail(made.error());
  FF_CO_TRY_ASSIGN(const Attributes there, co_await fs_.stat(path, false));
  if (there.type() == SYMLINK && there.target() == target) co_return {};
  const std::string beside = name_beside(fs_, path);
  *request.mutable_where() = at(beside, false);
  FF_CO_TRY(co_await fs_.meta().make_symlink(std::move(request)));
  RenameRequest rename;
  *rename.mutable_from() = at(beside, false);
  *rename.mutable_to() = at(path, false);
  const auto renamed = co_await fs_.meta().rename(std::move(rename));
  if (renamed) co_return {};
  co_await in_any_case(fs_.env(), [](FileSystem& fs, std::string left) -> Task<Result<>> {
    RemoveRequest remove;
    *remove.mutable_where() = at(std::move(left), false);
    FF_CO_TRY(co_await fs.meta().remove(std::move(remove)));
    co_return {};
  }(fs_, beside));
  co_return fail(Error(renamed.error()).context(path));
}

Task<Result<>> RemoteTree::finish() {
  // The deepest first: a folder that may not be entered any more has nothing left to do below it.
  const std::vector<Late> all = std::exchange(late_, {});
  for (const Late& late : std::views::reverse(all)) {
    const Result<> done = co_await set_mode(late.inode, late.mode);
    if (!done) co_return fail(Error(done.error()).context(late.path));
  }
  co_return {};
}

}  // namespace ff::ffs
