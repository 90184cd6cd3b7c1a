// The functions of the CUDA driver and of cuBLAS that the validator calls, declared as their C ABI has them.
// Source   CUDA driver API and cuBLAS references. Status 0 is success in both.
// Threads  One at a time; all calls of an object from the thread that opened it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ffbench/node/gpu.hpp"
#include "ffbench/node/shared_library.hpp"

namespace ff::bench {

class Cuda {
 public:
  using DevicePointer = unsigned long long;
  using Device = int;
  using Context = void*;

  static Result<Cuda> open(const std::string& folder);
  Result<int> count() const;

  // The primary context of a GPU, current until this goes.
  class Session {
   public:
    Session(Session&& other) noexcept : cuda_(other.cuda_), device_(other.device_) { other.cuda_ = nullptr; }
    Session& operator=(Session&&) = delete;
    ~Session();

   private:
    friend class Cuda;
    Session(const Cuda* cuda, Device device) : cuda_(cuda), device_(device) {}
    const Cuda* cuda_;
    Device device_;
  };
  // The session must not outlive *this.
  Result<Session> start(int index) const;

  // The rest REQUIRES a session.
  Result<std::size_t> free_memory() const;
  // 0: there is no block of that size.
  DevicePointer allocate(std::size_t bytes) const;
  void release(DevicePointer block) const;
  Result<> fill(DevicePointer block, std::uint32_t word, std::size_t words) const;
  Result<> copy_in(DevicePointer block, std::span<const std::byte> bytes) const;
  Result<> copy_out(std::span<std::byte> bytes, DevicePointer block) const;
  Result<> synchronize() const;

 private:
  struct Functions {
    int (*init)(unsigned);
    int (*error_string)(int, const char**);
    int (*count)(int*);
    int (*device)(Device*, int);
    int (*retain)(Context*, Device);
    int (*release_context)(Device);
    int (*set_current)(Context);
    int (*memory_info)(std::size_t*, std::size_t*);
    int (*allocate)(DevicePointer*, std::size_t);
    int (*free)(DevicePointer);
    int (*fill)(DevicePointer, unsigned, std::size_t);
    int (*copy_in)(DevicePointer, const void*, std::size_t);
    int (*copy_out)(void*, DevicePointer, std::size_t);
    int (*synchronize)();
  };
  Cuda(SharedLibrary library, const Functions& functions) : library_(std::move(library)), functions_(functions) {}
  static Result<> load(const SharedLibrary& library, Functions& functions);
  Result<> check(int status, const char* call) const;

  SharedLibrary library_;
  Functions functions_{};
};

// Blocks that together hold a share of a GPU's free memory, up to a limit.
class GpuBlocks {
 public:
  // Blocks of `block_bytes`, fewer when the GPU gives no more. kExhausted: not even one.
  static Result<GpuBlocks> fill(const Cuda& cuda, double share, std::size_t block_bytes, std::uint64_t bytes_max);
  GpuBlocks(GpuBlocks&&) noexcept = default;
  GpuBlocks& operator=(GpuBlocks&&) = delete;
  ~GpuBlocks();

  const std::vector<Cuda::DevicePointer>& blocks() const noexcept { return blocks_; }
  std::size_t block_bytes() const noexcept { return block_bytes_; }
  std::uint64_t bytes() const noexcept { return blocks_.size() * block_bytes_; }

 private:
  GpuBlocks(const Cuda& cuda, std::size_t block_bytes) : cuda_(&cuda), block_bytes_(block_bytes) {}
  const Cuda* cuda_;
  std::size_t block_bytes_;
  std::vector<Cuda::DevicePointer> blocks_;
};

class Cublas {
 public:
  static Result<Cublas> open(const std::string& folder);
  Cublas(Cublas&& other) noexcept;
  Cublas& operator=(Cublas&&) = delete;
  ~Cublas();

  // c = a * b, square, column-major fp32 in GPU memory. Does not wait for the GPU.
  Result<> multiply(int order, Cuda::DevicePointer a, Cuda::DevicePointer b, Cuda::DevicePointer c) const;

 private:
  using Handle = void*;
  struct Functions {
    int (*create)(Handle*);
    int (*destroy)(Handle);
    int (*sgemm)(Handle, int, int, int, int, int, const float*, const float*, int, const float*, int, const float*,
                 float*, int);
  };
  Cublas(SharedLibrary library, const Functions& functions, Handle handle)
      : library_(std::move(library)), functions_(functions), handle_(handle) {}

  SharedLibrary library_;
  Functions functions_{};
  Handle handle_ = nullptr;
};

}  // namespace ff::bench
