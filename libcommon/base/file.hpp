// Whole-file reads and crash-safe whole-file writes, for small files (configurations, checkpoints' manifests).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff {

// Reads all of `path` ("-" is standard input). kNotFound, kPermission, kIo; kExhausted beyond `bytes_max`.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);

// A file that appears under its name only when it is whole: bytes go to a temporary file beside it, which is unlinked
// when the object is dropped without commit(). After a crash at any instant `path` holds the old bytes or the new ones.
// Errors  name the file. Threads  one at a time for each object.
class AtomicFile {
 public:
  // The temporary file is `path` + ".tmp" + a suffix that tells processes apart. What stands there, as a process that
  // was killed leaves it, is removed first; a symbolic link there is never followed.
  static Result<AtomicFile> create(const std::string& path, unsigned mode = 0644);
  // The file `name` of an open folder, wherever that folder is moved to. `shown`: its path, for errors.
  // REQUIRES: no '/' in name.
  static Result<AtomicFile> create_in(UniqueFd folder, const std::string& name, std::string shown,
                                      unsigned mode = 0644);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  Result<> write(std::span<const std::byte> bytes);
  // fsync, rename over `path`, fsync of the folder. Once.
  Result<> commit();

 private:
  AtomicFile() = default;
  int folder() const noexcept;

  UniqueFd folder_;               // none: paths are the process's
  std::string path_, temporary_;  // from the folder; temporary_ is empty when there is none to unlink
  std::string shown_;
  UniqueFd fd_;
};

// An AtomicFile with these bytes.
Result<> write_file_atomic(const std::string& path, std::string_view bytes);

// Makes a folder's entries durable: what was created in it or renamed there. `path` names the folder.
Result<> fsync_folder(const std::string& path);
// "a/b" -> "a", "b" -> ".", "/b" -> "/".
std::string parent_folder(const std::string& path);

// Writes all bytes, through short writes and EINTR.
Result<> write_all(int fd, std::span<const std::byte> bytes);
// Reads exactly bytes.size(); kCorrupt at an early end of file.
Result<> read_exact(int fd, std::span<std::byte> bytes);

}  // namespace ff
