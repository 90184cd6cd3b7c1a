// FfsDisk: the files of a file system of Fire-Flyer as files of an Env, so that loads and checks that know nothing of
// libffs run on them.
//
// Paths     "ffs:/a/b" lies in the file system; any other path on the disk of the Env (journals).
// Durable   What write() took is durable on all replicas when it returns (a file of up to ffs::kInlineBytes: at
// sync()).
//           sync() makes lengths seen by others. Names are durable when the call has returned: sync_folder() is
//           nothing.
// Shapes    alignment() is 1: offsets, lengths and memory are any. There is no cache between: `direct` changes nothing.
// Errors    those of libffs with the path before them; kUnsupported from allocate(), punch() and space().
// Ownership The FileSystem outlives the disk, and the disk its files. Threads  Those of the FileSystem's Env.
#pragma once

#include <string>
#include <string_view>

#include "libcommon/runtime/disk.hpp"

namespace ff::ffs {
class FileSystem;
}

namespace ff::bench {

inline constexpr std::string_view kFfsPrefix = "ffs:";

// Whether a path lies in a file system, and which it is there.
bool is_ffs_path(std::string_view path);
// Given with the prefix or without it: without it, and with it.
std::string path_inside(std::string_view path);
std::string ffs_path(std::string_view path);

class FfsDisk final : public runtime::Disk {
 public:
  explicit FfsDisk(ffs::FileSystem& fs);

  runtime::Task<Result<std::unique_ptr<runtime::File>>> open(std::string path, runtime::OpenOptions options) override;
  runtime::Task<Result<runtime::FileInfo>> info(std::string path) override;
  runtime::Task<Result<>> make_folder(std::string path) override;
  runtime::Task<Result<std::vector<std::string>>> list(std::string path) override;
  runtime::Task<Result<>> remove(std::string path) override;
  runtime::Task<Result<>> rename(std::string from, std::string to) override;
  runtime::Task<Result<>> sync_folder(std::string path) override;
  runtime::Task<Result<runtime::SpaceInfo>> space(std::string path) override;
  Result<runtime::DiskBuffer> buffer(std::size_t bytes) override;

 private:
  ffs::FileSystem& fs_;
  runtime::Disk& local_;
};

}  // namespace ff::bench
