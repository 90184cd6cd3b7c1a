// The functions of libnvidia-ml.so.1 that ffbench calls, for one GPU that does not exist.
#include <stdio.h>

#include "tests/support/fake_gpu/fault.h"

enum { kUnknownError = 999, kNotSupported = 3, kLinks = 4 };

struct Memory {
  unsigned long long total, free, used;
};
struct Pci {
  char bus_id_legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};

int nvmlInit_v2(void) { return fake_status("nvmlInit_v2", kUnknownError); }
int nvmlShutdown(void) { return 0; }
const char* nvmlErrorString(int status) { return status == 0 ? "Success" : "Unknown Error"; }

int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 1;
  return fake_status("nvmlDeviceGetCount_v2", kUnknownError);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  static int gpu;
  *device = &gpu;
  return index == 0 ? fake_status("nvmlDeviceGetHandleByIndex_v2", kUnknownError) : 2;
}

int nvmlDeviceGetName(void* device, char* name, unsigned length) {
  (void)device;
  snprintf(name, length, "Fake GPU");
  return 0;
}

int nvmlDeviceGetUUID(void* device, char* uuid, unsigned length) {
  (void)device;
  snprintf(uuid, length, "GPU-00000000-0000-0000-0000-000000000000");
  return 0;
}

int nvmlDeviceGetPciInfo_v3(void* device, struct Pci* pci) {
  (void)device;
  memset(pci, 0, sizeof *pci);
  snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:3B:00.0");
  return 0;
}

int nvmlDeviceGetMemoryInfo(void* device, struct Memory* memory) {
  (void)device;
  memory->total = memory->free = 160ull << 20;
  memory->used = 0;
  return 0;
}

int nvmlDeviceGetTotalEccErrors(void* device, int type, int counter, unsigned long long* count) {
  (void)device;
  (void)counter;
  *count = type == 1 ? (unsigned long long)fake_number("FAKE_GPU_ECC", 0) : 0;
  return 0;
}

static int answer(unsigned* out, unsigned value) {
  *out = value;
  return 0;
}
int nvmlDeviceGetCurrPcieLinkGeneration(void* device, unsigned* out) { return (void)device, answer(out, 4); }
int nvmlDeviceGetMaxPcieLinkGeneration(void* device, unsigned* out) { return (void)device, answer(out, 4); }
int nvmlDeviceGetCurrPcieLinkWidth(void* device, unsigned* out) {
  return (void)device, answer(out, (unsigned)fake_number("FAKE_GPU_PCIE_WIDTH", 16));
}
int nvmlDeviceGetMaxPcieLinkWidth(void* device, unsigned* out) { return (void)device, answer(out, 16); }
int nvmlDeviceGetClockInfo(void* device, int type, unsigned* out) {
  return (void)device, answer(out, type == 1 ? 1400 : 1215);
}
int nvmlDeviceGetMaxClockInfo(void* device, int type, unsigned* out) {
  return (void)device, answer(out, type == 1 ? 1410 : 1215);
}
int nvmlDeviceGetTemperature(void* device, int sensor, unsigned* out) {
  return (void)device, (void)sensor, answer(out, 40);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* reasons) {
  (void)device;
  *reasons = (unsigned long long)fake_number("FAKE_GPU_THROTTLE", 1);
  return 0;
}

int nvmlDeviceGetRetiredPages(void* device, int cause, unsigned* count, unsigned long long* addresses) {
  (void)device;
  (void)cause;
  (void)addresses;
  *count = 0;
  return kNotSupported;
}

int nvmlDeviceGetRemappedRows(void* device, unsigned* corrected, unsigned* uncorrected, unsigned* pending,
                              unsigned* failed) {
  (void)device;
  *corrected = *uncorrected = *pending = *failed = 0;
  return 0;
}

int nvmlDeviceGetNvLinkState(void* device, unsigned link, int* active) {
  (void)device;
  if (link >= kLinks) return kNotSupported;
  *active = fake_number("FAKE_GPU_NVLINK_DOWN", -1) != (long)link;
  return 0;
}

int nvmlDeviceGetNvLinkErrorCounter(void* device, unsigned link, int counter, unsigned long long* count) {
  (void)device;
  (void)link;
  (void)counter;
  *count = 0;
  return 0;
}
