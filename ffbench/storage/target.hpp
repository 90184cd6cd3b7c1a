// What a storage test may touch, decided before anything is touched.
//
// Safety   A device that is mounted, in use by another layer or a swap is never written, and nobody can mount or claim
//          it while a test writes. An existing file or device is written only with `force`. What ffbench makes itself,
//          it removes.
// Errors   name the path, what would be lost, and the option that allows it.
// Threads  Pure but for reading the file system.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::bench {

struct TargetFacts {
  bool exists = false;
  bool block_device = false;
  std::uint64_t bytes = 0;
};

// Of a file or block device. kInvalidArgument for anything else (folders, pipes, links to nothing).
Result<TargetFacts> look_at(const std::string& path);

// kAlreadyExists, for a file whose `bytes` a run would destroy without --force.
Error would_overwrite(const std::string& path, std::uint64_t bytes);

// What a run writes to. Must outlive its last write: until then the kernel refuses to mount the devices, to swap on
// them or to make them part of others.
class WriteClaims {
 public:
  // Refuses writes that could destroy something. A device is claimed once, whatever its names. `root` is "" or a folder
  // with proc/ and sys/ for tests.
  Result<> claim(const std::string& path, const TargetFacts& facts, bool force, const std::string& root = {});

 private:
  std::map<std::uint64_t, UniqueFd> devices_;  // by st_rdev
};

// Whether a device number (as st_rdev) is mounted or swapped on, and where: "mounted on /data"; empty if not.
std::string use_of_device(unsigned major, unsigned minor, const std::string& root);

// A folder made by mkdtemp(3) under another one, removed with all that is in it when the object goes, unless kept.
class WorkFolder {
 public:
  // kNotFound, kPermission, kInvalidArgument (no folder), with the path.
  static Result<WorkFolder> make(const std::string& parent, const std::string& prefix);
  WorkFolder(WorkFolder&& other) noexcept : path_(std::exchange(other.path_, {})), keep_(other.keep_) {}
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder();
  const std::string& path() const noexcept { return path_; }
  void keep() noexcept { keep_ = true; }

 private:
  explicit WorkFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
  bool keep_ = false;
};

}  // namespace ff::bench
