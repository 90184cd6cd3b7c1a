// TransactionBody: refers to anything that, called with a View, is a Task<Result<T>>. Owns nothing: what it is made
// from outlives it, as the argument of an awaited call does.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>

#include "libcommon/runtime/task.hpp"

namespace ff::ffs {

class View;

template <class T>
class TransactionBody {
 public:
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, TransactionBody>)
  TransactionBody(F&& body)  // NOLINT(google-explicit-constructor)
      : body_(const_cast<void*>(static_cast<const void*>(std::addressof(body)))),
        call_(&call<std::remove_reference_t<F>>) {}
  [[clang::coro_wrapper]] runtime::Task<Result<T>> operator()(View& view) const { return call_(body_, view); }

 private:
  template <class F>
  [[clang::coro_wrapper]] static runtime::Task<Result<T>> call(void* body, View& view) {
    return (*static_cast<F*>(body))(view);
  }

  void* body_;
  runtime::Task<Result<T>> (*call_)(void*, View&);
};

}  // namespace ff::ffs
