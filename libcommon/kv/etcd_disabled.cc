// In builds without gRPC.
#include "libcommon/kv/etcd_store.hpp"

namespace ff::kv {

runtime::Task<Result<std::unique_ptr<KvStore>>> open_etcd_store(runtime::Env& /*env*/, EtcdOptions /*options*/) {
  co_return fail(
      Errc::kUnsupported,
      "etcd: built without etcd (install libgrpc++-dev and protobuf-compiler-grpc, build with -Detcd=enabled)");
}

}  // namespace ff::kv
