// What the commands under `ffbench storage` share: the rows of their documents, and their nested commands, a file each.
#pragma once

#include <optional>
#include <string>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/measure/session.hpp"
#include "ffbench/storage/job.hpp"

namespace ff::bench {

cli::Command storage_fio_command(const Arguments& arguments);
cli::Command storage_ffs_command(const Arguments& arguments);
cli::Command storage_verify_command(const Arguments& arguments);

// "randread bs=4KiB qd=16 jobs=1".
std::string storage_row_name(const StorageJob& job, std::int64_t jobs);
// How a job runs, for the parameters of its row.
struct StorageRun {
  std::int64_t jobs = 1;
  std::string engine;
  std::optional<bool> direct = true;  // nothing: there is no page cache between
};
// The parameters of one job, and its metrics and latencies: for each direction that its pattern has, and of its syncs.
// `prefix` goes before their names.
void add_storage_job(Row& row, const StorageJob& job, const StorageRun& run, const std::string& prefix = {});
// The values for them, and in reading.error what is missing: why the job ended early, else which kind of operation
// never ended (its latencies then have no value). REQUIRES: as many calls, in the same order.
void add_storage_values(Reading& reading, const StorageJob& job, const StorageReading& got,
                        const std::string& prefix = {});
// kTimeout or the reading's own error when nothing was done at all.
Result<> check_storage_reading(const StorageReading& got);

// Direct I/O on this file takes blocks of these sizes and places. kInvalidArgument, kUnsupported.
Result<> check_direct(const std::string& path, std::uint64_t block_bytes, std::uint64_t offset);

}  // namespace ff::bench
