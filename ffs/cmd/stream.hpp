// Byte streams between this machine and the file system, and a pump that reads and writes at the same time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ffs/client/file_system.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::ffs {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // 0: the end.
  virtual runtime::Task<Result<std::size_t>> read(std::span<std::byte> into) = 0;
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual runtime::Task<Result<>> write(std::span<const std::byte> from) = 0;
};

// A file or pipe of this machine. Waiting for a pipe ends when the caller is cancelled.
class LocalSource final : public ByteSource {
 public:
  // "-": standard input.
  static Result<std::unique_ptr<LocalSource>> open(runtime::Env& env, const std::string& path);
  LocalSource(runtime::Env& env, UniqueFd fd, int number, std::string name);
  runtime::Task<Result<std::size_t>> read(std::span<std::byte> into) override;

 private:
  runtime::Env& env_;
  UniqueFd fd_;  // owned; none of standard input
  int number_;
  std::string name_;
};

// A file of this machine that appears when commit() has returned; or standard output.
class LocalSink final : public ByteSink {
 public:
  static std::unique_ptr<LocalSink> into(runtime::Env& env, AtomicFile file);
  static std::unique_ptr<LocalSink> standard_output(runtime::Env& env);
  runtime::Task<Result<>> write(std::span<const std::byte> from) override;
  runtime::Task<Result<>> commit();

 private:
  LocalSink(runtime::Env& env, std::unique_ptr<AtomicFile> file) : env_(env), file_(std::move(file)) {}
  runtime::Env& env_;
  std::unique_ptr<AtomicFile> file_;  // null: standard output
};

class FileSource final : public ByteSource {
 public:
  explicit FileSource(File& file, std::uint64_t offset = 0) : file_(file), offset_(offset) {}
  runtime::Task<Result<std::size_t>> read(std::span<std::byte> into) override;

 private:
  File& file_;
  std::uint64_t offset_;
};

class FileSink final : public ByteSink {
 public:
  explicit FileSink(File& file) : file_(file) {}
  runtime::Task<Result<>> write(std::span<const std::byte> from) override;

 private:
  File& file_;
  std::uint64_t offset_ = 0;
};

// Everything from `source` to `sink`; `moved` is told of each piece. The number of bytes.
runtime::Task<Result<std::uint64_t>> pump(ByteSource& source, ByteSink& sink, std::function<void(std::uint64_t)> moved);

}  // namespace ff::ffs
