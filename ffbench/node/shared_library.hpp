// SharedLibrary: functions of a library that may or may not be installed.
// Threads  As dlopen.
#pragma once

#include <dlfcn.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "libcommon/base/result.hpp"

namespace ff::bench {

class SharedLibrary {
 public:
  // The first of `names` that loads. kUnsupported names the last one and the loader's reason.
  static Result<SharedLibrary> open(const std::string& folder, std::initializer_list<const char*> names) {
    std::string reason;
    for (const char* name : names) {
      const std::string path = folder.empty() ? name : folder + "/" + name;
      if (void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return SharedLibrary(handle, name);
      const char* problem = ::dlerror();
      reason = std::string(name) + " is not installed (" + (problem == nullptr ? "" : problem) + ")";
    }
    return fail(Errc::kUnsupported, reason);
  }
  SharedLibrary() = default;
  SharedLibrary(SharedLibrary&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), name_(std::move(other.name_)) {}
  SharedLibrary& operator=(SharedLibrary&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(name_, other.name_);
    return *this;
  }
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;
  // Drivers leave threads and exit handlers behind: the library stays loaded until the process ends.
  ~SharedLibrary() = default;

  template <class Function>
  Result<> find(Function*& function, const char* symbol) const {
    function = reinterpret_cast<Function*>(::dlsym(handle_, symbol));
    if (function == nullptr) return fail(Errc::kUnsupported, name_ + ": has no function " + symbol);
    return {};
  }
  // For functions that older versions lack: nullptr then.
  template <class Function>
  void find_optional(Function*& function, const char* symbol) const {
    function = reinterpret_cast<Function*>(::dlsym(handle_, symbol));
  }

 private:
  SharedLibrary(void* handle, std::string name) : handle_(handle), name_(std::move(name)) {}

  void* handle_ = nullptr;
  std::string name_;
};

}  // namespace ff::bench
