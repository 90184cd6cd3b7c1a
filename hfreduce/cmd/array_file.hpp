// Arrays in files, pipes and on standard input and output, as streams: raw elements, or .npy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "hfreduce/npy/npy.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::cmd {

// One array to read, once, from front to back.
class ArraySource {
 public:
  // "-" is standard input. A stream that begins as .npy does is read as .npy, unless `raw`. kNotFound, kPermission,
  // kIo, kCorrupt; messages name the file.
  static Result<ArraySource> open(const std::string& path, bool raw);

  const std::string& name() const noexcept { return name_; }
  // Empty for raw data.
  const std::optional<npy::Header>& header() const noexcept { return header_; }
  // Of the elements, where it is known before reading: .npy and plain files.
  std::optional<std::uint64_t> bytes() const noexcept { return bytes_; }
  // Type of the elements: from the .npy header or from `wanted`, which must fit it. kInvalidArgument for raw data
  // without `wanted`, or for a size that is no multiple of the element's.
  Result<DType> element_type(std::optional<DType> wanted) const;

  // Fills `out` as far as the array goes; fewer bytes mean its end. kCorrupt when a .npy file ends early or goes on.
  Result<std::size_t> read(std::span<std::byte> out);

 private:
  ArraySource() = default;
  Result<std::size_t> read_fd(std::span<std::byte> out);
  Result<> read_header();

  std::string name_;
  UniqueFd owned_;
  int fd_ = 0;
  std::string front_;  // read while looking for a header, and given out first
  std::optional<npy::Header> header_;
  std::optional<std::uint64_t> bytes_;
  std::uint64_t taken_ = 0;
  bool ended_ = false;
};

// One array to write: to standard output ("-"), or to a temporary file that takes the name when all is written. Without
// commit() nothing of the file stays.
class ArraySink {
 public:
  // kAlreadyExists where `path` exists and `force` is not given. Devices and pipes are written directly.
  static Result<ArraySink> create(const std::string& path, bool force);
  // What create() would refuse before it opens anything; nothing is opened or created, so a pipe without a reader does
  // not hold it up. True when `path` is to be written directly.
  static Result<bool> check(const std::string& path, bool force);

  Result<> write(std::span<const std::byte> bytes);
  // The file takes its name (AtomicFile::commit).
  Result<> commit();

 private:
  ArraySink() = default;

  std::string path_;
  std::optional<AtomicFile> file_;  // absent when written directly: to owned_, or to standard output
  UniqueFd owned_;
};

}  // namespace ff::hfreduce::cmd
