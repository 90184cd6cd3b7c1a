// The commands of ffbench, one file each in this folder; commands.cc puts them into one tree.
#pragma once

#include <string>
#include <vector>

#include "libcommon/cli/app.hpp"

namespace ff::bench {

// The words after the program's name, for the document and for processes that repeat them.
using Arguments = std::vector<std::string>;

cli::Command net_command(const Arguments& arguments);
cli::Command storage_command(const Arguments& arguments);
cli::Command meta_command(const Arguments& arguments);
cli::Command mem_command(const Arguments& arguments);
cli::Command cpu_command(const Arguments& arguments);
cli::Command reduce_command(const Arguments& arguments);
cli::Command collective_command(const Arguments& arguments);
cli::Command node_command(const Arguments& arguments);
cli::Command xid_command(const Arguments& arguments);
cli::Command failures_command(const Arguments& arguments);
cli::Command compare_command(const Arguments& arguments);
cli::Command plot_command(const Arguments& arguments);
cli::Command report_command(const Arguments& arguments);

cli::App app(const Arguments& arguments);

}  // namespace ff::bench
