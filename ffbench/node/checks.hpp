// The checks of the node validator, in the order in which they run: what costs nothing first.
//
// Source   Fire-Flyer AI-HPC paper, validator: 1 frequency, link speed and state; 2 processor stress and memory
//          bandwidth; 3 GPU memory, every byte; 4 matrix products with GPU memory full; 5 allreduce within the node;
//          6 storage bandwidth stress.
// Threads  Each check may use as many as it likes; one check runs at a time.
#pragma once

#include <vector>

#include "ffbench/node/check.hpp"

namespace ff::bench {

const std::vector<Check>& all_checks();

// facts of the system
Findings check_frequency(const NodeContext& context);
Findings check_link(const NodeContext& context);
Findings check_pcie(const NodeContext& context);
Findings check_clock(const NodeContext& context);
Findings check_kernel_log(const NodeContext& context);
Findings check_memory_ecc(const NodeContext& context);
Findings check_disk(const NodeContext& context);
Findings check_space(const NodeContext& context);
Findings check_limits(const NodeContext& context);
// load
Findings check_cpu_gemm(const NodeContext& context);
Findings check_memory_bandwidth(const NodeContext& context);
Findings check_memory_latency(const NodeContext& context);
Findings check_memory_test(const NodeContext& context);
Findings check_allreduce(const NodeContext& context);
Findings check_storage(const NodeContext& context);
Findings check_loopback(const NodeContext& context);
// GPUs
Findings check_gpu_state(const NodeContext& context);
Findings check_gpu_memory(const NodeContext& context);
Findings check_gpu_gemm(const NodeContext& context);

}  // namespace ff::bench
