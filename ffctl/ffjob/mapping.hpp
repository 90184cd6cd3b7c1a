// A file mapped into memory, shared with whoever else maps it.
//
// Ownership  Unmapped when it goes.  Threads  those of the memory's content.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

class Mapping {
 public:
  Mapping() noexcept = default;
  // kCorrupt when the file is shorter than `bytes`.
  static Result<Mapping> open(const std::string& path, std::size_t bytes, bool write);
  // The length of a file; kCorrupt when it is no regular file.
  static Result<std::size_t> length(const std::string& path);
  Mapping(Mapping&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping();

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return bytes_; }

 private:
  Mapping(std::byte* data, std::size_t bytes) noexcept : data_(data), bytes_(bytes) {}
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace ff::ctl
