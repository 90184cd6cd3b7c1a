#include "ffbench/ffs/ffs_disk.hpp"

#include "ffs/client/file_system.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

// The path as the caller gave it, before what went wrong.
template <class T>
Result<T> about(const std::string& path, Result<T> result) {
  if (result) return result;
  return fail(std::move(result).error().context(path));
}

class FfsFile final : public runtime::File {
 public:
  FfsFile(std::string path, std::unique_ptr<ffs::File> file) : path_(std::move(path)), file_(std::move(file)) {}

  Task<Result<std::size_t>> read(std::uint64_t offset, std::span<std::byte> into) override {
    co_return about(path_, co_await file_->read(offset, into));
  }
  Task<Result<>> write(std::uint64_t offset, std::span<const std::byte> from) override {
    co_return about(path_, co_await file_->write(offset, from));
  }
  Task<Result<>> sync() override { co_return about(path_, co_await file_->sync()); }
  Task<Result<std::uint64_t>> size() override { co_return file_->size(); }
  Task<Result<>> truncate(std::uint64_t bytes) override { co_return about(path_, co_await file_->truncate(bytes)); }
  Task<Result<>> allocate(std::uint64_t, std::uint64_t) override { co_return unsupported("space in advance"); }
  Task<Result<>> punch(std::uint64_t, std::uint64_t) override { co_return unsupported("holes in what was written"); }
  std::size_t alignment() const noexcept override { return 1; }
  Task<Result<>> close() override { co_return about(path_, co_await file_->close()); }

 private:
  std::unexpected<Error> unsupported(const char* what) const {
    return fail(Errc::kUnsupported, path_ + ": this file system has no " + what);
  }

  const std::string path_;
  const std::unique_ptr<ffs::File> file_;
};

}  // namespace

bool is_ffs_path(std::string_view path) { return path.starts_with(kFfsPrefix); }

std::string path_inside(std::string_view path) {
  return std::string(is_ffs_path(path) ? path.substr(kFfsPrefix.size()) : path);
}

std::string ffs_path(std::string_view path) { return std::string(kFfsPrefix) + path_inside(path); }

FfsDisk::FfsDisk(ffs::FileSystem& fs) : fs_(fs), local_(fs.env().disk()) {}

Task<Result<std::unique_ptr<runtime::File>>> FfsDisk::open(std::string path, runtime::OpenOptions options) {
  if (!is_ffs_path(path)) co_return co_await local_.open(std::move(path), options);
  FF_CO_TRY_ASSIGN(auto file, about(path, co_await fs_.open(path_inside(path), {.write = options.write,
                                                                                .create = options.create,
                                                                                .exclusive = options.exclusive,
                                                                                .truncate = options.truncate})));
  co_return std::make_unique<FfsFile>(std::move(path), std::move(file));
}

Task<Result<runtime::FileInfo>> FfsDisk::info(std::string path) {
  if (!is_ffs_path(path)) co_return co_await local_.info(std::move(path));
  FF_CO_TRY_ASSIGN(const ffs::Attributes found, about(path, co_await fs_.stat(path_inside(path))));
  co_return runtime::FileInfo{.folder = found.type() == ffs::DIRECTORY, .bytes = found.size()};
}

Task<Result<>> FfsDisk::make_folder(std::string path) {
  if (!is_ffs_path(path)) co_return co_await local_.make_folder(std::move(path));
  ffs::MakeDirectoryRequest request;
  *request.mutable_where() = ffs::at(path_inside(path));
  request.set_mode(0755);
  FF_CO_TRY(about(path, co_await fs_.meta().make_directory(std::move(request))));
  co_return {};
}

Task<Result<std::vector<std::string>>> FfsDisk::list(std::string path) {
  if (!is_ffs_path(path)) co_return co_await local_.list(std::move(path));
  std::vector<std::string> names;
  FF_CO_TRY(about(path, co_await fs_.list(path_inside(path), false, [&names](const ffs::Entry& entry) {
    names.push_back(entry.name());
    return true;
  })));
  co_return names;
}

Task<Result<>> FfsDisk::remove(std::string path) {
  if (!is_ffs_path(path)) co_return co_await local_.remove(std::move(path));
  FF_CO_TRY_ASSIGN(const ffs::Attributes found, about(path, co_await fs_.stat(path_inside(path), false)));
  ffs::RemoveRequest request;
  *request.mutable_where() = ffs::at(path_inside(path), false);
  request.set_directory(found.type() == ffs::DIRECTORY);
  FF_CO_TRY(about(path, co_await fs_.meta().remove(std::move(request))));
  co_return {};
}

Task<Result<>> FfsDisk::rename(std::string from, std::string to) {
  if (is_ffs_path(from) != is_ffs_path(to))
    co_return fail(Errc::kInvalidArgument, from + ": no name of another file system (" + to + ")");
  if (!is_ffs_path(from)) co_return co_await local_.rename(std::move(from), std::move(to));
  ffs::RenameRequest request;
  *request.mutable_from() = ffs::at(path_inside(from), false);
  *request.mutable_to() = ffs::at(path_inside(to), false);
  FF_CO_TRY(about(from, co_await fs_.meta().rename(std::move(request))));
  co_return {};
}

Task<Result<>> FfsDisk::sync_folder(std::string path) {
  if (!is_ffs_path(path)) co_return co_await local_.sync_folder(std::move(path));
  co_return {};
}

Task<Result<runtime::SpaceInfo>> FfsDisk::space(std::string path) {
  if (!is_ffs_path(path)) co_return co_await local_.space(std::move(path));
  co_return fail(Errc::kUnsupported, path + ": free space is that of many disks (see `ffs df`)");
}

Result<runtime::DiskBuffer> FfsDisk::buffer(std::size_t bytes) { return local_.buffer(bytes); }

}  // namespace ff::bench
