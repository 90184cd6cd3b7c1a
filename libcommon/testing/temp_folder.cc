#include "libcommon/testing/temp_folder.hpp"

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "libcommon/base/assert.hpp"

namespace ff::testing {

TempFolder::TempFolder() : path_((std::filesystem::temp_directory_path() / "ff-test-XXXXXX").string()) {
  const char* made = ::mkdtemp(path_.data());
  FF_ASSERT(made != nullptr, path_, errno);
}

TempFolder::~TempFolder() {
  std::error_code ignored;  // a folder left behind is no reason to fail a test
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace ff::testing
