// The functions of libcuda.so.1 that ffbench calls, for one GPU whose memory is the host's.
#include <stddef.h>
#include <stdint.h>

#include "tests/support/fake_gpu/fault.h"

enum { kOutOfMemory = 2, kUnknownError = 999, kBlocksMax = 4096 };
static const size_t kMemoryBytes = (size_t)160 << 20;

static struct {
  uintptr_t address;
  size_t bytes;
} blocks[kBlocksMax];
static size_t used;
static uintptr_t first_block;  // the one that FAKE_GPU_STUCK means

int cuInit(unsigned flags) { return (void)flags, fake_status("cuInit", kUnknownError); }

int cuGetErrorString(int status, const char** words) {
  *words = status == kOutOfMemory ? "out of memory" : "unknown error";
  return 0;
}

int cuDeviceGetCount(int* count) {
  *count = 1;
  return fake_status("cuDeviceGetCount", kUnknownError);
}

int cuDeviceGet(int* device, int index) {
  *device = index;
  return index == 0 ? 0 : 101;
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
  static int only;
  (void)device;
  *context = &only;
  return 0;
}

int cuDevicePrimaryCtxRelease_v2(int device) { return (void)device, 0; }
int cuCtxSetCurrent(void* context) { return (void)context, 0; }
int cuCtxSynchronize(void) { return fake_status("cuCtxSynchronize", kUnknownError); }

int cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
  *total = kMemoryBytes;
  *free_bytes = kMemoryBytes - used;
  return 0;
}

int cuMemAlloc_v2(unsigned long long* block, size_t bytes) {
  if (used + bytes > kMemoryBytes) return kOutOfMemory;
  for (size_t i = 0; i < kBlocksMax; ++i) {
    if (blocks[i].address != 0) continue;
    blocks[i].address = (uintptr_t)malloc(bytes);
    blocks[i].bytes = bytes;
    used += bytes;
    if (first_block == 0) first_block = blocks[i].address;
    *block = blocks[i].address;
    return blocks[i].address == 0 ? kOutOfMemory : 0;
  }
  return kOutOfMemory;
}

int cuMemFree_v2(unsigned long long block) {
  for (size_t i = 0; i < kBlocksMax; ++i) {
    if (blocks[i].address != block) continue;
    if (first_block == block) first_block = 0;
    free((void*)blocks[i].address);
    used -= blocks[i].bytes;
    blocks[i].address = 0;
    return 0;
  }
  return 1;
}

int cuMemsetD32_v2(unsigned long long block, unsigned word, size_t words) {
  unsigned* out = (unsigned*)(uintptr_t)block;
  for (size_t i = 0; i < words; ++i) out[i] = word;
  return fake_status("cuMemsetD32_v2", kUnknownError);
}

int cuMemcpyHtoD_v2(unsigned long long block, const void* bytes, size_t count) {
  memcpy((void*)(uintptr_t)block, bytes, count);
  return 0;
}

int cuMemcpyDtoH_v2(void* bytes, unsigned long long block, size_t count) {
  memcpy(bytes, (const void*)(uintptr_t)block, count);
  const long offset = fake_number("FAKE_GPU_STUCK", -1);
  if (offset >= 0 && block == first_block && (size_t)offset < count) ((unsigned char*)bytes)[offset] |= 8;
  return fake_status("cuMemcpyDtoH_v2", kUnknownError);
}
