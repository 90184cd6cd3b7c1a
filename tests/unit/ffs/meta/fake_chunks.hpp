// FileChunks and SessionSource in memory: each file is one string with the epoch that it was last cut under.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "ffs/meta/file_chunks.hpp"
#include "ffs/meta/session_source.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ffs {

class FakeChunks final : public FileChunks {
 public:
  struct File {
    std::string data;
    std::uint64_t epoch = 0;
  };
  std::map<InodeId, File> files;
  int failures = 0;          // of the next calls
  std::set<InodeId> down;    // whose chain gives timeouts
  runtime::Duration slow{};  // each call takes this long before it does anything, and again after
  int calls = 0;

  // A client's write; false: stale.
  bool write(InodeId inode, std::uint64_t offset, const std::string& data, std::uint64_t epoch) {
    File& file = files[inode];
    if (epoch < file.epoch) return false;
    if (file.data.size() < offset + data.size()) file.data.resize(offset + data.size());
    file.data.replace(offset, data.size(), data);
    return true;
  }

  runtime::Task<Result<>> cut(InodeId inode, Layout, std::uint64_t size, std::uint64_t epoch) override {
    FF_CO_TRY(co_await before());
    File& file = files[inode];
    if (epoch > file.epoch) {
      file.data.resize(std::min<std::uint64_t>(file.data.size(), size));
      file.epoch = epoch;
    }
    co_return co_await after();
  }
  runtime::Task<Result<>> remove_all(InodeId inode, Layout, std::uint64_t) override {
    if (down.contains(inode)) co_return fail(Errc::kTimeout, "chunks: out of time");
    FF_CO_TRY(co_await before());
    files.erase(inode);
    co_return co_await after();
  }
  runtime::Task<Result<std::uint64_t>> length(InodeId inode, Layout) override {
    FF_CO_TRY(co_await before());
    const auto at = files.find(inode);
    co_return at == files.end() ? 0 : at->second.data.size();
  }
  runtime::Task<Result<>> store(InodeId inode, Layout, std::uint64_t epoch, std::string data) override {
    FF_CO_TRY(co_await before());
    write(inode, 0, data, epoch);
    co_return co_await after();
  }

 private:
  runtime::Task<Result<>> before() {
    ++calls;
    if (failures > 0) {
      --failures;
      co_return fail(Errc::kUnavailable, "chunks: told to fail");
    }
    co_return co_await after();
  }
  runtime::Task<Result<>> after() {
    if (slow > runtime::Duration::zero()) FF_CO_TRY(co_await runtime::sleep(slow));
    co_return {};
  }
};

class FakeSessions final : public SessionSource {
 public:
  std::set<std::uint64_t> live;
  bool settling = false;
  runtime::Task<Result<std::set<std::uint64_t>>> live_clients() override {
    if (settling) co_return fail(Errc::kUnavailable, "manager: settling");
    co_return live;
  }
};

}  // namespace ff::ffs
