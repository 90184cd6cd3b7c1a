#include "ffbench/node/checks.hpp"

namespace ff::bench {

const std::vector<Check>& all_checks() {
  using std::chrono::hours, std::chrono::minutes, std::chrono::seconds;
  static const std::vector<Check> kChecks{
      {"frequency", "governor, clock under load, throttling", seconds(5), seconds(20), check_frequency},
      {"link", "state, speed, duplex and errors of network links", seconds(5), seconds(5), check_link},
      {"pcie", "width and speed of PCIe links of NICs, disks and GPUs", seconds(5), seconds(5), check_pcie},
      {"clock", "time source and synchronisation", seconds(5), seconds(5), check_clock},
      {"kernel_log", "faults that the kernel reported of late", seconds(10), seconds(30), check_kernel_log},
      {"memory_ecc", "counts of corrected and uncorrected errors of main memory", seconds(5), seconds(5),
       check_memory_ecc},
      {"disk", "state and errors of block devices", seconds(5), seconds(5), check_disk},
      {"space", "free space and inodes of the folder and the root", seconds(5), seconds(5), check_space},
      {"limits", "locked memory, open files, shared memory", seconds(5), seconds(5), check_limits},
      {"cpu_gemm", "matrix products with known answers on all processors", seconds(20), minutes(3), check_cpu_gemm},
      {"memory_bandwidth", "STREAM copy and triad of all processors", seconds(20), minutes(2), check_memory_bandwidth},
      {"memory_latency", "dependent loads from main memory", seconds(15), minutes(1), check_memory_latency},
      {"memory_test", "every byte of a share of memory with patterns", seconds(30), hours(2), check_memory_test},
      {"gpu", "state, links, clocks and error counters of GPUs", seconds(20), minutes(1), check_gpu_state},
      {"gpu_memory", "bytes of GPU memory with patterns", minutes(1), hours(2), check_gpu_memory},
      {"gpu_gemm", "matrix products with known answers, GPU memory full", minutes(1), minutes(30), check_gpu_gemm},
      {"allreduce", "allreduce between ranks of this node, checked", seconds(25), minutes(3), check_allreduce},
      {"storage", "bandwidth, latency and truth of the storage under the folder", seconds(20), minutes(5),
       check_storage},
      {"loopback", "TCP over the loopback interface", seconds(10), seconds(30), check_loopback},
  };
  return kChecks;
}

}  // namespace ff::bench
