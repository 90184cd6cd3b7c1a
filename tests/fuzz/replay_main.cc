// Runs a fuzz target over the files named as arguments, and over the files of folders named there: the corpus as an
// ordinary test, for builds without libFuzzer. A file that breaks the target aborts; its name is the last one printed.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "libcommon/base/file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    std::error_code error;
    if (!fs::is_directory(argv[i], error)) {
      files.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(argv[i], error))
      if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  // An empty corpus tests nothing, which must not look like success.
  if (files.empty()) {
    std::fprintf(stderr, "%s: no files to replay (name files or folders)\n", argv[0]);
    return 2;
  }
  for (const std::string& file : files) {
    const auto bytes = ff::read_file(file, 16 << 20);
    if (!bytes) {
      std::fprintf(stderr, "%s: %s\n", argv[0], bytes.error().message().c_str());
      return 1;
    }
    std::fprintf(stderr, "%s\n", file.c_str());
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes->data()), bytes->size());
  }
  std::fprintf(stderr, "%zu files replayed\n", files.size());
  return 0;
}
