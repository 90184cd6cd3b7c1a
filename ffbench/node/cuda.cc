#include "ffbench/node/cuda.hpp"

#include <algorithm>

namespace ff::bench {

Result<> Cuda::load(const SharedLibrary& library, Functions& f) {
  FF_TRY(library.find(f.init, "cuInit"));
  FF_TRY(library.find(f.error_string, "cuGetErrorString"));
  FF_TRY(library.find(f.count, "cuDeviceGetCount"));
  FF_TRY(library.find(f.device, "cuDeviceGet"));
  FF_TRY(library.find(f.retain, "cuDevicePrimaryCtxRetain"));
  FF_TRY(library.find(f.release_context, "cuDevicePrimaryCtxRelease_v2"));
  FF_TRY(library.find(f.set_current, "cuCtxSetCurrent"));
  FF_TRY(library.find(f.memory_info, "cuMemGetInfo_v2"));
  FF_TRY(library.find(f.allocate, "cuMemAlloc_v2"));
  FF_TRY(library.find(f.free, "cuMemFree_v2"));
  FF_TRY(library.find(f.fill, "cuMemsetD32_v2"));
  FF_TRY(library.find(f.copy_in, "cuMemcpyHtoD_v2"));
  FF_TRY(library.find(f.copy_out, "cuMemcpyDtoH_v2"));
  return library.find(f.synchronize, "cuCtxSynchronize");
}

Result<> Cuda::check(int status, const char* call) const {
  if (status == 0) return {};
  const char* words = nullptr;
  functions_.error_string(status, &words);
  return fail(Errc::kIo, std::string(call) + ": " + (words == nullptr ? "unknown error" : words) + " (" +
                             std::to_string(status) + ")");
}

Result<Cuda> Cuda::open(const std::string& folder) {
  FF_TRY_ASSIGN(SharedLibrary library, SharedLibrary::open(folder, {"libcuda.so.1"}));
  Functions functions{};
  FF_TRY(load(library, functions));
  Cuda cuda(std::move(library), functions);
  FF_TRY(cuda.check(functions.init(0), "cuInit"));
  return cuda;
}

Result<int> Cuda::count() const {
  int count = 0;
  FF_TRY(check(functions_.count(&count), "cuDeviceGetCount"));
  return count;
}

Result<Cuda::Session> Cuda::start(int index) const {
  Device device = 0;
  FF_TRY(check(functions_.device(&device, index), "cuDeviceGet"));
  Context context = nullptr;
  FF_TRY(check(functions_.retain(&context, device), "cuDevicePrimaryCtxRetain"));
  Session session(this, device);
  FF_TRY(check(functions_.set_current(context), "cuCtxSetCurrent"));
  return session;
}

Cuda::Session::~Session() {
  if (cuda_ == nullptr) return;
  cuda_->functions_.set_current(nullptr);
  cuda_->functions_.release_context(device_);
}

Result<std::size_t> Cuda::free_memory() const {
  std::size_t free = 0, total = 0;
  FF_TRY(check(functions_.memory_info(&free, &total), "cuMemGetInfo"));
  return free;
}

Cuda::DevicePointer Cuda::allocate(std::size_t bytes) const {
  DevicePointer block = 0;
  return functions_.allocate(&block, bytes) == 0 ? block : 0;
}

void Cuda::release(DevicePointer block) const { functions_.free(block); }

Result<> Cuda::fill(DevicePointer block, std::uint32_t word, std::size_t words) const {
  return check(functions_.fill(block, word, words), "cuMemsetD32");
}

Result<> Cuda::copy_in(DevicePointer block, std::span<const std::byte> bytes) const {
  return check(functions_.copy_in(block, bytes.data(), bytes.size()), "cuMemcpyHtoD");
}

Result<> Cuda::copy_out(std::span<std::byte> bytes, DevicePointer block) const {
  return check(functions_.copy_out(bytes.data(), block, bytes.size()), "cuMemcpyDtoH");
}

Result<> Cuda::synchronize() const { return check(functions_.synchronize(), "cuCtxSynchronize"); }

Result<GpuBlocks> GpuBlocks::fill(const Cuda& cuda, double share, std::size_t block_bytes, std::uint64_t bytes_max) {
  FF_TRY_ASSIGN(const std::size_t free, cuda.free_memory());
  const auto of_free = static_cast<std::uint64_t>(static_cast<double>(free) * std::clamp(share, 0.0, 1.0));
  const std::uint64_t wanted = std::min(of_free, bytes_max) / block_bytes;
  GpuBlocks blocks(cuda, block_bytes);
  for (std::uint64_t i = 0; i < wanted; ++i) {
    const Cuda::DevicePointer block = cuda.allocate(block_bytes);
    if (block == 0) break;
    blocks.blocks_.push_back(block);
  }
  if (blocks.blocks_.empty())
    return fail(Errc::kExhausted,
                "GPU memory: there is no free block of " + std::to_string(block_bytes) + " bytes (is the GPU in use?)");
  return blocks;
}

GpuBlocks::~GpuBlocks() {
  for (const Cuda::DevicePointer block : blocks_) cuda_->release(block);
}

Result<Cublas> Cublas::open(const std::string& folder) {
  FF_TRY_ASSIGN(SharedLibrary library, SharedLibrary::open(folder, {"libcublas.so.13", "libcublas.so.12"}));
  Functions f{};
  FF_TRY(library.find(f.create, "cublasCreate_v2"));
  FF_TRY(library.find(f.destroy, "cublasDestroy_v2"));
  FF_TRY(library.find(f.sgemm, "cublasSgemm_v2"));
  Handle handle = nullptr;
  if (const int status = f.create(&handle); status != 0)
    return fail(Errc::kIo, "cublasCreate: status " + std::to_string(status));
  return Cublas(std::move(library), f, handle);
}

Cublas::Cublas(Cublas&& other) noexcept
    : library_(std::move(other.library_)),
      functions_(other.functions_),
      handle_(std::exchange(other.handle_, nullptr)) {}

Cublas::~Cublas() {
  if (handle_ != nullptr) functions_.destroy(handle_);
}

Result<> Cublas::multiply(int order, Cuda::DevicePointer a, Cuda::DevicePointer b, Cuda::DevicePointer c) const {
  constexpr int kAsItIs = 0;  // CUBLAS_OP_N
  constexpr float kOne = 1, kZero = 0;
  const auto pointer = [](Cuda::DevicePointer address) { return reinterpret_cast<float*>(address); };
  const int status = functions_.sgemm(handle_, kAsItIs, kAsItIs, order, order, order, &kOne, pointer(a), order,
                                      pointer(b), order, &kZero, pointer(c), order);
  if (status != 0) return fail(Errc::kIo, "cublasSgemm: status " + std::to_string(status));
  return {};
}

}  // namespace ff::bench
