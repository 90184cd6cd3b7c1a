#include "ffctl/slurm/rank_output.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <span>

#include "libcommon/base/file.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::ctl {
namespace {

constexpr std::uint32_t kBytesMax = 1u << 20;

}  // namespace

Result<ReadLogReply> read_output(const std::string& path, const ReadLogRequest& request) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat about{};
  if (!fd || ::fstat(fd.get(), &about) != 0) return fail(errno_error(path));
  if (!S_ISREG(about.st_mode)) return fail(Errc::kCorrupt, fmt::format("{}: is no file", path));
  const auto size = static_cast<std::uint64_t>(about.st_size);
  std::uint64_t offset = std::min(request.offset(), size);
  if (request.from_end()) offset = size - offset;
  std::string data(std::min<std::uint64_t>(std::clamp(request.bytes(), 1u, kBytesMax), size - offset), '\0');
  const ssize_t got = data.empty() ? 0 : ::pread(fd.get(), data.data(), data.size(), static_cast<off_t>(offset));
  if (got < 0) return fail(errno_error(path));
  data.resize(static_cast<std::size_t>(got));
  ReadLogReply reply;
  reply.set_data(std::move(data));
  reply.set_offset(offset);
  reply.set_end(size);
  return reply;
}

Result<> make_output_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail(errno_error(path));
  return {};
}

Result<std::string> write_script(const std::string& folder, std::uint64_t random, const std::string& text) {
  const std::string path = fmt::format("{}/script-{:016x}", folder, random);
  FF_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path, 0700));
  FF_TRY(file.write(std::as_bytes(std::span(text))));
  FF_TRY(file.commit());
  return path;
}

}  // namespace ff::ctl
