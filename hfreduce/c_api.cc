// The C ABI over Communicator. Nothing is thrown past this file; every error leaves its text in hfr_last_error().
#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

#include "hfreduce/communicator.hpp"
#include "hfreduce/hfreduce.h"
#include "libcommon/base/file.hpp"

using ff::Errc;
using ff::Error;
using ff::Result;
using ff::hfreduce::Communicator;
using ff::hfreduce::Config;
using ff::hfreduce::DType;
using ff::hfreduce::ReduceOp;
using ff::hfreduce::Request;
using ff::hfreduce::Transport;
using ff::hfreduce::UniqueId;

struct hfr_comm {
  std::unique_ptr<Communicator> communicator;
};
struct hfr_request {
  Request request;
};

namespace {

thread_local std::string last_error;

hfr_result code_of(Errc code) {
  switch (code) {
    case Errc::kInvalidArgument:
    case Errc::kNotFound:
    case Errc::kAlreadyExists: return HFR_INVALID_ARGUMENT;
    case Errc::kTimeout: return HFR_TIMEOUT;
    case Errc::kUnavailable: return HFR_RANK_LOST;
    case Errc::kCorrupt: return HFR_MISMATCH;
    case Errc::kCancelled: return HFR_ABORTED;
    case Errc::kExhausted: return HFR_EXHAUSTED;
    case Errc::kPermission:
    case Errc::kIo: return HFR_SYSTEM;
    case Errc::kUnsupported: return HFR_UNSUPPORTED;
    case Errc::kInternal: return HFR_INTERNAL;
  }
  return HFR_INTERNAL;
}

hfr_result failed(hfr_result code, std::string message) {
  last_error = std::move(message);
  return code;
}

template <class T>
hfr_result result_of(const Result<T>& result) {
  if (result) return HFR_OK;
  return failed(code_of(result.error().code()), result.error().message());
}

// Runs `body`, which returns an hfr_result; bad_alloc and the like become codes.
template <class Body>
hfr_result guarded(Body body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return failed(HFR_EXHAUSTED, "out of memory");
  } catch (const std::exception& e) {
    return failed(HFR_INTERNAL, e.what());
  }
}

bool usable(const hfr_comm* comm) { return comm != nullptr && comm->communicator != nullptr; }

// A collective: blocking without `request`, queued with one.
template <class Start>
hfr_result call(hfr_comm* comm, hfr_request** request, Start start) {
  return guarded([&]() -> hfr_result {
    if (!usable(comm)) return failed(HFR_INVALID_ARGUMENT, "the communicator is null");
    if (request == nullptr) return result_of(start(*comm->communicator, nullptr));
    auto handle = std::make_unique<hfr_request>();
    const hfr_result code = result_of(start(*comm->communicator, &handle->request));
    *request = code == HFR_OK ? handle.release() : nullptr;
    return code;
  });
}

Result<Config> config_from(const hfr_config* c) {
  FF_TRY_ASSIGN(Config config, Config::from_environment());
  if (c == nullptr) return config;
  if (c->size < sizeof(hfr_config) || c->version != HFR_ABI_VERSION)
    return ff::fail(Errc::kInvalidArgument,
                    "hfr_config: size or version is not of this ABI (call hfr_config_init first)");
  if (c->transport < 0 || c->transport > 2)
    return ff::fail(Errc::kInvalidArgument, "hfr_config: transport must be 0, 1 or 2");
  if (c->timeout_ms == 0 || c->connect_timeout_ms == 0 || c->timeout_ms > 1ULL << 40 ||
      c->connect_timeout_ms > 1ULL << 40)
    return ff::fail(Errc::kInvalidArgument, "hfr_config: timeouts must be 1 ms to 2^40 ms");
  config.timeout = std::chrono::milliseconds(c->timeout_ms);
  config.connect_timeout = std::chrono::milliseconds(c->connect_timeout_ms);
  config.transport = static_cast<Transport>(c->transport);
  config.deterministic = c->deterministic != 0;
  config.channels = c->channels;
  config.trace = c->trace != 0;
  return config;
}

hfr_result adopt(hfr_comm** comm, Result<std::unique_ptr<Communicator>> made) {
  if (!made) return result_of(made);
  *comm = new hfr_comm{std::move(*made)};
  return HFR_OK;
}

// C callers may pass any number; an enum that holds one of no name must not be read as an enum.
template <class E>
unsigned number_of(const E& value) {
  static_assert(sizeof(E) == sizeof(unsigned));
  unsigned number = 0;
  std::memcpy(&number, &value, sizeof number);
  return number;
}
bool valid(const hfr_dtype& dtype) { return number_of(dtype) < static_cast<unsigned>(ff::hfreduce::kDTypeCount); }
// What has no name becomes a value that the communicator refuses.
DType type(const hfr_dtype& dtype) { return static_cast<DType>(std::min(number_of(dtype), 0xffu)); }
ReduceOp operation(const hfr_op& op) { return static_cast<ReduceOp>(std::min(number_of(op), 0xffu)); }

// Counts arrays have one entry per rank.
std::span<const std::uint64_t> list(const Communicator& c, const std::uint64_t* counts) {
  return counts == nullptr ? std::span<const std::uint64_t>() : std::span(counts, static_cast<std::size_t>(c.size()));
}

}  // namespace

extern "C" {

uint32_t hfr_version(void) { return HFR_ABI_VERSION; }
const char* hfr_last_error(void) { return last_error.c_str(); }

const char* hfr_result_name(hfr_result result) {
  static const char* const kNames[] = {"ok",      "invalid argument", "timeout",      "rank lost",   "mismatch",
                                       "aborted", "exhausted",        "system error", "unsupported", "internal error"};
  const auto index = static_cast<unsigned>(result);
  return index < sizeof kNames / sizeof *kNames ? kNames[index] : "unknown";
}

size_t hfr_dtype_size(hfr_dtype dtype) { return valid(dtype) ? ff::hfreduce::dtype_size(type(dtype)) : 0; }

hfr_result hfr_config_init(hfr_config* config) {
  return guarded([&]() -> hfr_result {
    if (config == nullptr) return failed(HFR_INVALID_ARGUMENT, "hfr_config_init: config is null");
    const auto from = Config::from_environment();
    if (!from) return result_of(from);
    const auto ms = [](std::chrono::nanoseconds ns) {
      return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(ns).count());
    };
    *config = {sizeof(hfr_config),
               HFR_ABI_VERSION,
               ms(from->timeout),
               ms(from->connect_timeout),
               static_cast<std::int32_t>(from->transport),
               from->deterministic,
               from->channels,
               from->trace};
    return HFR_OK;
  });
}

hfr_result hfr_get_unique_id(hfr_unique_id* id, const char* address) {
  return guarded([&]() -> hfr_result {
    if (id == nullptr) return failed(HFR_INVALID_ARGUMENT, "hfr_get_unique_id: id is null");
    const auto made = Communicator::create_id(address == nullptr ? "127.0.0.1" : address);
    if (!made) return result_of(made);
    const std::string text = made->to_text();
    if (text.size() >= sizeof id->text)
      return failed(HFR_INVALID_ARGUMENT, "hfr_get_unique_id: the address is too long");
    std::memset(id->text, 0, sizeof id->text);
    std::memcpy(id->text, text.data(), text.size());
    return HFR_OK;
  });
}

hfr_result hfr_comm_init_rank(hfr_comm** comm, int nranks, const hfr_unique_id* id, int rank,
                              const hfr_config* config) {
  return guarded([&]() -> hfr_result {
    if (comm == nullptr || id == nullptr) return failed(HFR_INVALID_ARGUMENT, "hfr_comm_init_rank: comm or id is null");
    *comm = nullptr;
    const auto settings = config_from(config);
    if (!settings) return result_of(settings);
    const auto parsed = UniqueId::from_text(std::string_view(id->text, ::strnlen(id->text, sizeof id->text)));
    if (!parsed) return result_of(parsed);
    return adopt(comm, Communicator::create(*parsed, rank, nranks, *settings));
  });
}

hfr_result hfr_comm_init_env(hfr_comm** comm, const hfr_config* config) {
  return guarded([&]() -> hfr_result {
    if (comm == nullptr) return failed(HFR_INVALID_ARGUMENT, "hfr_comm_init_env: comm is null");
    *comm = nullptr;
    const auto settings = config_from(config);
    if (!settings) return result_of(settings);
    return adopt(comm, Communicator::from_environment(*settings));
  });
}

hfr_result hfr_comm_destroy(hfr_comm* comm) {
  return guarded([&]() -> hfr_result {
    delete comm;
    return HFR_OK;
  });
}

hfr_result hfr_comm_rank(const hfr_comm* comm, int* rank) {
  if (!usable(comm) || rank == nullptr) return failed(HFR_INVALID_ARGUMENT, "hfr_comm_rank: null argument");
  *rank = comm->communicator->rank();
  return HFR_OK;
}

hfr_result hfr_comm_size(const hfr_comm* comm, int* size) {
  if (!usable(comm) || size == nullptr) return failed(HFR_INVALID_ARGUMENT, "hfr_comm_size: null argument");
  *size = comm->communicator->size();
  return HFR_OK;
}

hfr_result hfr_comm_abort(hfr_comm* comm, const char* reason) {
  return guarded([&]() -> hfr_result {
    if (!usable(comm)) return failed(HFR_INVALID_ARGUMENT, "the communicator is null");
    comm->communicator->abort(reason == nullptr ? "no reason given" : reason);
    return HFR_OK;
  });
}

hfr_result hfr_comm_get_async_error(hfr_comm* comm) {
  return guarded([&]() -> hfr_result {
    if (!usable(comm)) return failed(HFR_INVALID_ARGUMENT, "the communicator is null");
    const auto verdict = comm->communicator->verdict();
    if (!verdict) return HFR_OK;
    return failed(code_of(verdict->code()), verdict->message());
  });
}

hfr_result hfr_comm_shrink(hfr_comm* comm, const int* exclude, int nexclude, hfr_comm** shrunk) {
  return guarded([&]() -> hfr_result {
    if (!usable(comm) || shrunk == nullptr || nexclude < 0 || (nexclude > 0 && exclude == nullptr))
      return failed(HFR_INVALID_ARGUMENT, "hfr_comm_shrink: null argument");
    *shrunk = nullptr;
    return adopt(shrunk, comm->communicator->shrink(std::span(exclude, static_cast<std::size_t>(nexclude))));
  });
}

hfr_result hfr_comm_dump(hfr_comm* comm, const char* path) {
  return guarded([&]() -> hfr_result {
    if (!usable(comm) || path == nullptr) return failed(HFR_INVALID_ARGUMENT, "hfr_comm_dump: null argument");
    return result_of(ff::write_file_atomic(path, comm->communicator->flight_json()));
  });
}

hfr_result hfr_alloc(hfr_comm* comm, void** pointer, size_t bytes) {
  return guarded([&]() -> hfr_result {
    if (!usable(comm) || pointer == nullptr) return failed(HFR_INVALID_ARGUMENT, "hfr_alloc: null argument");
    const auto memory = comm->communicator->alloc(bytes);
    *pointer = memory ? *memory : nullptr;
    return result_of(memory);
  });
}

hfr_result hfr_free(hfr_comm* comm, void* pointer) {
  return guarded([&]() -> hfr_result {
    if (!usable(comm)) return failed(HFR_INVALID_ARGUMENT, "the communicator is null");
    return result_of(comm->communicator->free(pointer));
  });
}

hfr_result hfr_all_reduce(const void* send, void* recv, uint64_t count, hfr_dtype dtype, hfr_op op, hfr_comm* comm,
                          hfr_request** request) {
  return call(comm, request, [&](Communicator& c, Request* r) {
    return c.all_reduce(send, recv, count, type(dtype), operation(op), r);
  });
}

hfr_result hfr_reduce(const void* send, void* recv, uint64_t count, hfr_dtype dtype, hfr_op op, int root,
                      hfr_comm* comm, hfr_request** request) {
  return call(comm, request, [&](Communicator& c, Request* r) {
    return c.reduce(send, recv, count, type(dtype), operation(op), root, r);
  });
}

hfr_result hfr_broadcast(const void* send, void* recv, uint64_t count, hfr_dtype dtype, int root, hfr_comm* comm,
                         hfr_request** request) {
  return call(comm, request,
              [&](Communicator& c, Request* r) { return c.broadcast(send, recv, count, type(dtype), root, r); });
}

hfr_result hfr_reduce_scatter(const void* send, void* recv, uint64_t recv_count, hfr_dtype dtype, hfr_op op,
                              hfr_comm* comm, hfr_request** request) {
  return call(comm, request, [&](Communicator& c, Request* r) {
    return c.reduce_scatter(send, recv, recv_count, type(dtype), operation(op), r);
  });
}

hfr_result hfr_all_gather(const void* send, void* recv, uint64_t send_count, hfr_dtype dtype, hfr_comm* comm,
                          hfr_request** request) {
  return call(comm, request,
              [&](Communicator& c, Request* r) { return c.all_gather(send, recv, send_count, type(dtype), r); });
}

hfr_result hfr_all_to_all(const void* send, void* recv, uint64_t count_per_peer, hfr_dtype dtype, hfr_comm* comm,
                          hfr_request** request) {
  return call(comm, request,
              [&](Communicator& c, Request* r) { return c.all_to_all(send, recv, count_per_peer, type(dtype), r); });
}

hfr_result hfr_gather(const void* send, void* recv, uint64_t send_count, hfr_dtype dtype, int root, hfr_comm* comm,
                      hfr_request** request) {
  return call(comm, request,
              [&](Communicator& c, Request* r) { return c.gather(send, recv, send_count, type(dtype), root, r); });
}

hfr_result hfr_scatter(const void* send, void* recv, uint64_t recv_count, hfr_dtype dtype, int root, hfr_comm* comm,
                       hfr_request** request) {
  return call(comm, request,
              [&](Communicator& c, Request* r) { return c.scatter(send, recv, recv_count, type(dtype), root, r); });
}

hfr_result hfr_reduce_scatter_v(const void* send, void* recv, const uint64_t* recv_counts, hfr_dtype dtype, hfr_op op,
                                hfr_comm* comm, hfr_request** request) {
  return call(comm, request, [&](Communicator& c, Request* r) {
    return c.reduce_scatter_v(send, recv, list(c, recv_counts), type(dtype), operation(op), r);
  });
}

hfr_result hfr_all_gather_v(const void* send, void* recv, const uint64_t* recv_counts, const uint64_t* recv_displs,
                            hfr_dtype dtype, hfr_comm* comm, hfr_request** request) {
  return call(comm, request, [&](Communicator& c, Request* r) {
    return c.all_gather_v(send, recv, list(c, recv_counts), list(c, recv_displs), type(dtype), r);
  });
}

hfr_result hfr_all_to_all_v(const void* send, const uint64_t* send_counts, const uint64_t* send_displs, void* recv,
                            const uint64_t* recv_counts, const uint64_t* recv_displs, hfr_dtype dtype, hfr_comm* comm,
                            hfr_request** request) {
  return call(comm, request, [&](Communicator& c, Request* r) {
    return c.all_to_all_v(send, list(c, send_counts), list(c, send_displs), recv, list(c, recv_counts),
                          list(c, recv_displs), type(dtype), r);
  });
}

hfr_result hfr_send(const void* data, uint64_t count, hfr_dtype dtype, int peer, hfr_comm* comm,
                    hfr_request** request) {
  if (!valid(dtype)) return failed(HFR_INVALID_ARGUMENT, "hfr_send: unknown element type");
  return call(comm, request, [&](Communicator& c, Request* r) { return c.send(data, count, type(dtype), peer, r); });
}

hfr_result hfr_recv(void* data, uint64_t count, hfr_dtype dtype, int peer, hfr_comm* comm, hfr_request** request) {
  if (!valid(dtype)) return failed(HFR_INVALID_ARGUMENT, "hfr_recv: unknown element type");
  return call(comm, request, [&](Communicator& c, Request* r) { return c.recv(data, count, type(dtype), peer, r); });
}

hfr_result hfr_barrier(hfr_comm* comm) {
  return call(comm, nullptr, [&](Communicator& c, Request*) { return c.barrier(); });
}

hfr_result hfr_group_start(hfr_comm* comm) {
  return call(comm, nullptr, [&](Communicator& c, Request*) -> Result<> {
    c.group_start();
    return {};
  });
}

hfr_result hfr_group_end(hfr_comm* comm) {
  return call(comm, nullptr, [&](Communicator& c, Request*) { return c.group_end(); });
}

hfr_result hfr_wait(hfr_request** request) {
  return guarded([&]() -> hfr_result {
    if (request == nullptr || *request == nullptr) return failed(HFR_INVALID_ARGUMENT, "hfr_wait: the request is null");
    const hfr_result code = result_of((*request)->request.wait());
    // Refused because its group is still open: the call is yet to come, and so is its hfr_wait.
    if (!(*request)->request.done()) return code;
    delete *request;
    *request = nullptr;
    return code;
  });
}

hfr_result hfr_test(const hfr_request* request, int* done) {
  return guarded([&]() -> hfr_result {
    if (request == nullptr || done == nullptr) return failed(HFR_INVALID_ARGUMENT, "hfr_test: null argument");
    *done = request->request.done() ? 1 : 0;
    return HFR_OK;
  });
}

}  // extern "C"
