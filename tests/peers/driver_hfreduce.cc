// Driver of libhfreduce. Variants: window (memory of alloc()) and ordinary. The transport comes from HFR_TRANSPORT.
#include <cstdio>
#include <cstdlib>

#include "hfreduce/communicator.hpp"
#include "tests/peers/driver.hpp"

namespace {

using namespace ff;
using namespace ff::peers;

class HfReduce final : public Library {
 public:
  explicit HfReduce(hfreduce::Communicator& communicator) : communicator_(communicator) {}
  int rank() const override { return communicator_.rank(); }
  int size() const override { return communicator_.size(); }

  Call prepare(const Case& one, const void* in, void* out) override {
    const auto dtype = one.element == Element::kFloat  ? hfreduce::DType::kFloat32
                       : one.element == Element::kHalf ? hfreduce::DType::kFloat16
                                                       : hfreduce::DType::kBfloat16;
    return [this, in, out, dtype, count = one.count()] {
      const auto done = communicator_.all_reduce(in, out, count, dtype, hfreduce::ReduceOp::kSum);
      if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
      return done.has_value();
    };
  }

  void* allocate(const std::string& variant, std::uint64_t bytes) override {
    if (variant != "window") return ordinary_memory(bytes);
    const auto memory = communicator_.alloc(bytes);
    if (memory) return *memory;
    std::fprintf(stderr, "%s\n", memory.error().message().c_str());
    std::exit(1);
  }

 private:
  hfreduce::Communicator& communicator_;
};

Result<int> run_rank(int rank, const DriverOptions& options) {
  Meeting meeting(options.meet, options.ranks);
  hfreduce::UniqueId id;
  if (rank == 0) {
    FF_TRY_ASSIGN(id, hfreduce::Communicator::create_id());
    meeting.publish(id.to_text());
  } else {
    FF_TRY_ASSIGN(id, hfreduce::UniqueId::from_text(meeting.await_text()));
  }
  FF_TRY_ASSIGN(const hfreduce::Config config, hfreduce::Config::from_environment());
  FF_TRY_ASSIGN(const auto communicator, hfreduce::Communicator::create(id, rank, options.ranks, config));
  HfReduce library(*communicator);
  const int status = run_driver(library, options, meeting);
  meeting.barrier();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const DriverOptions options = parse_driver_options(argc, argv);
  if (options.ranks < 1) {
    std::fprintf(stderr, "--ranks is needed\n");
    return 2;
  }
  return fork_ranks(options.ranks, [&](int rank) {
    const auto status = run_rank(rank, options);
    if (!status) std::fprintf(stderr, "rank %d: %s\n", rank, status.error().message().c_str());
    return status.value_or(1);
  });
}
