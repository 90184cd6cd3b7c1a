// libffs: a file system of files and directories, for C++ programs. What the `ffs` command, the mount and the
// benchmarks use.
//
//   FF_CO_TRY_ASSIGN(auto fs, co_await FileSystem::connect(env, {.managers = cluster.managers()}));
//   FF_CO_TRY_ASSIGN(auto file, co_await fs->open("/data/a", {.write = true, .create = true}));
//   FF_CO_TRY(co_await file->write(0, bytes));
//   FF_CO_TRY(co_await file->close());
//   co_await fs->stop();
//
// Paths      Absolute ("/a/b"); "." and ".." are resolved by the text. Names are bytes.
// Visible    A read gives every write that was acknowledged before it began, by whichever client (files in chunks; see
// Small). The
//            length of a file that another client extends is seen at that client's sync() or close(), or by reading.
// Durable    write() of a file in chunks returns when the bytes are on all replicas. Lengths, times and small files: at
// sync() or close(). Small      A file of up to kInlineBytes lives in its inode: its content is written at sync() and
// close(), and seen by others then; of
//            two writers of one small file the later close wins as a whole (or fails with ESTALE, if both had read it).
// Errors     POSIX ones have sys_errno(); kTimeout and kUnavailable: nobody answered in time (a change may have been
// made);
//            kCorrupt: no replica has good bytes.
// Threads    Those of the Env. Ownership: the Env and the FileSystem outlive its Files. stop() before it goes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ffs/client/meta_calls.hpp"
#include "ffs/format/layout.hpp"
#include "ffs/mgmt/routing.hpp"
#include "libcommon/net/address.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::ffs {

class FileSystem;
class MgmtClient;
class StorageClient;

inline constexpr std::uint64_t kInlineBytes = 8u << 10;

struct FileSystemOptions {
  std::vector<net::PeerAddress> managers;
  std::string cluster;  // 16 bytes of its id; empty: whichever answers
  Caller caller;
  std::string host;                                      // of this machine, for the list of sessions
  std::string what = "libffs";                           // for the list of sessions: "ffs cp"
  runtime::Duration timeout = std::chrono::seconds(30);  // of one operation with all its retries (see meta_calls.hpp)
  bool relaxed_reads = false;                            // give committed bytes at once while a write is under way
  bool inline_small = true;                              // false: every write goes to chunks at once
};

struct OpenFlags {
  bool read = true;
  bool write = false;
  bool create = false;
  bool exclusive = false;
  bool truncate = false;
  std::uint32_t mode = 0644;
  std::optional<Layout> layout = {};  // create: instead of the directory's
};

class File {
 public:
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // As of the last answer of the metadata service, with what this file has written since.
  const Attributes& attributes() const noexcept { return attributes_; }
  std::uint64_t size() const noexcept { return attributes_.size(); }

  // Less than asked only at the end of the file. Holes read as zeros. Several may run at a time.
  runtime::Task<Result<std::size_t>> read(std::uint64_t offset, std::span<std::byte> into);
  // All or an error (then any part may have been written). Several may run at a time; overlapping ones in any order.
  // EDQUOT: it would make the file longer than its quota lets it; several writers at a time may pass that by what they
  // write between two questions to the service, at most half of what was left then.
  runtime::Task<Result<>> write(std::uint64_t offset, std::span<const std::byte> from);
  runtime::Task<Result<>> truncate(std::uint64_t size);
  // Everything written so far is durable, and its length is seen by others.
  runtime::Task<Result<>> sync();
  // sync() for a writer; ends the handle. Once; nothing else runs on the file.
  runtime::Task<Result<>> close();

 private:
  friend class FileSystem;
  File(FileSystem& fs, OpenReply reply, bool writes);

  bool in_inode() const noexcept { return attributes_.inlined(); }
  runtime::Task<Result<>> settle(bool close);
  // One answer of the metadata service to what has been written.
  runtime::Task<Result<>> settle_once(bool close);
  // Finds out what of doubtful_end_ counts; true: there is more to settle.
  runtime::Task<Result<bool>> settle_doubt();
  // Where the file's chunks end, as the storage knows it: at least where acknowledged writes do that were not cut.
  runtime::Task<Result<std::uint64_t>> chunks_end();
  // A new session on the same inode.
  runtime::Task<Result<>> open_again();
  // The content moves from the inode to chunks.
  runtime::Task<Result<>> leave_inode();
  runtime::Task<Result<bool>> write_inode(std::uint64_t offset, std::span<const std::byte> from);
  runtime::Task<Result<>> refresh();
  void take(Attributes attributes);
  // The chains of the layout's table; asks for a newer routing when it is not known yet.
  runtime::Task<Result<std::vector<ChainId>>> chains();
  runtime::Task<Result<>> write_chunks(std::uint64_t offset, std::span<const std::byte> from);
  // Those of the extents that were refused because the file was truncated.
  runtime::Task<Result<std::vector<Extent>>> write_extents(std::uint64_t offset, std::span<const std::byte> from,
                                                           std::vector<Extent> extents);
  Error truncated_again() const;
  runtime::Task<Result<>> read_chunks(std::uint64_t offset, std::span<std::byte> into);
  // EDQUOT when a write to there would make the file longer than its quota lets it.
  runtime::Task<Result<>> check_quota(std::uint64_t end);
  void take_quota(const QuotaLeft* left);

  FileSystem& fs_;
  Attributes attributes_;
  Layout layout_;
  std::uint64_t handle_;
  const bool writes_;
  bool wrote_ = false;          // since the last settle()
  std::string content_;         // of a file that lives in its inode, with what was written
  std::uint64_t seen_end_ = 0;  // of the furthest acknowledged write under the present truncate epoch
  // The same under earlier epochs, of what is not settled: the truncate may have come before the write or after it.
  std::uint64_t doubtful_end_ = 0;
  // Of a file that counts in a quota: how long it may become by what was told last, and beyond which the service is
  // told of what was written, and asked anew.
  struct Room {
    std::uint64_t end = 0;
    std::uint64_t ask = 0;
    runtime::Time told{};
  };
  std::optional<Room> room_;
  runtime::Mutex moving_;  // what tells, moves or replaces content_ or the length: one at a time
};

class FileSystem {
 public:
  // Asks the managers for the routing. kUnavailable names them.
  static runtime::Task<Result<std::unique_ptr<FileSystem>>> connect(runtime::Env& env, FileSystemOptions options);
  ~FileSystem();
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;

  runtime::Task<Result<std::unique_ptr<File>>> open(std::string path, OpenFlags flags);
  runtime::Task<Result<Attributes>> stat(std::string path, bool follow = true);
  // Everything in a directory, ordered by name, in pages as they come: `visit` returns false to stop.
  runtime::Task<Result<>> list(std::string path, bool attributes, std::function<bool(const Entry&)> visit);

  // The whole of the namespace; requests' `user`, `request` and `client` are filled in.
  MetaCalls& meta() noexcept { return *meta_; }
  MgmtClient& manager() noexcept { return *manager_; }
  StorageClient& storage() noexcept { return *storage_; }
  std::shared_ptr<const RoutingView> routing() const noexcept;
  // Newer than what routing() gives now. kTimeout.
  runtime::Task<Result<std::shared_ptr<const RoutingView>>> newer_routing(runtime::Duration timeout);
  runtime::Env& env() noexcept { return env_; }
  const FileSystemOptions& options() const noexcept { return options_; }

  // Files must be closed before.
  runtime::Task<void> stop();

 private:
  FileSystem(runtime::Env& env, FileSystemOptions options);

  runtime::Env& env_;
  const FileSystemOptions options_;
  std::unique_ptr<MgmtClient> manager_;
  std::unique_ptr<StorageClient> storage_;
  std::unique_ptr<MetaCalls> meta_;
};

// A path as the namespace takes it: absolute, "." and ".." resolved by the text. kInvalidArgument: not absolute, a NUL,
// a name over 255 bytes, over 4096 in all.
Result<std::string> clean_path(std::string_view path);
Where at(std::string path, bool follow = true);

}  // namespace ff::ffs
