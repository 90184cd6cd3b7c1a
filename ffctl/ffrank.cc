// ffrank: started by ffnoded beside each rank; nobody calls it.
#include <cstdio>

#include "ffctl/rank/run_rank.hpp"

int main(int argc, char** argv) {
  if (argc == 3) return ff::ctl::run_rank(argv[1], argv[2]);
  std::fputs("ffrank: is started by ffnoded (see ffnoded(8))\n", stderr);
  return 2;
}
