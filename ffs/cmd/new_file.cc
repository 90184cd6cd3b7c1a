#include "ffs/cmd/new_file.hpp"

#include <fmt/core.h>

#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"

namespace ff::ffs {

using runtime::Task;

std::string name_beside(FileSystem& fs, const std::string& path) {
  return join_path(parent_path(path),
                   fmt::format(".{}.{:016x}", base_name(path).substr(0, 200), fs.env().rng().next()));
}

Task<Result<std::unique_ptr<NewFile>>> NewFile::create(FileSystem& fs, std::string path, std::uint32_t mode) {
  std::string beside = name_beside(fs, path);
  FF_CO_TRY_ASSIGN(auto file,
                   co_await fs.open(beside, {.write = true, .create = true, .exclusive = true, .mode = mode}));
  co_return std::unique_ptr<NewFile>(new NewFile(fs, std::move(path), std::move(beside), std::move(file)));
}

Task<Result<>> NewFile::commit() {
  FF_CO_TRY(co_await file_->close());
  RenameRequest request;
  *request.mutable_from() = at(beside_, false);
  *request.mutable_to() = at(path_, false);
  FF_CO_TRY(co_await fs_.meta().rename(std::move(request)));
  co_return {};
}

Task<Result<>> NewFile::remove() {
  (void)co_await file_->close();
  RemoveRequest request;
  *request.mutable_where() = at(beside_, false);
  FF_CO_TRY(co_await fs_.meta().remove(std::move(request)));
  co_return {};
}

Task<void> NewFile::drop() { co_await in_any_case(fs_.env(), remove()); }

}  // namespace ff::ffs
