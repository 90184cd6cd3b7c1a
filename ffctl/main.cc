// ffctl: what people and their scripts call. Its commands are in ffctl/cmd.
#include "ffctl/cmd/commands.hpp"

int main(int argc, char** argv) { return ff::cli::run(ff::ctl::app(), argc, argv); }
