#include "ffbench/storage/target.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>

#include "libcommon/base/file.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kTableBytesMax = 16u << 20;  // machines with many containers have long mount tables

// The next word of the text, which loses it.
std::string_view next_word(std::string_view& text) {
  const auto begin = std::min(text.find_first_not_of(' '), text.size());
  const auto end = std::min(text.find(' ', begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

std::string_view next_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// mountinfo: id parent major:minor root mountpoint ... (proc_pid_mountinfo(5)).
std::string mount_point_of(std::string_view table, const std::string& device) {
  while (!table.empty()) {
    std::string_view line = next_line(table);
    next_word(line);
    next_word(line);
    if (next_word(line) != device) continue;
    next_word(line);
    return std::string(next_word(line));
  }
  return {};
}

// Why a block device could not be opened.
Error device_error(const std::string& path) {
  const int error = errno;
  if (error != EACCES && error != EPERM) return errno_error(path, error);
  return {Errc::kPermission,
          errno_error(path, error).message() + " (devices are root's: run as root, or join the group that owns it)",
          error};
}

bool has_entries(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (!dir) return false;
  while (const dirent* entry = ::readdir(dir.get()))
    if (entry->d_name[0] != '.') return true;
  return false;
}

// A partition, or a device with partitions of its own that are in use, counts too.
std::string use_of_partitions(const std::string& device_folder, const std::string& root) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(device_folder.c_str()), ::closedir);
  if (!dir) return {};
  while (const dirent* entry = ::readdir(dir.get())) {
    const auto number = read_file(fmt::format("{}/{}/dev", device_folder, entry->d_name), 64);
    if (!number || entry->d_name[0] == '.') continue;
    unsigned major = 0, minor = 0;
    if (std::sscanf(number->c_str(), "%u:%u", &major, &minor) != 2) continue;
    if (std::string use = use_of_device(major, minor, root); !use.empty())
      return fmt::format("its partition {} is {}", entry->d_name, use);
  }
  return {};
}

// The device opened so that nobody else claims it while it is open.
Result<UniqueFd> claim_device(const std::string& path, dev_t device, const std::string& root) {
  if (const std::string use = use_of_device(::major(device), ::minor(device), root); !use.empty())
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: is {}: it will not be written, whatever the options", path, use));
  // The kernel also knows of uses that this mount namespace does not show.
  UniqueFd alone(::open(path.c_str(), O_RDWR | O_EXCL | O_CLOEXEC));
  if (alone) return alone;
  if (errno != EBUSY) return fail(device_error(path));
  return fail(Errc::kInvalidArgument,
              path + ": is in use, perhaps mounted in another namespace: it will not be written, whatever the options");
}

// Swap areas are listed by path: compare what they are.
bool is_swap(std::string_view table, unsigned major, unsigned minor) {
  next_line(table);  // titles
  while (!table.empty()) {
    std::string_view line = next_line(table);
    struct stat about{};
    if (::stat(std::string(next_word(line)).c_str(), &about) == 0 && S_ISBLK(about.st_mode) &&
        ::major(about.st_rdev) == major && ::minor(about.st_rdev) == minor)
      return true;
  }
  return false;
}

}  // namespace

std::string use_of_device(unsigned major, unsigned minor, const std::string& root) {
  const std::string number = fmt::format("{}:{}", major, minor);
  if (const auto mounts = read_file(root + "/proc/self/mountinfo", kTableBytesMax))
    if (const std::string where = mount_point_of(*mounts, number); !where.empty())
      return fmt::format("mounted on {}", where);
  if (const auto swaps = read_file(root + "/proc/swaps", kTableBytesMax); swaps && is_swap(*swaps, major, minor))
    return "used for swapping";
  const std::string device = fmt::format("{}/sys/dev/block/{}", root, number);
  if (has_entries(device + "/holders")) return "part of another device (RAID, LVM, dm)";
  return use_of_partitions(device, root);
}

Result<TargetFacts> look_at(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) {
    if (errno != ENOENT) return fail(errno_error(path));
    if (::lstat(path.c_str(), &about) == 0)
      return fail(Errc::kInvalidArgument, path + ": is a link to nothing (remove it, or make what it names)");
    return TargetFacts{};
  }
  TargetFacts facts{.exists = true, .block_device = S_ISBLK(about.st_mode)};
  if (facts.block_device) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(device_error(path));
    if (::ioctl(fd.get(), BLKGETSIZE64, &facts.bytes) != 0) return fail(errno_error(path + ": size of the device"));
  } else if (S_ISREG(about.st_mode)) {
    if (::access(path.c_str(), R_OK) != 0) return fail(errno_error(path));
    facts.bytes = static_cast<std::uint64_t>(about.st_size);
  } else {
    return fail(Errc::kInvalidArgument,
                path + ": is neither a file nor a block device (for a folder use `ffbench storage path`)");
  }
  return facts;
}

Error would_overwrite(const std::string& path, std::uint64_t bytes) {
  return {Errc::kAlreadyExists,
          fmt::format("{}: exists with {} bytes, which this test would overwrite (--force does so)", path, bytes)};
}

Result<> WriteClaims::claim(const std::string& path, const TargetFacts& facts, bool force, const std::string& root) {
  if (!facts.exists) return {};
  if (facts.block_device) {
    struct stat about{};
    if (::stat(path.c_str(), &about) != 0) return fail(errno_error(path));
    if (!devices_.contains(about.st_rdev)) {
      FF_TRY_ASSIGN(UniqueFd alone, claim_device(path, about.st_rdev, root));
      if (force) devices_.emplace(about.st_rdev, std::move(alone));
    }
  }
  if (force) {
    if (::access(path.c_str(), W_OK) != 0) return fail(errno_error(path));
    return {};
  }
  return fail(would_overwrite(path, facts.bytes));
}

Result<WorkFolder> WorkFolder::make(const std::string& parent, const std::string& prefix) {
  std::string path = fmt::format("{}/{}.XXXXXX", parent, prefix);
  if (::mkdtemp(path.data()) == nullptr) return fail(errno_error(parent + ": cannot make a folder there"));
  return WorkFolder(std::move(path));
}

WorkFolder::~WorkFolder() {
  if (path_.empty() || keep_) return;
  std::error_code ignored;  // nobody could do anything about it
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace ff::bench
