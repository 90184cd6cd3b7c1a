// The commands of ffs, one file for each family in this folder; commands.cc puts them into one tree.
#pragma once

#include <vector>

#include "libcommon/cli/app.hpp"

namespace ff::ffs {

// Bring-up.
cli::Command format_command();
cli::Command serve_command();
cli::Command key_command();
// Files.
cli::Command ls_command();
cli::Command tree_command();
cli::Command du_command();
cli::Command find_command();
cli::Command stat_command();
cli::Command df_command();
cli::Command put_command();
cli::Command get_command();
cli::Command cat_command();
cli::Command cp_command();
cli::Command mkdir_command();
cli::Command rm_command();
cli::Command mv_command();
cli::Command ln_command();
cli::Command chmod_command();
cli::Command chown_command();
cli::Command touch_command();
cli::Command truncate_command();
cli::Command flag_command();
cli::Command layout_command();
cli::Command quota_command();
// Administration.
cli::Command status_command();
cli::Command top_command();
cli::Command node_command();
cli::Command target_command();
cli::Command chain_command();
cli::Command user_command();

cli::App app();

}  // namespace ff::ffs
