// The functions of NVML that the validator calls, declared as its C ABI has them (libnvidia-ml.so.1).
// Source   NVIDIA Management Library, API reference. The numbers are part of the ABI.
// Threads  One at a time.
#pragma once

#include <vector>

#include "ffbench/node/gpu.hpp"
#include "ffbench/node/shared_library.hpp"

namespace ff::bench {

class Nvml {
 public:
  // Loads and initialises. kUnsupported: not installed; kIo: it says no (no driver, no permission).
  static Result<Nvml> open(const std::string& folder);
  Nvml(Nvml&& other) noexcept;
  Nvml& operator=(Nvml&&) = delete;
  ~Nvml();

  Result<std::vector<GpuState>> states() const;

 private:
  using Device = void*;
  struct Memory {
    unsigned long long total, free, used;
  };
  struct Pci {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
  };
  struct Functions {
    int (*init)();
    int (*shutdown)();
    const char* (*error_string)(int);
    int (*count)(unsigned*);
    int (*handle)(unsigned, Device*);
    int (*name)(Device, char*, unsigned);
    int (*uuid)(Device, char*, unsigned);
    int (*pci)(Device, Pci*);
    int (*memory)(Device, Memory*);
    int (*ecc)(Device, int type, int counter, unsigned long long*);
    int (*pcie_generation)(Device, unsigned*);
    int (*pcie_generation_max)(Device, unsigned*);
    int (*pcie_width)(Device, unsigned*);
    int (*pcie_width_max)(Device, unsigned*);
    int (*clock)(Device, int type, unsigned*);
    int (*clock_max)(Device, int type, unsigned*);
    int (*throttle)(Device, unsigned long long*);
    int (*temperature)(Device, int sensor, unsigned*);
    int (*retired_pages)(Device, int cause, unsigned*, unsigned long long*);
    int (*remapped_rows)(Device, unsigned*, unsigned*, unsigned*, unsigned*);
    int (*nvlink_state)(Device, unsigned link, int* active);
    int (*nvlink_errors)(Device, unsigned link, int counter, unsigned long long*);
  };

  Nvml(SharedLibrary library, const Functions& functions) : library_(std::move(library)), functions_(functions) {}
  static Result<> load(const SharedLibrary& library, Functions& functions);
  Result<> check(int status, const char* call) const;
  Result<GpuState> state_of(unsigned index) const;
  void read_counters(Device device, GpuState& state) const;
  void read_nvlinks(Device device, GpuState& state) const;

  SharedLibrary library_;
  Functions functions_{};
  bool open_ = true;
};

}  // namespace ff::bench
