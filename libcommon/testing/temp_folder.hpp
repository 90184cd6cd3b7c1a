// TempFolder: a folder of its own for a test, removed with all that is in it.
#pragma once

#include <string>

namespace ff::testing {

class TempFolder {
 public:
  // Under $TMPDIR or the system's folder for temporary files. Ends the program when it cannot be made.
  TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder();

  const std::string& path() const noexcept { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace ff::testing
