// FileHistory: what clients asked of shared files and what they were told; and whether that can be.
//
// Cells      Each cell of a file is a register, absent where it is a hole or beyond the end. A truncate writes "absent"
//            to all cells from its size on. A read that ends before a cell says nothing of that cell, but of the
//            length.
// Lengths    A write extends the file for its own handle when it is acknowledged, for others at the sync() or close()
//            after it. A read that ends earlier, with no truncate that may have come after the write, is convicted.
// Outcomes   What is begun and never ended may have taken effect at any time since, or not at all.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "libcommon/testing/history.hpp"
#include "libcommon/testing/sim_world.hpp"
#include "tests/sim/ffs_cluster/cells.hpp"

namespace ff::sim {

class FileHistory {
 public:
  // Files are numbered from 0 and have at most so many cells.
  FileHistory(testing::SimWorld& world, std::uint64_t cells) : world_(world), cells_(cells) {}

  struct Range {
    std::uint64_t file = 0;
    std::uint64_t first = 0;  // cells
    std::uint64_t count = 0;
    std::uint64_t offset() const noexcept { return first * kCellBytes; }
    std::uint64_t bytes() const noexcept { return count * kCellBytes; }
  };
  // One handle of one client: nothing of it outlives the client.
  std::uint64_t new_handle() noexcept { return ++handles_; }

  struct Write {
    Stamp stamp;
    std::vector<std::size_t> operations;
    std::size_t extension = 0;
  };
  Write begin_write(std::uint32_t client, std::uint64_t handle, Range range);
  void end_write(const Write& write);
  // The handle's acknowledged writes that the sync() which begins now must settle; and that it has.
  std::vector<std::size_t> unsettled(std::uint64_t handle) const;
  void settle(const std::vector<std::size_t>& extensions);

  struct Truncate {
    std::vector<std::size_t> operations;
    std::size_t number = 0;
  };
  Truncate begin_truncate(std::uint32_t client, std::uint64_t file, std::uint64_t cells);
  void end_truncate(const Truncate& truncate);

  struct Read {
    Range range;
    std::uint64_t handle = 0;
    runtime::Time called{};
    std::vector<std::size_t> operations;
  };
  Read begin_read(std::uint32_t client, std::uint64_t handle, Range range);
  // `bytes`: what came. kCorrupt: it cannot be, whatever others did.
  Result<> end_read(const Read& read, std::span<const std::byte> bytes);

  // Other registers, in the same history.
  testing::RegisterHistory& registers() noexcept { return registers_; }
  std::uint64_t next_sequence() noexcept { return ++sequence_; }
  std::size_t size() const noexcept { return registers_.size(); }
  Result<> check() const;

 private:
  struct Extension {
    std::uint64_t file, handle, end;  // in cells
    runtime::Time called;
    std::optional<runtime::Time> acknowledged, settled;
  };
  struct Cut {
    std::uint64_t file, cells;
    runtime::Time called;
    std::optional<runtime::Time> returned;
  };
  std::size_t begin(testing::RegisterOpKind kind, std::uint32_t client, std::uint64_t file, std::uint64_t cell,
                    testing::RegisterValue value);
  Result<> check_length(const Read& read, std::uint64_t got) const;

  testing::SimWorld& world_;
  const std::uint64_t cells_;
  std::uint64_t handles_ = 0;
  std::uint64_t sequence_ = 0;
  testing::RegisterHistory registers_;
  std::vector<Extension> extensions_;
  std::vector<Cut> cuts_;
};

}  // namespace ff::sim
