// ffnoded: the agent of a node; see ffctl/node.
#include "ffctl/node/command.hpp"

int main(int argc, char** argv) { return ff::ctl::run_ffnoded(argc, argv); }
