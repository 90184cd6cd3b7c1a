// Driver of an MPI library: MPI_Allreduce of MPI_FLOAT with MPI_SUM, as its defaults choose. Compiled once a library.
// The 16-bit types are no MPI types (MPICH's optional one aborts in Debian's build), so they are unsupported here.
#include <mpi.h>
#include <sys/prctl.h>

#include <csignal>
#include <cstdio>

#include "tests/peers/driver.hpp"

namespace {

using namespace ff::peers;

class Mpi final : public Library {
 public:
  Mpi() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Call prepare(const Case& one, const void* in, void* out) override {
    if (one.element != Element::kFloat) return {};
    return [in, out, count = static_cast<int>(one.count())] {
      return MPI_Allreduce(in, out, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD) == MPI_SUCCESS;
    };
  }

 private:
  int rank_ = 0;
  int size_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  // mpirun may be killed while the library is stuck; its ranks must not stay behind.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  MPI_Init(&argc, &argv);
  const DriverOptions options = parse_driver_options(argc, argv);
  Mpi mpi;
  Meeting meeting(options.meet, mpi.size());
  const int status = run_driver(mpi, options, meeting);
  if (status != 0) MPI_Abort(MPI_COMM_WORLD, status);
  MPI_Finalize();
  return 0;
}
