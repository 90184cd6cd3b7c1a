// ffbench: measurements that can be checked. Its commands are in ffbench/cmd.
#include "ffbench/cmd/commands.hpp"

int main(int argc, char** argv) { return ff::cli::run(ff::bench::app({argv + (argc > 0), argv + argc}), argc, argv); }
