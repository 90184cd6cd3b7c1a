#include "ffs/daemon/target_store.hpp"

#include <fmt/core.h>

#include <filesystem>

#include "libcommon/log/log.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

Task<bool> is_there(runtime::Env& env, std::string path) { co_return (co_await env.disk().info(path)).has_value(); }

// What a crash left of an earlier attempt; stores are flat.
Task<Result<>> clear(runtime::Env& env, std::string folder) {
  if (!co_await is_there(env, folder)) co_return {};
  FF_CO_TRY_ASSIGN(const auto names, co_await env.disk().list(folder));
  for (const std::string& name : names) FF_CO_TRY(co_await env.disk().remove(folder + "/" + name));
  co_return co_await env.disk().remove(folder);
}

// An empty store at `folder`, whole or not at all.
Task<Result<>> make_empty(runtime::Env& env, std::string folder, StoreIdentity identity, StoreOptions options) {
  const std::string fresh = folder + ".new";
  FF_CO_TRY(co_await clear(env, fresh));
  FF_CO_TRY(co_await ChunkStore::format(env, fresh, identity, options));
  FF_CO_TRY(co_await env.disk().rename(fresh, folder));
  co_return co_await env.disk().sync_folder(std::filesystem::path(folder).parent_path().string());
}

}  // namespace

Task<Result<std::unique_ptr<ChunkStore>>> open_target_store(runtime::Env& env, std::string folder,
                                                            StoreIdentity identity, StoreOptions options) {
  const std::string aside = folder + ".damaged";
  const StoreOwner owner{.cluster = identity.cluster, .target = identity.target};
  auto store = co_await ChunkStore::open(env, folder, owner);
  const bool damaged = !store && store.error().code() == Errc::kCorrupt;
  const bool missing = !store && !co_await is_there(env, folder);
  const bool aside_is_taken = co_await is_there(env, aside);
  if (damaged && aside_is_taken) {
    co_return fail(
        Error(store.error())
            .context(fmt::format(
                "damaged again, and {} is still there (look at the disk; remove that folder, and restart)", aside)));
  }
  if (damaged) {
    log::warn("target {}: set aside as {}, an empty store takes its place: {}", number(identity.target), aside,
              store.error().message());
    FF_CO_TRY(co_await env.disk().rename(folder, aside));
  } else if (!(missing && aside_is_taken)) {
    co_return std::move(store);
  }
  FF_CO_TRY(co_await make_empty(env, folder, identity, options));
  co_return co_await ChunkStore::open(env, folder, owner);
}

}  // namespace ff::ffs
