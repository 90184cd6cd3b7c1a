// Peer: the 'create file' transaction (create_shape.hpp) and single reads on etcd, by a bare gRPC client over the
// generated stubs: one thread, one completion queue, a connection to each member, clients spread over the members.
//
// Operations
//   create            one Txn: the parent exists, the name does not; three puts
//   read-create       first one linearizable Txn that reads both keys, then the Txn above comparing the revisions read:
//                     what any client must do that offers reads and writes before the commit, as our KvStore does
//   get-linearizable  the member asks the leader first
//   get-serializable  the member answers by itself
//
// Why gRPC and not etcd's JSON gateway: both measured on one three-member etcd 3.4 on loopback (2 cores, in turns,
// medians per second), the gateway by a client of blocking sockets kept alive, a thread a client, its JSON made by
// printf:
//                        1 client       8           64
//   create            637 / 556   1,380 / 906   2,220 / 1,490
//   get-linearizable  1,820 / 1,460   3,370 / 2,500   6,740 / 4,530
//   get-serializable  3,160 / 2,720   6,400 / 4,600   9,600 / 5,340
// gRPC's client costs twice the processor time of that minimal one (0.25 against 0.10 s in 1.2 s of creates at 64), but
// the gateway costs the members more (it is a gRPC client within them), and they are what limits.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "libcommon/cli/app.hpp"
#include "libcommon/kv/etcd_rpc.grpc.pb.h"
#include "tests/bench/create_shape.hpp"
#include "tests/bench/load.hpp"

namespace ff::bench {
namespace {

namespace rpc = etcdserverpb;

constexpr std::chrono::seconds kPatience{10};

struct Settings {
  std::vector<std::string> endpoints;
  std::string operation = "create";
  std::int64_t clients = 1;
  double seconds = 5;
};

rpc::Compare compare_revision(const std::string& key, std::int64_t revision) {
  rpc::Compare compare;
  compare.set_key(key);
  compare.set_target(rpc::Compare::MOD);
  compare.set_result(rpc::Compare::EQUAL);
  compare.set_mod_revision(revision);
  return compare;
}

rpc::Compare compare_exists(const std::string& key) {
  rpc::Compare compare;
  compare.set_key(key);
  compare.set_target(rpc::Compare::CREATE);
  compare.set_result(rpc::Compare::GREATER);
  compare.set_create_revision(0);
  return compare;
}

void add_puts(rpc::TxnRequest& request, const CreateShape& shape, const std::string& value) {
  for (const auto* key : {&shape.entry, &shape.inode, &shape.times}) {
    auto* put = request.add_success()->mutable_request_put();
    put->set_key(*key);
    put->set_value(value);
  }
}

// One client: one request at a time. Its address is the tag in the queue.
class Client {
 public:
  Client(const Settings& settings, std::uint64_t run, std::int64_t id, rpc::KV::Stub& stub,
         grpc::CompletionQueue& queue)
      : settings_(settings),
        run_(run),
        id_(id),
        value_(create_value(static_cast<std::uint64_t>(id))),
        stub_(stub),
        queue_(queue) {}

  std::int64_t id() const { return id_; }

  void begin() {
    begun_ = Clock::now();
    if (settings_.operation == "get-linearizable" || settings_.operation == "get-serializable") return get();
    shape_.emplace(run_, id_, sequence_++);
    if (settings_.operation == "read-create") return read_keys();
    commit(compare_exists(shape_->parent));
  }

  // The answer that was waited for has come. True when the operation is complete.
  Result<bool> proceed() {
    if (!status_.ok()) return fail(Errc::kUnavailable, "etcd: " + status_.error_message() + " (do its members run?)");
    if (step_ == Step::kGet) {
      if (range_answer_.kvs_size() != 1) return fail(Errc::kCorrupt, "etcd: a key that was put is not there");
      return true;
    }
    if (!txn_answer_.succeeded()) return fail(Errc::kCorrupt, "etcd: a transaction failed though nothing conflicts");
    if (step_ == Step::kCommit) return true;
    const auto& parent = txn_answer_.responses(0).response_range();
    const auto& entry = txn_answer_.responses(1).response_range();
    if (parent.kvs_size() != 1 || entry.kvs_size() != 0)
      return fail(Errc::kCorrupt, "etcd: the parent is not there, or a new name is");
    commit(compare_revision(shape_->parent, parent.kvs(0).mod_revision()));
    return false;
  }

  Clock::time_point begun() const { return begun_; }

 private:
  enum class Step : std::uint8_t { kGet, kRead, kCommit };

  grpc::ClientContext& new_context() {
    context_.emplace();
    context_->set_deadline(std::chrono::system_clock::now() + kPatience);
    return *context_;
  }

  void get() {
    step_ = Step::kGet;
    rpc::RangeRequest request;
    request.set_key(CreateShape::parent_of(run_, id_));
    request.set_serializable(settings_.operation == "get-serializable");
    range_reader_ = stub_.AsyncRange(&new_context(), request, &queue_);
    range_reader_->Finish(&range_answer_, &status_, this);
  }

  void read_keys() {
    step_ = Step::kRead;
    rpc::TxnRequest request;
    for (const auto* key : {&shape_->parent, &shape_->entry})
      request.add_success()->mutable_request_range()->set_key(*key);
    send(request);
  }

  void commit(rpc::Compare parent) {
    step_ = Step::kCommit;
    rpc::TxnRequest request;
    *request.add_compare() = std::move(parent);
    *request.add_compare() = compare_revision(shape_->entry, 0);
    add_puts(request, *shape_, value_);
    send(request);
  }

  void send(const rpc::TxnRequest& request) {
    txn_reader_ = stub_.AsyncTxn(&new_context(), request, &queue_);
    txn_reader_->Finish(&txn_answer_, &status_, this);
  }

  const Settings& settings_;
  const std::uint64_t run_;
  const std::int64_t id_;
  const std::string value_;
  rpc::KV::Stub& stub_;
  grpc::CompletionQueue& queue_;
  std::uint64_t sequence_ = 0;
  Step step_ = Step::kGet;
  Clock::time_point begun_;
  std::optional<CreateShape> shape_;
  std::optional<grpc::ClientContext> context_;
  grpc::Status status_;
  rpc::RangeResponse range_answer_;
  rpc::TxnResponse txn_answer_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<rpc::RangeResponse>> range_reader_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<rpc::TxnResponse>> txn_reader_;
};

class Load {
 public:
  explicit Load(const Settings& settings) : settings_(settings) {}

  Result<void> connect() {
    for (const std::string& endpoint : settings_.endpoints) {
      auto channel = grpc::CreateChannel(endpoint, grpc::InsecureChannelCredentials());
      if (!channel->WaitForConnected(std::chrono::system_clock::now() + kPatience))
        return fail(Errc::kUnavailable, endpoint + ": no etcd answers (does the member run?)");
      stubs_.push_back(rpc::KV::NewStub(channel));
    }
    const auto run = (static_cast<std::uint64_t>(std::random_device{}()) << 32) | std::random_device{}();
    for (std::int64_t i = 0; i < settings_.clients; ++i) {
      auto& stub = *stubs_[static_cast<std::size_t>(i) % stubs_.size()];
      clients_.emplace_back(settings_, run, i, stub, queue_);
      FF_TRY(put_parent(stub, CreateShape::parent_of(run, i)));
    }
    return {};
  }

  Result<int> run() {
    const double cpu_before = cpu_seconds();
    const auto start = Clock::now();
    const auto end = start + std::chrono::nanoseconds(static_cast<std::int64_t>(settings_.seconds * 1e9));
    std::size_t busy = clients_.size();
    for (Client& client : clients_) client.begin();
    while (busy > 0) {
      FF_TRY_ASSIGN(Client* const client, next());
      FF_TRY_ASSIGN(const bool complete, client->proceed());
      if (!complete) continue;
      const auto now = Clock::now();
      latencies_.record(now - client->begun());
      if (now < end)
        client->begin();
      else
        --busy;
    }
    return report(std::chrono::duration<double>(Clock::now() - start).count(), cpu_seconds() - cpu_before);
  }

 private:
  static Result<void> put_parent(rpc::KV::Stub& stub, const std::string& key) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    rpc::PutRequest request;
    request.set_key(key);
    request.set_value(create_value(0));
    rpc::PutResponse answer;
    const auto status = stub.Put(&context, request, &answer);
    if (!status.ok()) return fail(Errc::kUnavailable, "etcd: " + status.error_message());
    return {};
  }

  Result<Client*> next() {
    void* tag = nullptr;
    bool ok = false;
    // Each call has a deadline of its own; this one is for a queue that lost a call.
    const auto limit = std::chrono::system_clock::now() + 2 * kPatience;
    if (queue_.AsyncNext(&tag, &ok, limit) != grpc::CompletionQueue::GOT_EVENT)
      return fail(Errc::kTimeout, "etcd: no answer at all");
    return static_cast<Client*>(tag);
  }

  Result<int> report(double elapsed, double cpu) const {
    report::JsonWriter json;
    json.begin_object()
        .field("operation", std::string_view(settings_.operation))
        .field("clients", settings_.clients)
        .field("transactions", latencies_.count())
        .field("seconds", elapsed)
        .field("transactions_per_second", static_cast<double>(latencies_.count()) / elapsed)
        .field("cpu_seconds", cpu);
    write_latencies(json, latencies_);
    json.end_object();
    FF_TRY(print_line(json.text()));
    return cli::kExitOk;
  }

  const Settings& settings_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<rpc::KV::Stub>> stubs_;
  std::deque<Client> clients_;
  LatencyHistogram latencies_;
};

Result<int> run(const Settings& settings) {
  Load load(settings);
  FF_TRY(load.connect());
  return load.run();
}

}  // namespace
}  // namespace ff::bench

int main(int argc, char** argv) {
  using namespace ff;
  bench::Settings settings;
  cli::Command root{.name = "etcd_txn", .summary = "'Create file' transactions on etcd, to compare with"};
  root.options = {
      {.names = "--endpoint",
       .target = &settings.endpoints,
       .help = "host:port of a member; may be given several times",
       .value_name = "HOST:PORT",
       .required = true},
      {.names = "--operation",
       .target = &settings.operation,
       .help = "what each client does",
       .choices = {"create", "read-create", "get-linearizable", "get-serializable"}},
      {.names = "--clients",
       .target = &settings.clients,
       .help = "requests that wait at a time",
       .min = 1,
       .max = 4096},
      {.names = "--seconds", .target = &settings.seconds, .help = "duration of the load", .min = 0.01, .max = 3600}};
  root.run = [&settings] { return bench::run(settings); };
  return cli::run({.root = root}, argc, argv);
}
