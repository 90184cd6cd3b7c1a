// SimStorage: the disk of a simulated machine, which outlives its processes, and its faults. SimDisk: one process's
// door to it.
//
// Cache      A write is in the cache at once (it can be read) and durable after File::sync(). A power cut decides for
//            every sector and every size that was not synced, as crash_images.hpp says. Names are durable after
//            sync_folder() of their folder (of both, for a rename between folders, either one is enough: a rename is
//            atomic, and takes along what was done to both folders before it); at a power cut each folder keeps a
//            prefix of what was done to it since. A folder that is lost takes along what is in it. A file's sync() does
//            not make its name durable.
// Faults     DiskModel's rates; damage(), flip_bit(), fail(), slow() for one fault at a time. A failed sync() throws a
//            random part of the unsynced writes out of the cache's books: they can be read until a power cut, and no
//            later sync makes them durable (as Linux does; see "fsyncgate").
// Paths      Any text with "/"; "a/b" and "/a/b" are the same. The root folder exists.
// Full       Pages that hold data are counted against capacity_bytes; a hole is free. allocate() counts.
// Time       A write is seen by others before its caller has heard of it; a sync covers what was written before it
//            was asked for.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/runtime/disk.hpp"
#include "libcommon/testing/crash_images.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::testing {

// One file, whatever its names.
struct SimInode {
  std::uint32_t number = 0;
  SparseBytes current, durable;
  struct Unsynced {
    std::uint64_t sequence;  // of the operations on this file
    DiskOp op;
  };
  std::vector<Unsynced> unsynced;
  std::uint64_t next_sequence = 0;
  bool named = true;                // counted in the disk's use
  std::set<std::uint64_t> damaged;  // sectors that cannot be read

  SimInode() = default;
  SimInode(const SimInode&) = delete;
  SimInode& operator=(const SimInode&) = delete;
};

class SimStorage {
 public:
  SimStorage(SimWorld& world, NodeId node, std::uint64_t seed);

  DiskModel& model() noexcept { return model_; }
  // Every operation fails with EIO until the disk is whole again.
  void fail(bool failed) noexcept { failed_ = failed; }
  // Latencies times this.
  void slow(double factor) noexcept { slow_ = factor; }
  // A latent error: the sector at `offset` cannot be read until it is written.
  Result<> damage(std::string_view path, std::uint64_t offset);
  Result<> flip_bit(std::string_view path, std::uint64_t offset, unsigned bit);

  // As a power cut leaves it. SimWorld::kill() calls this.
  void power_cut();

  // What a reader would see now; and a durable file made from outside (an image under test), with its folders.
  Result<std::vector<std::byte>> contents(std::string_view path) const;
  void install(std::string_view path, SparseBytes content);
  std::uint64_t used_bytes() const noexcept { return used_pages_ * SparseBytes::kPage; }

  // From now on data operations are recorded, for for_each_crash_image(). Names are not, nor what a failed sync()
  // loses: record without sync errors.
  struct Recording {
    std::vector<std::string> paths;    // the name when first touched; by DiskOp::file
    std::vector<SparseBytes> initial;  // durable contents then
    std::vector<DiskOp> operations;
  };
  void start_recording();
  Recording stop_recording();

 private:
  friend class SimDisk;
  friend class SimFile;
  using Inode = std::shared_ptr<SimInode>;
  struct Entry {
    Inode file;  // null: a folder
  };
  using Tree = std::map<std::string, Entry, std::less<>>;
  struct NameOp {
    enum class Kind : std::uint8_t { kAdd, kRemove, kRename } kind;
    std::string path, to;
    Entry entry;
  };

  static std::string normal(std::string_view path);
  static std::string folder_of(const std::string& path);
  static void apply(Tree& tree, const NameOp& op);
  void change(NameOp op);
  std::vector<bool> due_with(const std::string& folder) const;
  void sync_names(const std::string& folder);
  void cut_names();
  void cut_data(SimInode& inode);
  Inode find_file(std::string_view path) const;
  Inode make_inode();
  // Makes it so, in the cache. kExhausted when the disk is full.
  Result<> perform(SimInode& inode, const std::string& path, DiskOp op);
  // Makes durable what came before `sequence`.
  void sync_inode(SimInode& inode, const std::string& path, std::uint64_t sequence);
  void unname(const Entry& entry);
  void forget_some(SimInode& inode);
  void record(const SimInode& inode, const std::string& path, const DiskOp& op);
  // How long an operation that begins now takes.
  runtime::Duration cost(const Latency& latency, std::uint64_t bytes);

  SimWorld& world_;
  NodeId node_;
  Rng rng_;
  DiskModel model_;
  bool failed_ = false;
  double slow_ = 1;
  runtime::Time transfers_end_{};  // of what is under way, with a limited rate
  Tree names_, durable_names_;
  std::vector<NameOp> unsynced_names_;
  std::uint32_t next_inode_ = 1;
  std::uint64_t used_pages_ = 0;
  bool recording_ = false;
  Recording recorded_;
  std::map<std::uint32_t, std::uint32_t> recorded_index_;  // inode number → DiskOp::file
};

class SimDisk final : public runtime::Disk {
 public:
  explicit SimDisk(SimStorage& storage) noexcept : storage_(storage) {}

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
  // The time of a change of names, and its faults.
  runtime::Task<Result<>> name_operation(const char* what, const std::string& path);

  SimStorage& storage_;
};

}  // namespace ff::testing
