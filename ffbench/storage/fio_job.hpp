// fio job files, as far as ffbench understands them: what is in the table means here what it means to fio(1); every
// other key is refused with its line, so that no file is run as something else than it says. Pure: text in, jobs out.
//
// Format   [global] sets defaults of the jobs after it, every other [section] is a job; "key=value" or a bare "key",
// which
//          means 1; lines that begin with ; or # are comments. Numbers may end in k, m, g or t (powers of 1024), times
//          in us, ms, s, m, h, d (default s).
//
//   rw, readwrite        read write randread randwrite rw readwrite randrw      (default read)
//   bs, blocksize        one size for both directions                           (4k)
//   size                 bytes that each job works on; io_size is not read      (the file's or device's)
//   offset               begin of the region                                    (0)
//   filename             one file or device, within `directory` if relative; all clones share it
//   directory            where each clone makes JOB.CLONE.0 if no filename is given
//   ioengine             io_uring, libaio: asynchronous; psync, sync: blocking, which takes iodepth 1   (psync)
//   iodepth              operations in flight                                   (1)
//   numjobs              clones of the job, a thread each                       (1)
//   direct, buffered     0 or 1                                                 (buffered)
//   runtime              time of a round; without time_based a job also ends after `loops` times size
//   time_based           go on until runtime is over
//   ramp_time            uncounted time before the first round
//   loops                times over the region                                  (1)
//   rwmixread, rwmixwrite    percent, of rw and randrw                          (50)
//   rate, rate_iops      of each clone: bytes, operations a second; the latency of an operation counts from the moment
//   it
//                        was to begin
//   fsync, fdatasync     sync (data) after so many writes                       (0: never)
//   random_distribution  random, zipf:THETA; norandommap: offsets may repeat
//   randseed             of offsets and data                                    (1)
//   stonewall, wait_for_previous    this job begins when those before it have ended; others run at the same time
//   invalidate           empty the page cache of the file before a buffered job (1)
//   group_reporting, thread, name, description, randrepeat, refill_buffers: read and of no effect: clones are always
//   threads, reported together, with seeded offsets and data that cannot be compressed
//
// Threads  Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ffbench/storage/job.hpp"
#include "ffbench/storage/run.hpp"

namespace ff::bench {

inline constexpr std::size_t kFioFileBytesMax = 1 << 20;

struct FioJob {
  std::string name;
  std::size_t line = 0;  // of its section, from 1
  StorageJob job;        // size 0: all there is; operations_max is not set, see `loops`
  std::string filename, directory;
  Engine engine = Engine::kPsync;
  bool direct = false;
  bool invalidate = true;
  bool stonewall = false;
  bool time_based = false;
  std::uint32_t clones = 1;
  std::uint64_t loops = 1;
  std::chrono::nanoseconds runtime{0}, ramp_time{0};
};

// kInvalidArgument: "NAME:LINE: ..."; names the keys that are understood where one is not.
Result<std::vector<FioJob>> parse_fio(std::string_view text, const std::string& name);

// Runs of jobs that begin together: each starts at a job with stonewall, or at the first one.
std::vector<std::span<const FioJob>> fio_groups(std::span<const FioJob> jobs);

// All keys of the table, sorted.
std::span<const std::string_view> fio_keys() noexcept;

}  // namespace ff::bench
