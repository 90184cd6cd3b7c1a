// fftrain: see command.cc.
#include "tools/fftrain/command.hpp"

int main(int argc, char** argv) { return ff::fftrain::run_command(argc, argv); }
