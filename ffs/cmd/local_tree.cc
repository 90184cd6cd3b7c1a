#include "ffs/cmd/local_tree.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ranges>
#include <utility>

namespace ff::ffs {

namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// "a/b/c" to "a/b" and "c"; "c" to "" and "c".
std::pair<std::string, std::string> split_last(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == path.npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

LocalTree::LocalTree(std::string shown, UniqueFd root) : shown_(std::move(shown)), root_(std::move(root)) {
  umask_ = ::umask(0);
  ::umask(umask_);
}

Result<LocalTree> LocalTree::open(const std::string& folder) {
  UniqueFd root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail(errno_error(folder));
  return LocalTree(folder, std::move(root));
}

std::string LocalTree::shown(const std::string& path) const {
  return path.empty() ? shown_ : shown_ + (shown_.ends_with('/') ? "" : "/") + path;
}

Result<UniqueFd> LocalTree::enter(const std::string& path) const {
  UniqueFd at(::openat(root_.get(), ".", kFolder));
  if (!at) return fail(errno_error(shown_));
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    if (name == "." || name == ".." || name.empty()) {
      return fail(Errc::kInvalidArgument, fmt::format("{}: '{}' is no name", shown(path), name), EINVAL);
    }
    const UniqueFd above = std::exchange(at, UniqueFd(::openat(at.get(), name.c_str(), kFolder)));
    if (!at && (errno == ELOOP || errno == ENOTDIR)) {
      return fail(Errc::kAlreadyExists,
                  fmt::format("{}: a link or a file stands where a folder is wanted (move it away)",
                              shown(path.substr(0, end))),
                  ENOTDIR);
    }
    if (!at) return fail(errno_error(shown(path.substr(0, end))));
    begin = end + 1;
  }
  return at;
}

Result<> LocalTree::make_folder(const std::string& path, unsigned mode) {
  if (path.empty()) return {};
  const auto [above, name] = split_last(path);
  FF_TRY_ASSIGN(const UniqueFd folder, enter(above));
  const mode_t wanted = mode & 0777u & ~umask_;
  const bool made = ::mkdirat(folder.get(), name.c_str(), fillable(wanted)) == 0;
  if (!made && errno != EEXIST) return fail(errno_error(shown(path)));
  FF_TRY_ASSIGN(const UniqueFd there, enter(path));
  struct stat facts{};
  if (::fstat(there.get(), &facts) != 0) return fail(errno_error(shown(path)));
  if (wanted == fillable(wanted) || (!made && !made_for(facts.st_mode & 0777u, wanted))) return {};
  const mode_t special = facts.st_mode & 07000u;
  if (::fchmod(there.get(), special | fillable(wanted)) != 0) return fail(errno_error(shown(path)));
  late_.push_back({path, special | wanted});
  return {};
}

Result<> LocalTree::make_link(const std::string& path, const std::string& target) {
  const auto [above, name] = split_last(path);
  FF_TRY_ASSIGN(const UniqueFd folder, enter(above));
  if (::symlinkat(target.c_str(), folder.get(), name.c_str()) == 0) return {};
  if (errno != EEXIST) return fail(errno_error(shown(path)));
  const std::string beside = fmt::format("{}.tmp.{}", name.substr(0, 200), ::getpid());
  (void)::unlinkat(folder.get(), beside.c_str(), 0);
  if (::symlinkat(target.c_str(), folder.get(), beside.c_str()) != 0) return fail(errno_error(shown(path)));
  if (::renameat(folder.get(), beside.c_str(), folder.get(), name.c_str()) == 0) return {};
  const int why = errno;
  (void)::unlinkat(folder.get(), beside.c_str(), 0);
  return fail(errno_error(shown(path), why));
}

Result<AtomicFile> LocalTree::make_file(const std::string& path, unsigned mode) {
  auto [above, name] = split_last(path);
  FF_TRY_ASSIGN(UniqueFd folder, enter(above));
  return AtomicFile::create_in(std::move(folder), name, shown(path), mode & 0777u);
}

Result<> LocalTree::finish() {
  // The deepest first: a folder that may not be entered any more has nothing left to do below it.
  const std::vector<Late> all = std::exchange(late_, {});
  for (const Late& late : std::views::reverse(all)) {
    FF_TRY_ASSIGN(const UniqueFd folder, enter(late.path));
    if (::fchmod(folder.get(), late.mode) != 0) return fail(errno_error(shown(late.path)));
  }
  return {};
}

}  // namespace ff::ffs
