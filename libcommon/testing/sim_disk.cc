#include "libcommon/testing/sim_disk.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "libcommon/base/aligned_buffer.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::testing {

using runtime::DiskBuffer;
using runtime::File;
using runtime::FileInfo;
using runtime::OpenOptions;
using runtime::SpaceInfo;
using runtime::Task;

namespace {

std::unexpected<Error> io_error(const std::string& path, const char* what, std::uint64_t offset) {
  return fail(Errc::kIo, fmt::format("{}: {} at {}: Input/output error", path, what, offset), EIO);
}

}  // namespace

class SimFile final : public File {
 public:
  SimFile(SimStorage& storage, std::shared_ptr<SimInode> inode, std::string path, bool writable, bool direct)
      : storage_(storage), inode_(std::move(inode)), path_(std::move(path)), writable_(writable), direct_(direct) {}

  Task<Result<std::size_t>> read(std::uint64_t offset, std::span<std::byte> into) override {
    FF_CO_TRY(check("read", offset, into.size(), into.data()));
    FF_CO_TRY(co_await runtime::sleep(storage_.cost(storage_.model_.read, into.size())));
    if (storage_.failed_ || chance(storage_.rng_, storage_.model_.read_error))
      co_return io_error(path_, "read", offset);
    const std::uint32_t sector = storage_.model_.sector_bytes;
    const auto bad = inode_->damaged.lower_bound(offset / sector);
    if (!into.empty() && bad != inode_->damaged.end() && *bad * sector < offset + into.size()) {
      co_return io_error(path_, "read", *bad * sector);
    }
    co_return inode_->current.read(offset, into);
  }

  Task<Result<>> write(std::uint64_t offset, std::span<const std::byte> from) override {
    FF_CO_TRY(check_write("write", offset, from.size(), from.data()));
    DiskOp op{.kind = DiskOp::Kind::kWrite,
              .file = 0,
              .offset = offset,
              .bytes = from.size(),
              .data = {from.begin(), from.end()}};
    const bool error = storage_.failed_ || chance(storage_.rng_, storage_.model_.write_error);
    if (error && !storage_.failed_ && !from.empty()) {
      op.bytes = storage_.rng_.below(from.size() + 1);
      op.data.resize(op.bytes);
    }
    if (!from.empty() && chance(storage_.rng_, storage_.model_.bit_flip) && op.bytes > 0) {
      op.data[storage_.rng_.below(op.bytes)] ^= std::byte{1} << storage_.rng_.below(8);
    }
    Result<> done;
    if (!storage_.failed_ && op.bytes > 0) done = storage_.perform(*inode_, path_, std::move(op));
    FF_CO_TRY(co_await runtime::sleep(storage_.cost(storage_.model_.write, from.size())));
    if (error || storage_.failed_) co_return io_error(path_, "write", offset);
    co_return done;
  }

  Task<Result<>> sync() override {
    const std::uint64_t covered = inode_->next_sequence;
    FF_CO_TRY(co_await runtime::sleep(storage_.cost(storage_.model_.sync, 0)));
    if (storage_.failed_ || chance(storage_.rng_, storage_.model_.sync_error)) {
      storage_.forget_some(*inode_);
      co_return io_error(path_, "sync", 0);
    }
    storage_.sync_inode(*inode_, path_, covered);
    co_return {};
  }

  Task<Result<std::uint64_t>> size() override { co_return inode_->current.size(); }

  [[clang::coro_wrapper]] Task<Result<>> truncate(std::uint64_t bytes) override {
    return change("truncate", {.kind = DiskOp::Kind::kTruncate, .file = 0, .offset = 0, .bytes = bytes, .data = {}});
  }
  [[clang::coro_wrapper]] Task<Result<>> allocate(std::uint64_t offset, std::uint64_t bytes) override {
    return change("allocate",
                  {.kind = DiskOp::Kind::kAllocate, .file = 0, .offset = offset, .bytes = bytes, .data = {}});
  }
  [[clang::coro_wrapper]] Task<Result<>> punch(std::uint64_t offset, std::uint64_t bytes) override {
    return change("punch", {.kind = DiskOp::Kind::kZero, .file = 0, .offset = offset, .bytes = bytes, .data = {}});
  }
  std::size_t alignment() const noexcept override { return direct_ ? storage_.model_.alignment_bytes : 1; }
  Task<Result<>> close() override { co_return {}; }

 private:
  Result<> check(const char* what, std::uint64_t offset, std::uint64_t bytes, const void* memory) const {
    const std::uint64_t unit = alignment();
    if (offset % unit != 0 || bytes % unit != 0 || reinterpret_cast<std::uintptr_t>(memory) % unit != 0) {
      return fail(Errc::kInvalidArgument,
                  fmt::format("{}: {} of {} bytes at {}: not aligned to {} (the file is open for direct I/O)", path_,
                              what, bytes, offset, unit),
                  EINVAL);
    }
    return {};
  }
  Result<> check_write(const char* what, std::uint64_t offset, std::uint64_t bytes, const void* memory) const {
    if (!writable_) return fail(Errc::kPermission, fmt::format("{}: {}: open for reading only", path_, what), EBADF);
    return check(what, offset, bytes, memory);
  }
  Task<Result<>> change(const char* what, DiskOp op) {
    FF_CO_TRY(check_write(what, 0, 0, nullptr));
    if (storage_.failed_ || chance(storage_.rng_, storage_.model_.write_error))
      co_return io_error(path_, what, op.offset);
    Result<> done = storage_.perform(*inode_, path_, std::move(op));
    FF_CO_TRY(co_await runtime::sleep(storage_.cost(storage_.model_.write, 0)));
    co_return done;
  }

  SimStorage& storage_;
  std::shared_ptr<SimInode> inode_;
  std::string path_;
  bool writable_, direct_;
};

Task<Result<>> SimDisk::name_operation(const char* what, const std::string& path) {
  FF_CO_TRY(co_await runtime::sleep(storage_.cost(storage_.model_.write, 0)));
  if (storage_.failed_ || chance(storage_.rng_, storage_.model_.write_error)) co_return io_error(path, what, 0);
  co_return {};
}

Task<Result<std::unique_ptr<File>>> SimDisk::open(std::string path, OpenOptions options) {
  FF_CO_TRY(co_await name_operation("open", path));
  if ((options.create || options.truncate) && !options.write) {
    co_return fail(Errc::kInvalidArgument, fmt::format("{}: create and truncate need write", path));
  }
  const std::string name = SimStorage::normal(path);
  auto found = storage_.names_.find(name);
  if (found == storage_.names_.end()) {
    const std::string folder = SimStorage::folder_of(name);
    const auto parent = storage_.names_.find(folder);
    const bool missing = !folder.empty() && (parent == storage_.names_.end() || parent->second.file);
    if (!options.create || missing || name.empty()) {
      co_return fail(Errc::kNotFound, fmt::format("open {}: No such file or directory", path), ENOENT);
    }
    storage_.change({SimStorage::NameOp::Kind::kAdd, name, "", {storage_.make_inode()}});
    found = storage_.names_.find(name);
  } else if (options.exclusive && options.create) {
    co_return fail(Errc::kAlreadyExists, fmt::format("open {}: File exists", path), EEXIST);
  }
  if (!found->second.file) co_return fail(Errc::kInvalidArgument, fmt::format("open {}: Is a directory", path), EISDIR);
  const auto inode = found->second.file;
  if (options.truncate && inode->current.size() > 0) {
    FF_CO_TRY(storage_.perform(*inode, path, {.kind = DiskOp::Kind::kTruncate}));
  }
  co_return std::make_unique<SimFile>(storage_, inode, std::move(path), options.write, options.direct);
}

Task<Result<FileInfo>> SimDisk::info(std::string path) {
  const std::string name = SimStorage::normal(path);
  if (name.empty()) co_return FileInfo{.folder = true};
  const auto found = storage_.names_.find(name);
  if (found == storage_.names_.end())
    co_return fail(Errc::kNotFound, fmt::format("{}: No such file or directory", path), ENOENT);
  if (!found->second.file) co_return FileInfo{.folder = true};
  co_return FileInfo{.folder = false, .bytes = found->second.file->current.size()};
}

Task<Result<>> SimDisk::make_folder(std::string path) {
  FF_CO_TRY(co_await name_operation("mkdir", path));
  const std::string name = SimStorage::normal(path);
  if (name.empty() || storage_.names_.contains(name))
    co_return fail(Errc::kAlreadyExists, fmt::format("{}: File exists", path), EEXIST);
  const std::string folder = SimStorage::folder_of(name);
  const auto parent = storage_.names_.find(folder);
  if (!folder.empty() && (parent == storage_.names_.end() || parent->second.file)) {
    co_return fail(Errc::kNotFound, fmt::format("{}: its folder does not exist", path), ENOENT);
  }
  storage_.change({SimStorage::NameOp::Kind::kAdd, name, "", {}});
  co_return {};
}

Task<Result<std::vector<std::string>>> SimDisk::list(std::string path) {
  const std::string name = SimStorage::normal(path);
  const auto found = storage_.names_.find(name);
  if (!name.empty() && (found == storage_.names_.end() || found->second.file)) {
    co_return fail(Errc::kNotFound, fmt::format("{}: no such folder", path), ENOENT);
  }
  std::vector<std::string> out;
  for (const auto& [child, entry] : storage_.names_) {
    if (SimStorage::folder_of(child) == name) out.push_back(child.substr(name.empty() ? 0 : name.size() + 1));
  }
  co_return out;
}

Task<Result<>> SimDisk::remove(std::string path) {
  FF_CO_TRY(co_await name_operation("remove", path));
  const std::string name = SimStorage::normal(path);
  const auto found = storage_.names_.find(name);
  if (found == storage_.names_.end())
    co_return fail(Errc::kNotFound, fmt::format("{}: No such file or directory", path), ENOENT);
  const auto child = storage_.names_.lower_bound(name + "/");
  if (!found->second.file && child != storage_.names_.end() && child->first.starts_with(name + "/")) {
    co_return fail(Errc::kInvalidArgument, fmt::format("{}: the folder is not empty", path), ENOTEMPTY);
  }
  storage_.unname(found->second);
  storage_.change({SimStorage::NameOp::Kind::kRemove, name, "", {}});
  co_return {};
}

Task<Result<>> SimDisk::rename(std::string from, std::string to) {
  FF_CO_TRY(co_await name_operation("rename", from));
  const std::string old_name = SimStorage::normal(from), new_name = SimStorage::normal(to);
  const auto found = storage_.names_.find(old_name);
  const std::string folder = SimStorage::folder_of(new_name);
  const auto parent = storage_.names_.find(folder);
  if (found == storage_.names_.end() || new_name.empty() ||
      (!folder.empty() && (parent == storage_.names_.end() || parent->second.file))) {
    co_return fail(Errc::kNotFound, fmt::format("rename {} to {}: No such file or directory", from, to), ENOENT);
  }
  if (old_name == new_name) co_return {};
  const SimStorage::Entry entry = found->second;
  const auto replaced = storage_.names_.find(new_name);
  if (replaced != storage_.names_.end()) {
    if (!entry.file || !replaced->second.file) {
      co_return fail(Errc::kAlreadyExists, fmt::format("rename {} to {}: a folder is in the way", from, to), EEXIST);
    }
    storage_.unname(replaced->second);
  }
  if (new_name.starts_with(old_name + "/")) {
    co_return fail(Errc::kInvalidArgument, fmt::format("rename {} to {}: into itself", from, to), EINVAL);
  }
  storage_.change({SimStorage::NameOp::Kind::kRename, old_name, new_name, entry});
  co_return {};
}

Task<Result<>> SimDisk::sync_folder(std::string path) {
  const std::string name = SimStorage::normal(path);
  const auto found = storage_.names_.find(name);
  if (!name.empty() && (found == storage_.names_.end() || found->second.file)) {
    co_return fail(Errc::kNotFound, fmt::format("{}: no such folder", path), ENOENT);
  }
  FF_CO_TRY(co_await runtime::sleep(storage_.cost(storage_.model_.sync, 0)));
  if (storage_.failed_ || chance(storage_.rng_, storage_.model_.sync_error)) co_return io_error(path, "sync", 0);
  storage_.sync_names(name);
  co_return {};
}

Task<Result<SpaceInfo>> SimDisk::space(std::string) {
  const std::uint64_t total = storage_.model_.capacity_bytes;
  co_return SpaceInfo{.total_bytes = total, .free_bytes = total - std::min(total, storage_.used_bytes())};
}

Result<DiskBuffer> SimDisk::buffer(std::size_t bytes) {
  constexpr std::size_t kAlignment = 4096;
  const std::size_t rounded = (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded);
  if (memory == nullptr) return fail(Errc::kExhausted, fmt::format("buffer of {} bytes: out of memory", bytes));
  std::memset(memory, 0, rounded);
  return DiskBuffer(std::shared_ptr<void>(memory, [](void* m) { std::free(m); }),
                    {static_cast<std::byte*>(memory), bytes});
}

}  // namespace ff::testing
