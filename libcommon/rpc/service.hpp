// Service: what a .proto service becomes on a server. The generated class derives from it and adds a pure virtual
// coroutine for each method; a program derives from that and writes the methods.
//
// Lifetime  The service outlives the Server it was added to.
// Threads   Those of the Server's Env.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "libcommon/rpc/method.hpp"
#include "libcommon/rpc/server_call.hpp"

namespace ff::rpc {

class Service;

struct Method {
  // Parses the request and makes the task that runs the handler and answers. Empty when the bytes are no such message.
  using Start = std::optional<runtime::Task<void>> (*)(Service&, ServerCallPtr&, std::span<const std::byte>);
  MethodInfo info;
  Start start = nullptr;
};

class Service {
 public:
  Service() = default;
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  virtual ~Service() = default;
  virtual std::string_view service_name() const noexcept = 0;
  virtual std::span<const Method> service_methods() const noexcept = 0;
};

namespace detail {

template <class ServiceType, class Request, class Reply,
          runtime::Task<Result<Reply>> (ServiceType::*Handler)(ServerCall&, const Request&)>
runtime::Task<void> run_method(ServiceType& service, ServerCallPtr call, Request request) {
  {
    const Result<Reply> result = co_await (service.*Handler)(*call, request).under(call->context());
    if (result) {
      call->succeed(*result);
    } else {
      call->fail(result.error());
    }
  }
  if (call->flushing()) co_await call->flush();
}

template <class ServiceType, class Request, class Reply,
          runtime::Task<Result<Reply>> (ServiceType::*Handler)(ServerCall&, const Request&)>
std::optional<runtime::Task<void>> start_method(Service& service, ServerCallPtr& call,
                                                std::span<const std::byte> payload) {
  Request request;
  if (!request.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) return std::nullopt;
  return run_method<ServiceType, Request, Reply, Handler>(static_cast<ServiceType&>(service), std::move(call),
                                                          std::move(request));
}

}  // namespace detail
}  // namespace ff::rpc
