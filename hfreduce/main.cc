// hfreduce: the executable over libhfreduce. Its commands are in hfreduce/cmd.
#include "hfreduce/cmd/commands.hpp"

int main(int argc, char** argv) {
  return ff::cli::run(ff::hfreduce::cmd::app({argv + (argc > 0), argv + argc}), argc, argv);
}
