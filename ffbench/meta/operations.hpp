// The single operations of the metadata phases: one or few system calls each, errors with the operation and the path.
// Threads  Any.
#pragma once

#include <cstdint>
#include <string>

#include "libcommon/base/result.hpp"

namespace ff::bench {

Result<> make_folder(const std::string& path);
// Creates it anew (O_EXCL), writes `bytes` zeros, fsyncs if asked, closes.
Result<> create_file(const std::string& path, std::uint64_t bytes, bool sync);
Result<> stat_file(const std::string& path, std::uint64_t bytes_expected);
// Opens, reads to the end into `scratch`, closes. kCorrupt when the length is another.
Result<> read_whole(const std::string& path, std::uint64_t bytes_expected, std::string& scratch);
// kCorrupt when it has fewer than `least` entries.
Result<> list_folder(const std::string& path, std::int64_t least);
Result<> rename_file(const std::string& from, const std::string& to);
Result<> remove_file(const std::string& path);
Result<> remove_folder(const std::string& path);

}  // namespace ff::bench
