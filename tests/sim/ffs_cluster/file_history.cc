#include "tests/sim/ffs_cluster/file_history.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/testing/linearizability.hpp"

namespace ff::sim {

using testing::RegisterOpKind;

std::size_t FileHistory::begin(RegisterOpKind kind, std::uint32_t client, std::uint64_t file, std::uint64_t cell,
                               testing::RegisterValue value) {
  return registers_.begin({.kind = kind,
                           .client = client,
                           .key = fmt::format("file {} cell {}", file, cell),
                           .expected = {},
                           .value = std::move(value),
                           .returned = {}},
                          world_.now());
}

FileHistory::Write FileHistory::begin_write(std::uint32_t client, std::uint64_t handle, Range range) {
  Write write{.stamp = {client, next_sequence()}, .operations = {}, .extension = extensions_.size()};
  for (std::uint64_t i = 0; i < range.count; ++i)
    write.operations.push_back(begin(RegisterOpKind::kWrite, client, range.file, range.first + i, text(write.stamp)));
  extensions_.push_back({.file = range.file,
                         .handle = handle,
                         .end = range.first + range.count,
                         .called = world_.now(),
                         .acknowledged = {},
                         .settled = {}});
  return write;
}

void FileHistory::end_write(const Write& write) {
  for (const std::size_t operation : write.operations) registers_.end_write(operation, world_.now());
  extensions_[write.extension].acknowledged = world_.now();
}

std::vector<std::size_t> FileHistory::unsettled(std::uint64_t handle) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < extensions_.size(); ++i) {
    const Extension& extension = extensions_[i];
    if (extension.handle == handle && extension.acknowledged && !extension.settled) out.push_back(i);
  }
  return out;
}

void FileHistory::settle(const std::vector<std::size_t>& extensions) {
  for (const std::size_t i : extensions) extensions_[i].settled = world_.now();
}

FileHistory::Truncate FileHistory::begin_truncate(std::uint32_t client, std::uint64_t file, std::uint64_t cells) {
  Truncate truncate{.operations = {}, .number = cuts_.size()};
  for (std::uint64_t cell = cells; cell < cells_; ++cell)
    truncate.operations.push_back(begin(RegisterOpKind::kWrite, client, file, cell, std::nullopt));
  cuts_.push_back({.file = file, .cells = cells, .called = world_.now(), .returned = {}});
  return truncate;
}

void FileHistory::end_truncate(const Truncate& truncate) {
  for (const std::size_t operation : truncate.operations) registers_.end_write(operation, world_.now());
  Cut& cut = cuts_[truncate.number];
  cut.returned = world_.now();
  extensions_.push_back({.file = cut.file,
                         .handle = 0,
                         .end = cut.cells,
                         .called = cut.called,
                         .acknowledged = cut.returned,
                         .settled = cut.returned});
}

FileHistory::Read FileHistory::begin_read(std::uint32_t client, std::uint64_t handle, Range range) {
  Read read{.range = range, .handle = handle, .called = world_.now(), .operations = {}};
  for (std::uint64_t i = 0; i < range.count; ++i)
    read.operations.push_back(begin(RegisterOpKind::kRead, client, range.file, range.first + i, std::nullopt));
  return read;
}

Result<> FileHistory::end_read(const Read& read, std::span<const std::byte> bytes) {
  const std::uint64_t whole = bytes.size() / kCellBytes;
  if (whole * kCellBytes != bytes.size())
    return fail(Errc::kCorrupt,
                fmt::format("file {}: a read of {} bytes at {} ended after {}: the file was never so long",
                            read.range.file, read.range.bytes(), read.range.offset(), bytes.size()));
  for (std::uint64_t i = 0; i < read.operations.size(); ++i) {
    if (i >= whole) {
      registers_.drop(read.operations[i]);
      continue;
    }
    FF_TRY_ASSIGN(auto value, stamp_of(bytes.subspan(i * kCellBytes, kCellBytes), read.range.file,
                                       read.range.offset() + i * kCellBytes));
    registers_.end_read(read.operations[i], std::move(value), world_.now());
  }
  if (whole == read.range.count) return {};
  return check_length(read, read.range.first + whole);
}

Result<> FileHistory::check_length(const Read& read, std::uint64_t got) const {
  for (const Extension& extension : extensions_) {
    if (extension.file != read.range.file || extension.end <= got) continue;
    const bool known =
        (extension.settled && *extension.settled <= read.called) ||
        (extension.handle == read.handle && extension.acknowledged && *extension.acknowledged <= read.called);
    if (!known) continue;
    const bool cut = std::ranges::any_of(cuts_, [&](const Cut& c) {
      return c.file == extension.file && c.cells <= got && (!c.returned || *c.returned >= extension.called);
    });
    if (cut) continue;
    return fail(
        Errc::kCorrupt,
        fmt::format("file {}: a read found its end at cell {}, and {} cells were {} [{}, {}] ns", extension.file, got,
                    extension.end, extension.settled ? "settled" : "acknowledged to that handle",
                    extension.called.time_since_epoch().count(),
                    extension.settled.value_or(*extension.acknowledged).time_since_epoch().count()));
  }
  return {};
}

Result<> FileHistory::check() const { return testing::check_linearizable(registers_.operations()); }

}  // namespace ff::sim
