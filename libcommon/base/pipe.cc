#include "libcommon/base/pipe.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <span>

#include "libcommon/base/file.hpp"

namespace ff {

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(errno_error("pipe"));
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<UniqueFd> text_file(std::string_view text) {
  UniqueFd file(::memfd_create("text", MFD_CLOEXEC));
  if (!file) return fail(errno_error("memfd"));
  FF_TRY(write_all(file.get(), std::as_bytes(std::span(text))));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail(errno_error("memfd"));
  return file;
}

}  // namespace ff
