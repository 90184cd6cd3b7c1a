// What a disk may hold after a power cut. Pure: no Env, no simulation; the simulated disk draws one of the legal
// outcomes, CrashImages walks through all of them (up to a bound), so that a recovery procedure can be tried on each.
//
// Model      Data is written to the medium by sectors, atomically each. What was written since the file's last sync
//            may have reached the medium in any order: each sector holds, independently, what it held at the sync or
//            after any one of the writes since (a cache keeps the newest version, so versions are cumulative: never
//            the second write's bytes without the first's within one sector). The file's size is any of those that it
//            had since the sync; a sector inside that size that was not written reads as before, or zeros.
//            Names are not in here: the files of the images exist.
// Source     Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014; the sector model of TigerBeetle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "libcommon/base/rng.hpp"
#include "libcommon/testing/sparse_bytes.hpp"

namespace ff::testing {

struct DiskOp {
  enum class Kind : std::uint8_t {
    kWrite,     // `data` at `offset`
    kZero,      // `bytes` zeros at `offset` (a hole)
    kAllocate,  // grows the file to offset + bytes if that is more
    kTruncate,  // the file's size becomes `bytes`
    kSync,      // the oldest `bytes` unsynced operations of this file are durable; 0: all of them
  };
  Kind kind = Kind::kWrite;
  std::uint32_t file = 0;  // index of the file
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  // of kWrite: data.size(); of kSync: a count
  std::vector<std::byte> data;
};

// Does to `content` what the operation does without a crash.
void apply_op(SparseBytes& content, const DiskOp& op);

// How many of the operations that touch a sector (or that touch the size: sector is kSizeChoice) have reached the
// medium: 0..versions.
inline constexpr std::uint64_t kSizeChoice = ~std::uint64_t{0};
using ChooseVersion = std::function<std::uint64_t(std::uint64_t sector, std::uint64_t versions)>;

// `durable` after a power cut, `unsynced` being what was done since its last sync, in order, without kSync. All of one
// file. `choose` is called once a dirty sector, ascending, and then once for the size if that changed.
void resolve_crash(SparseBytes& durable, std::span<const DiskOp* const> unsynced, std::uint32_t sector_bytes,
                   const ChooseVersion& choose);

struct CrashImageOptions {
  std::uint32_t sector_bytes = 512;
  std::uint64_t images_max = 100'000;      // in all
  std::uint64_t images_per_point = 4'096;  // beyond it: the extremes, then a seeded sample
  std::uint64_t seed = 1;                  // of that sample
};

struct CrashImage {
  std::size_t operations = 0;      // the cut came after this many of the recorded operations had been issued
  std::vector<SparseBytes> files;  // by index
};

struct CrashImageCount {
  std::uint64_t images = 0;  // visited; images that equal an earlier one of the same point are not visited again
  bool exhaustive = true;    // false when a bound cut it short
};

// Visits images for a cut before the first operation, and after each one, in a fixed order. At one point: everything
// lost, everything kept, each sector alone kept, each alone lost, then all combinations. `visit` returns false to stop.
CrashImageCount for_each_crash_image(std::span<const SparseBytes> initial, std::span<const DiskOp> operations,
                                     const CrashImageOptions& options,
                                     const std::function<bool(const CrashImage&)>& visit);

}  // namespace ff::testing
