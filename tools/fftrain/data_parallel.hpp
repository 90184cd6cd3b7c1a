// DataParallel: everything that a rank says to the others. The rest of the trainer knows a rank, a size, and memory
// into which gradients are written.
//
// A step   begin_step(), then gradient_ready() as backward completes tensors (a full bucket starts its all_reduce at
//          once), then finish_step(): every gradient is the sum over the ranks.
// Order    All ranks run the same model, so they start the same calls in the same order.
// Wire     kFloat32: gradients lie in the communicator's memory and are summed there. kBfloat16: they are rounded into
//          it when a bucket is complete, and widened back by finish_step(); half the bytes.
// Threads  One caller. The transfers run on the communicator's thread.
// Errors   As Communicator's; after one, only abort() and destruction make sense.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hfreduce/communicator.hpp"
#include "libcommon/base/aligned_buffer.hpp"
#include "tools/fftrain/buckets.hpp"

namespace ff::fftrain {

struct CommTimes {
  std::int64_t total_ns = 0;    // sum over the transfers of end - begin
  std::int64_t exposed_ns = 0;  // what the trainer had to wait after backward, waking up included
  // Share of the communication that ran behind computation, 0..1.
  double hidden() const noexcept;
};

struct StepTotals {
  double loss_sum = 0.0;  // over all ranks
  bool stop = false;      // some rank was asked to stop
  CommTimes times;
};

class DataParallel {
 public:
  // Collective. Allocates the buckets. `wire` is kFloat32 or kBfloat16. The communicator must outlive the result.
  static Result<std::unique_ptr<DataParallel>> create(hfreduce::Communicator& communicator,
                                                      const ParameterLayout& layout, std::uint64_t bucket_bytes,
                                                      hfreduce::DType wire);
  ~DataParallel();
  DataParallel(const DataParallel&) = delete;
  DataParallel& operator=(const DataParallel&) = delete;

  int rank() const noexcept { return communicator_.rank(); }
  int size() const noexcept { return communicator_.size(); }
  int buckets() const noexcept { return static_cast<int>(buckets_.size()); }

  // Where backward writes each tensor's gradient. Not to be touched between its gradient_ready() and finish_step().
  std::span<float* const> gradients() const noexcept { return gradients_; }

  void begin_step(double local_loss_sum, bool stop);
  // An error of a transfer that could not be started is kept for finish_step().
  void gradient_ready(int tensor);
  Result<StepTotals> finish_step();

  // Collective. kCorrupt with "`what` differ between ranks: `hint`" unless all ranks pass the same value.
  Result<> require_equal(std::uint64_t value, std::string_view what, std::string_view hint);
  // Collective. Rank 0's bytes arrive everywhere.
  Result<> broadcast(std::span<std::byte> bytes);
  // Collective.
  Result<> barrier() { return communicator_.barrier(); }
  // Ends the run on all ranks, which see `reason`.
  void abort(const std::string& reason) { communicator_.abort(reason); }

 private:
  struct Bucket {
    std::size_t count = 0;
    int tensors = 0;
    int missing = 0;             // tensors of this step that are not complete
    float* gradients = nullptr;  // count floats
    void* wire = nullptr;        // what travels: the gradients themselves, or count bfloat16
    hfreduce::Request request;
  };

  DataParallel(hfreduce::Communicator& communicator, hfreduce::DType wire) : communicator_(communicator), wire_(wire) {}
  Result<> allocate(const ParameterLayout& layout, std::uint64_t bucket_bytes);
  Result<void*> window(std::uint64_t bytes);
  Result<> all_reduce(void* data, std::size_t count, hfreduce::DType dtype, hfreduce::ReduceOp op,
                      hfreduce::Request* request = nullptr);
  void start(Result<> started);
  Result<> collect(hfreduce::Request& request, CommTimes& times);

  hfreduce::Communicator& communicator_;
  hfreduce::DType wire_;
  BucketPlan plan_;
  std::vector<void*> windows_;  // from the communicator, given back at the end
  AlignedBuffer local_;         // fp32 gradients when something narrower travels
  std::vector<Bucket> buckets_;
  std::vector<float*> gradients_;
  double* totals_ = nullptr;  // [loss sum, ranks asked to stop]
  hfreduce::Request totals_request_;
  std::optional<Error> start_error_;
  bool in_step_ = false;
};

}  // namespace ff::fftrain
