// The commands of ffctl, one function each.
#pragma once

#include "libcommon/cli/app.hpp"

namespace ff::ctl {

cli::App app();

cli::Command submit_command();
cli::Command run_command();
cli::Command import_command();
cli::Command ls_command();
cli::Command show_command();
cli::Command wait_command();
cli::Command logs_command();
cli::Command stop_command();
cli::Command suspend_command();
cli::Command resume_command();
cli::Command requeue_command();
cli::Command hold_command();
cli::Command release_command();
cli::Command prio_command();
cli::Command explain_command();
cli::Command describe_command();
cli::Command plan_command();
cli::Command queue_command();
cli::Command quota_command();
cli::Command share_command();
cli::Command ps_command();
cli::Command signal_command();
cli::Command history_command();
cli::Command account_command();
cli::Command events_command();
cli::Command top_command();
cli::Command node_command();
cli::Command node_tree_command();
cli::Command status_command();
cli::Command up_command();
cli::Command down_command();
cli::Command doctor_command();
cli::Command host_command();

}  // namespace ff::ctl
