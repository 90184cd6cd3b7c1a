// UnsyncedDisk: another Disk, except that sync() of its files does nothing. A service that is correct on a disk must be
// convicted on this one, else the test of its durability tests nothing.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "libcommon/runtime/disk.hpp"

namespace ff::sim {

class UnsyncedFile final : public runtime::File {
 public:
  explicit UnsyncedFile(std::unique_ptr<runtime::File> file) : file_(std::move(file)) {}
  runtime::Task<Result<>> sync() override { co_return {}; }

  runtime::Task<Result<std::size_t>> read(std::uint64_t offset, std::span<std::byte> into) override {
    co_return co_await file_->read(offset, into);
  }
  runtime::Task<Result<>> write(std::uint64_t offset, std::span<const std::byte> from) override {
    co_return co_await file_->write(offset, from);
  }
  runtime::Task<Result<std::uint64_t>> size() override { co_return co_await file_->size(); }
  runtime::Task<Result<>> truncate(std::uint64_t bytes) override { co_return co_await file_->truncate(bytes); }
  runtime::Task<Result<>> allocate(std::uint64_t offset, std::uint64_t bytes) override {
    co_return co_await file_->allocate(offset, bytes);
  }
  runtime::Task<Result<>> punch(std::uint64_t offset, std::uint64_t bytes) override {
    co_return co_await file_->punch(offset, bytes);
  }
  std::size_t alignment() const noexcept override { return file_->alignment(); }
  runtime::Task<Result<>> close() override { co_return co_await file_->close(); }

 private:
  std::unique_ptr<runtime::File> file_;
};

class UnsyncedDisk final : public runtime::Disk {
 public:
  explicit UnsyncedDisk(runtime::Disk& disk) noexcept : disk_(disk) {}

  runtime::Task<Result<std::unique_ptr<runtime::File>>> open(std::string path, runtime::OpenOptions options) override {
    FF_CO_TRY_ASSIGN(auto file, co_await disk_.open(std::move(path), options));
    co_return std::make_unique<UnsyncedFile>(std::move(file));
  }
  runtime::Task<Result<runtime::FileInfo>> info(std::string path) override {
    co_return co_await disk_.info(std::move(path));
  }
  runtime::Task<Result<>> make_folder(std::string path) override {
    co_return co_await disk_.make_folder(std::move(path));
  }
  runtime::Task<Result<std::vector<std::string>>> list(std::string path) override {
    co_return co_await disk_.list(std::move(path));
  }
  runtime::Task<Result<>> remove(std::string path) override { co_return co_await disk_.remove(std::move(path)); }
  runtime::Task<Result<>> rename(std::string from, std::string to) override {
    co_return co_await disk_.rename(std::move(from), std::move(to));
  }
  runtime::Task<Result<>> sync_folder(std::string path) override {
    co_return co_await disk_.sync_folder(std::move(path));
  }
  runtime::Task<Result<runtime::SpaceInfo>> space(std::string path) override {
    co_return co_await disk_.space(std::move(path));
  }
  Result<runtime::DiskBuffer> buffer(std::size_t bytes) override { return disk_.buffer(bytes); }

 private:
  runtime::Disk& disk_;
};

}  // namespace ff::sim
