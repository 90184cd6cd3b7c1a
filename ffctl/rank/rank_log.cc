#include "ffctl/rank/rank_log.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>

namespace ff::ctl {
namespace {

constexpr std::size_t kNameDigits = 20;

std::string segment_path(const std::string& folder, std::uint64_t start) {
  return fmt::format("{}/{:020}", folder, start);
}

// Start and length, in order.
Result<std::map<std::uint64_t, std::uint64_t>> segments(const std::string& folder) {
  DIR* const open = ::opendir(folder.c_str());
  if (open == nullptr) return fail(errno_error(folder));
  std::map<std::uint64_t, std::uint64_t> found;
  while (const dirent* entry = ::readdir(open)) {
    const std::string_view name = entry->d_name;
    std::uint64_t start = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), start);
    if (name.size() != kNameDigits || error != std::errc() || end != name.data() + name.size()) continue;
    struct stat info{};
    if (::fstatat(::dirfd(open), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode))
      found.emplace(start, static_cast<std::uint64_t>(info.st_size));
  }
  ::closedir(open);
  return found;
}

}  // namespace

LogWriter::LogWriter(std::string folder, std::uint64_t limit, gid_t gid)
    : folder_(std::move(folder)), limit_(std::max(limit, kLimitMin)), gid_(gid) {}

bool LogWriter::open_segment() {
  const std::string path = segment_path(folder_, end());
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!fd) return false;
  if (gid_ != static_cast<gid_t>(-1)) (void)!::fchown(fd.get(), static_cast<uid_t>(-1), gid_);
  segment_start_ = end();
  segment_bytes_ = 0;
  fd_ = std::move(fd);
  drop_old();
  return true;
}

void LogWriter::drop_old() {
  const auto found = segments(folder_);
  if (!found) return;
  std::uint64_t kept = limit_ / 8;  // for the one that begins
  for (auto at = found->rbegin(); at != found->rend(); ++at) {
    if (at->first == segment_start_) continue;
    kept += at->second;
    if (kept > limit_) ::unlink(segment_path(folder_, at->first).c_str());
  }
}

// Takes from `bytes` what was written; false when the disk took nothing more.
bool LogWriter::put(std::string_view& bytes) {
  while (!bytes.empty()) {
    if ((!fd_ || segment_bytes_ >= limit_ / 8) && !open_segment()) return false;
    const std::size_t room = std::max<std::uint64_t>(limit_ / 8 - segment_bytes_, 1);
    const ssize_t wrote = ::write(fd_.get(), bytes.data(), std::min(bytes.size(), room));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    segment_bytes_ += static_cast<std::uint64_t>(wrote);
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

void LogWriter::append(std::string_view bytes) {
  if (dropped_ != 0) {
    const std::string notice = fmt::format("\n[ffnoded: {} bytes of output were lost: the disk took none]\n", dropped_);
    std::string_view rest = notice;
    if (!put(rest)) {
      dropped_ += bytes.size();
      return;
    }
    dropped_ = 0;
  }
  if (!put(bytes)) dropped_ += bytes.size();
}

Result<LogPart> read_log(const std::string& folder, std::uint64_t offset, std::size_t bytes, bool from_end) {
  FF_TRY_ASSIGN(const auto found, segments(folder));
  LogPart part;
  if (found.empty()) return part;
  part.end = found.rbegin()->first + found.rbegin()->second;
  if (from_end) offset = part.end - std::min(offset, part.end);
  part.offset = std::clamp(offset, found.begin()->first, part.end);
  auto at = std::prev(found.upper_bound(part.offset));
  for (; at != found.end() && part.data.size() < bytes; ++at) {
    const std::uint64_t from = part.offset + part.data.size();
    if (from != at->first && from >= at->first + at->second) continue;
    const UniqueFd fd(::open(segment_path(folder, at->first).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
      // It was just dropped: what remains begins later.
      if (errno == ENOENT && part.data.empty() && std::next(at) != found.end()) part.offset = std::next(at)->first;
      continue;
    }
    std::string block(std::min<std::uint64_t>(bytes - part.data.size(), at->first + at->second - from), '\0');
    const ssize_t got = ::pread(fd.get(), block.data(), block.size(), static_cast<off_t>(from - at->first));
    if (got < 0) return fail(errno_error(segment_path(folder, at->first)));
    part.data.append(block, 0, static_cast<std::size_t>(got));
    if (static_cast<std::size_t>(got) < block.size()) break;
  }
  return part;
}

}  // namespace ff::ctl
