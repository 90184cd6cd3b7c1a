// Files: what a run reads and keeps, on this machine or, named "ffs:/path", in a file system of Fire-Flyer: the one
// that FF_CLUSTER names, else the user's or the machine's (see ffs(1)).
//
// Errors   name the path as the user gave it.
// Threads  One at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::fftrain {

inline constexpr char kFfsPrefix[] = "ffs:";

// A file from its beginning to its end.
class FileReader {
 public:
  virtual ~FileReader() = default;
  virtual std::uint64_t size() const noexcept = 0;  // when it was opened
  // All of it, or an error (kCorrupt: the file ends before).
  virtual Result<> read(std::span<std::byte> into) = 0;
};

// A folder of which this process is the owner; released when it goes.
class FolderOwner {
 public:
  virtual ~FolderOwner() = default;
};

class Files {
 public:
  virtual ~Files() = default;
  virtual Result<std::unique_ptr<FileReader>> open(const std::string& path) = 0;
  // The parts, one after another, durable under `path` or not there at all: written as `path` + something that begins
  // with ".tmp", then renamed.
  virtual Result<> write(const std::string& path, std::span<const std::span<const std::byte>> parts) = 0;
  virtual Result<std::vector<std::string>> names(const std::string& folder) = 0;
  virtual Result<> remove(const std::string& path) = 0;
  // Makes the folder (not its parents) where it is missing, and keeps other processes out where the file system can:
  // kUnavailable when one is in.
  virtual Result<std::unique_ptr<FolderOwner>> own_folder(const std::string& path) = 0;
};

// Of where `path` lies; for the rest of the process. The first path of a file system connects to it.
Result<Files*> files_of(const std::string& path);

// Of this machine, and of the file system of Fire-Flyer.
std::unique_ptr<Files> make_local_files();
Result<std::unique_ptr<Files>> make_ffs_files();

}  // namespace ff::fftrain
