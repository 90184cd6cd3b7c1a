// Driver of Gloo over TCP. Variants: ring and bcube, the algorithms of gloo::allreduce (ring is what torch.distributed
// runs); halving_doubling, the older class, which works in place, so that the copy that precedes it is part of it.
#include <gloo/allreduce.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <exception>

#include "tests/peers/driver.hpp"

namespace {

using namespace ff::peers;

class Gloo final : public Library {
 public:
  explicit Gloo(std::shared_ptr<gloo::rendezvous::Context> context) : context_(std::move(context)) {}
  int rank() const override { return context_->rank; }
  int size() const override { return context_->size; }

  Call prepare(const Case& one, const void* in, void* out) override {
    // Gloo asks for mutable inputs but does not write to them.
    void* input = const_cast<void*>(in);
    if (one.element == Element::kFloat) return prepare_as(one, static_cast<float*>(input), static_cast<float*>(out));
    if (one.element == Element::kHalf)
      return prepare_as(one, static_cast<gloo::float16*>(input), static_cast<gloo::float16*>(out));
    return {};
  }

 private:
  template <class T>
  Call prepare_as(const Case& one, T* in, T* out) {
    if (one.variant == "halving_doubling") {
      const auto algorithm = std::make_shared<gloo::AllreduceHalvingDoubling<T>>(context_, std::vector<T*>{out},
                                                                                 static_cast<int>(one.count()));
      return guarded([=, bytes = one.bytes] {
        std::memcpy(out, in, bytes);
        algorithm->run();
      });
    }
    const auto options = std::make_shared<gloo::AllreduceOptions>(context_);
    options->setAlgorithm(one.variant == "bcube" ? gloo::AllreduceOptions::Algorithm::BCUBE
                                                 : gloo::AllreduceOptions::Algorithm::RING);
    options->setInput(in, one.count());
    options->setOutput(out, one.count());
    options->setReduceFunction(static_cast<void (*)(void*, const void*, const void*, std::size_t)>(&gloo::sum<T>));
    return guarded([=] { gloo::allreduce(*options); });
  }

  template <class Body>
  static Call guarded(Body body) {
    return [body] {
      try {
        body();
        return true;
      } catch (const std::exception& error) {
        std::fprintf(stderr, "gloo: %s\n", error.what());
        return false;
      }
    };
  }

  std::shared_ptr<gloo::rendezvous::Context> context_;
};

int run_rank(int rank, const DriverOptions& options) {
  try {
    auto device = gloo::transport::tcp::CreateDevice("127.0.0.1");
    const std::string folder = options.meet + ".gloo";
    ::mkdir(folder.c_str(), 0700);
    gloo::rendezvous::FileStore store(folder);
    auto context = std::make_shared<gloo::rendezvous::Context>(rank, options.ranks);
    context->setTimeout(std::chrono::seconds(options.limit_s));
    context->connectFullMesh(store, device);
    Gloo gloo(context);
    Meeting meeting(options.meet, options.ranks);
    const int status = run_driver(gloo, options, meeting);
    meeting.barrier();  // a rank that leaves earlier breaks the others' connections
    return status;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gloo: rank %d: %s\n", rank, error.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const DriverOptions options = parse_driver_options(argc, argv);
  if (options.ranks < 1) {
    std::fprintf(stderr, "--ranks is needed\n");
    return 2;
  }
  return fork_ranks(options.ranks, [&](int rank) { return run_rank(rank, options); });
}
