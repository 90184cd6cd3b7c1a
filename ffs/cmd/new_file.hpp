// NewFile: one file of the file system that appears under its name only when it is whole: written beside it, then
// renamed over it. After a crash of this process a hidden file of its name is left beside it.
//
// Ownership  the FileSystem outlives it. Either commit() succeeds, or drop() follows; nothing else runs on it then.
#pragma once

#include <memory>
#include <string>

#include "ffs/client/file_system.hpp"

namespace ff::ffs {

class NewFile {
 public:
  static runtime::Task<Result<std::unique_ptr<NewFile>>> create(FileSystem& fs, std::string path, std::uint32_t mode);
  File& file() noexcept { return *file_; }
  runtime::Task<Result<>> commit();
  // After an error; what is left is removed as well as it can be, also when the error is that this process was asked to
  // stop.
  runtime::Task<void> drop();

 private:
  NewFile(FileSystem& fs, std::string path, std::string beside, std::unique_ptr<File> file)
      : fs_(fs), path_(std::move(path)), beside_(std::move(beside)), file_(std::move(file)) {}
  runtime::Task<Result<>> remove();

  FileSystem& fs_;
  std::string path_, beside_;
  std::unique_ptr<File> file_;
};

// A hidden name in the same folder that nothing has.
std::string name_beside(FileSystem& fs, const std::string& path);

}  // namespace ff::ffs
