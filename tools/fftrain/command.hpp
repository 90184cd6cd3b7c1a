// The command line of fftrain: options, their checks, and the run. See man/fftrain.1.scd.
#pragma once

namespace ff::fftrain {

int run_command(int argc, char** argv);

}  // namespace ff::fftrain
