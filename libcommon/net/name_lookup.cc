#include "libcommon/net/name_lookup.hpp"

#include <optional>

namespace ff::net {

using runtime::Task;
using Found = Result<std::vector<SocketAddress>>;

// Shared by the asker and the task that asks for it.
struct NameLookups::LookUp {
  Address address;
  std::optional<Found> found;
  runtime::Event done;
};

Task<Found> NameLookups::resolve(Address address) {
  if (auto numeric = resolve_numeric(address, ResolveFor::kConnect)) co_return std::vector{*numeric};
  FF_CO_TRY_ASSIGN(auto permit, co_await at_once_.acquire());
  const auto look_up = std::make_shared<LookUp>();
  look_up->address = std::move(address);
  scope_.spawn(run(look_up, std::move(permit)));
  FF_CO_TRY(co_await look_up->done.wait());
  co_return std::move(*look_up->found);
}

Task<void> NameLookups::run(std::shared_ptr<LookUp> look_up, runtime::Semaphore::Permit) {
  runtime::Env& env = (co_await runtime::current_context()).env();
  auto answer = co_await runtime::offload(
      env, [&address = look_up->address] { return net::resolve(address, ResolveFor::kConnect); });
  look_up->found = answer ? std::move(*answer) : Found(fail(std::move(answer).error()));
  look_up->done.set();
}

}  // namespace ff::net
