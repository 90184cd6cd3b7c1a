// What the commands under `ffbench storage` share: the rows of their documents, and their nested commands, a file each.
#pragma once

#include <string>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/measure/session.hpp"
#include "ffbench/storage/job.hpp"

namespace ff::bench {

cli::Command storage_fio_command(const Arguments& arguments);
cli::Command storage_verify_command(const Arguments& arguments);

// The metrics and latencies of one job: for each direction that its pattern has, and of its syncs. `prefix` goes before
// their names.
void add_storage_metrics(Row& row, const StorageJob& job, const std::string& prefix = {});
// The values for them. REQUIRES: as many calls, in the same order.
void add_storage_values(Reading& reading, const StorageJob& job, const StorageReading& got);
// kTimeout or the reading's own error when nothing was done at all.
Result<> check_storage_reading(const StorageReading& got);

// Direct I/O on this file takes blocks of these sizes and places. kInvalidArgument, kUnsupported.
Result<> check_direct(const std::string& path, std::uint64_t block_bytes, std::uint64_t offset);

}  // namespace ff::bench
