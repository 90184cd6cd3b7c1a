// ffs: the file system's one executable. Its commands are in ffs/cmd.
#include "ffs/cmd/commands.hpp"

int main(int argc, char** argv) { return ff::cli::run(ff::ffs::app(), argc, argv); }
