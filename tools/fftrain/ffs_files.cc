// Files of a file system of Fire-Flyer, over libffs.
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "ffs/blocking/blocking_file_system.hpp"
#include "ffs/blocking/cluster_access.hpp"
#include "tools/fftrain/files.hpp"

namespace ff::fftrain {
namespace {

using namespace std::chrono_literals;
using ffs::BlockingFileSystem;
using ffs::FileSystem;
using runtime::Task;

constexpr std::size_t kPieceBytes = 16u << 20;  // of one read or write: many chunks, which travel at the same time
constexpr auto kTimeout = 60s;

std::string inside(const std::string& path) { return path.substr(sizeof kFfsPrefix - 1); }

// The path as the user gave it, before what went wrong inside.
std::unexpected<Error> failed(const std::string& path, Error error) { return fail(std::move(error).context(path)); }

class FfsReader final : public FileReader {
 public:
  FfsReader(BlockingFileSystem& fs, std::string path, std::unique_ptr<ffs::File> file)
      : fs_(fs), path_(std::move(path)), size_(file->size()), file_(std::move(file)) {}
  ~FfsReader() override {
    (void)fs_.call([&](FileSystem&) -> Task<Result<>> {
      const auto file = std::move(file_);
      co_return co_await file->close();  // nothing was written: nothing to lose
    });
  }
  std::uint64_t size() const noexcept override { return size_; }
  Result<> read(std::span<std::byte> into) override {
    while (!into.empty()) {
      const auto piece = into.first(std::min(into.size(), kPieceBytes));
      const auto got =
          fs_.call([&](FileSystem&) -> Task<Result<std::size_t>> { co_return co_await file_->read(at_, piece); });
      if (!got) return failed(path_, got.error());
      if (*got == 0) return fail(Errc::kCorrupt, fmt::format("{}: ends after {} bytes", path_, at_));
      at_ += *got;
      into = into.subspan(*got);
    }
    return {};
  }

 private:
  BlockingFileSystem& fs_;
  const std::string path_;
  const std::uint64_t size_;
  std::uint64_t at_ = 0;
  std::unique_ptr<ffs::File> file_;
};

Task<Result<>> write_parts(FileSystem& fs, std::string path, std::span<const std::span<const std::byte>> parts) {
  FF_CO_TRY_ASSIGN(const auto file, co_await fs.open(path, {.write = true, .create = true, .exclusive = true}));
  Result<> written;
  std::uint64_t at = 0;
  for (std::span<const std::byte> part : parts) {
    while (written && !part.empty()) {
      const auto piece = part.first(std::min(part.size(), kPieceBytes));
      written = co_await file->write(at, piece);
      at += piece.size();
      part = part.subspan(piece.size());
    }
  }
  const Result<> closed = co_await file->close();
  FF_CO_TRY(std::move(written));
  co_return closed;
}

Task<Result<>> remove_one(FileSystem& fs, std::string path) {
  ffs::RemoveRequest request;
  *request.mutable_where() = ffs::at(std::move(path), false);
  FF_CO_TRY(co_await fs.meta().remove(std::move(request)));
  co_return {};
}

// Under a name of its own first, so that nobody ever sees a part.
Task<Result<>> write_whole(FileSystem& fs, std::string path, std::span<const std::span<const std::byte>> parts) {
  const std::string temporary = fmt::format("{}.tmp-{:016x}", path, fs.env().rng().next());
  Result<> written = co_await write_parts(fs, temporary, parts);
  if (written) {
    ffs::RenameRequest request;
    *request.mutable_from() = ffs::at(temporary, false);
    *request.mutable_to() = ffs::at(path, false);
    FF_CO_TRY(co_await fs.meta().rename(std::move(request)));
    co_return {};
  }
  (void)co_await remove_one(fs, temporary);  // the first failure is the one to tell
  co_return written;
}

Task<Result<>> make_folder(FileSystem& fs, std::string path) {
  ffs::MakeDirectoryRequest request;
  *request.mutable_where() = ffs::at(path);
  request.set_mode(0755);
  const auto made = co_await fs.meta().make_directory(std::move(request));
  if (made || made.error().sys_errno() != EEXIST) co_return made ? Result<>() : fail(made.error());
  FF_CO_TRY_ASSIGN(const ffs::Attributes there, co_await fs.stat(path));
  if (there.type() != ffs::DIRECTORY) co_return fail(errno_error(path, ENOTDIR));
  co_return {};
}

class FfsFiles final : public Files {
 public:
  explicit FfsFiles(std::unique_ptr<BlockingFileSystem> fs) : fs_(std::move(fs)) {}

  Result<std::unique_ptr<FileReader>> open(const std::string& path) override {
    auto file = fs_->call([&](FileSystem& fs) -> Task<Result<std::unique_ptr<ffs::File>>> {
      co_return co_await fs.open(inside(path), {});
    });
    if (!file) return failed(path, file.error());
    return std::make_unique<FfsReader>(*fs_, path, *std::move(file));
  }

  Result<> write(const std::string& path, std::span<const std::span<const std::byte>> parts) override {
    const auto written =
        fs_->call([&](FileSystem& fs) -> Task<Result<>> { co_return co_await write_whole(fs, inside(path), parts); });
    if (!written) return failed(path, written.error());
    return {};
  }

  Result<std::vector<std::string>> names(const std::string& folder) override {
    std::vector<std::string> names;
    const auto listed = fs_->call([&](FileSystem& fs) -> Task<Result<>> {
      co_return co_await fs.list(inside(folder), false, [&](const ffs::Entry& entry) {
        names.push_back(entry.name());
        return true;
      });
    });
    if (!listed) return failed(folder, listed.error());
    return names;
  }

  Result<> remove(const std::string& path) override {
    const auto removed =
        fs_->call([&](FileSystem& fs) -> Task<Result<>> { co_return co_await remove_one(fs, inside(path)); });
    if (!removed) return failed(path, removed.error());
    return {};
  }

  // The file system has no locks between clients: two runs in one folder overwrite each other's steps, each one whole.
  Result<std::unique_ptr<FolderOwner>> own_folder(const std::string& path) override {
    const auto made =
        fs_->call([&](FileSystem& fs) -> Task<Result<>> { co_return co_await make_folder(fs, inside(path)); });
    if (!made) return failed(path, made.error());
    return std::make_unique<FolderOwner>();
  }

 private:
  std::unique_ptr<BlockingFileSystem> fs_;
};

}  // namespace

Result<std::unique_ptr<Files>> make_ffs_files() {
  FF_TRY_ASSIGN(const ffs::ClusterFile cluster, ffs::find_cluster_file(""));
  FF_TRY_ASSIGN(auto fs, BlockingFileSystem::connect(cluster, "fftrain", kTimeout));
  return std::make_unique<FfsFiles>(std::move(fs));
}

}  // namespace ff::fftrain
