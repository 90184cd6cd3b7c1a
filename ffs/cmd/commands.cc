#include "ffs/cmd/commands.hpp"

namespace ff::ffs {

cli::App app() {
  cli::App app;
  app.root.name = "ffs";
  app.root.summary = "A distributed file system for training: bring it up, use it, look after it";
  app.root.description =
      "Which file system: --cluster FILE or FF_CLUSTER, else the user's or the machine's cluster.yaml. Paths are "
      "absolute. What is "
      "shown goes to standard output, everything else to standard error.";
  app.root.examples = {
      {"ffs format --local /tmp/demo", "a file system with three copies of everything on this machine"},
      {"ffs serve /tmp/demo", "run it"},
      {"export FF_CLUSTER=/tmp/demo", "let the other commands find it"},
      {"ffs put train.bin /", "store a file"}};
  app.root.commands = {format_command(),   serve_command(), key_command(),    ls_command(),    tree_command(),
                       du_command(),       find_command(),  stat_command(),   df_command(),    put_command(),
                       get_command(),      cat_command(),   cp_command(),     mkdir_command(), rm_command(),
                       mv_command(),       ln_command(),    chmod_command(),  chown_command(), touch_command(),
                       truncate_command(), flag_command(),  layout_command(), quota_command(), status_command(),
                       top_command(),      node_command(),  target_command(), chain_command(), user_command()};
  return app;
}

}  // namespace ff::ffs
