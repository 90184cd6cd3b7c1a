#include "ffctl/cmd/commands.hpp"

#include "ffctl/cmd/sim.hpp"

namespace ff::ctl {

cli::App app() {
  cli::App app;
  app.root.name = "ffctl";
  app.root.summary = "Submit training jobs to a cluster that they share, watch and steer them, look after its nodes";
  app.root.description =
      "Which cluster: --master or FF_MASTER, else the local one. JOB is a number, a name, or last. What is shown goes "
      "to standard output, everything else to standard error.";
  app.root.examples = {{"ffctl up --local", "a cluster on this machine"},
                       {"ffctl submit -N 2 -p low -- python train.py", "queue a job on two nodes"},
                       {"ffctl ls", "what waits and runs"},
                       {"ffctl explain last", "why it does not run yet"},
                       {"ffctl logs -f last", "watch it"}};
  app.root.commands = {up_command(),      down_command(),    submit_command(),  run_command(),      import_command(),
                       plan_command(),    ls_command(),      show_command(),    wait_command(),     logs_command(),
                       stop_command(),    suspend_command(), resume_command(),  requeue_command(),  hold_command(),
                       release_command(), prio_command(),    explain_command(), describe_command(), events_command(),
                       history_command(), account_command(), queue_command(),   quota_command(),    share_command(),
                       ps_command(),      signal_command(),  top_command(),     node_command(),     status_command(),
                       doctor_command(),  host_command(),    sim_command()};
  return app;
}

}  // namespace ff::ctl
