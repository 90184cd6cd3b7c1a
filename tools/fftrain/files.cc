#include "tools/fftrain/files.hpp"

namespace ff::fftrain {

Result<Files*> files_of(const std::string& path) {
  if (!path.starts_with(kFfsPrefix)) {
    static const std::unique_ptr<Files> local = make_local_files();
    return local.get();
  }
  static std::unique_ptr<Files> remote;
  if (!remote) {
    FF_TRY_ASSIGN(remote, make_ffs_files());
  }
  return remote.get();
}

}  // namespace ff::fftrain
