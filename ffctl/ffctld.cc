// ffctld: the daemon that keeps a cluster's state. What it does is in ffctl/master.
#include "ffctl/master/ffctld.hpp"

int main(int argc, char** argv) { return ff::cli::run(ff::ctl::ffctld_app(), argc, argv); }
