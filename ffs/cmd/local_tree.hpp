// LocalTree: folders, links and files made below one folder of this machine, and never anywhere else. What comes out of
// a file system was named by other users: a symbolic link that they made, or that stands there from an earlier copy,
// must not lead a later file out of the folder. So nothing below it is ever followed.
//
// Paths      relative, without "." and ".."; "" is the folder itself.
// Errors     name the path. kAlreadyExists with ENOTDIR: a link or a file stands where a folder is wanted.
// Threads    one at a time. Blocks for as long as the disk takes to make an entry.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "libcommon/base/file.hpp"

namespace ff::ffs {

class LocalTree {
 public:
  // The folder itself may be reached through links: who calls has named it.
  static Result<LocalTree> open(const std::string& folder);

  // `mode` without the process's umask; a folder that is there already keeps its own. What its owner could not fill
  // while it has that mode gets it in finish().
  Result<> make_folder(const std::string& path, unsigned mode);
  // Replaces a link or a file.
  Result<> make_link(const std::string& path, const std::string& target);
  // commit() replaces a link or a file.
  Result<AtomicFile> make_file(const std::string& path, unsigned mode);
  // After everything.
  Result<> finish();

 private:
  struct Late {
    std::string path;
    mode_t mode = 0;
  };
  LocalTree(std::string shown, UniqueFd root);
  std::string shown(const std::string& path) const;
  // Of an existing folder.
  Result<UniqueFd> enter(const std::string& path) const;

  std::string shown_;
  UniqueFd root_;
  mode_t umask_;
  std::vector<Late> late_;
};

// Folders are filled by their owner: while that lasts they have these bits, whatever is wanted in the end.
constexpr unsigned fillable(unsigned mode) noexcept { return mode | 0700u; }
// Whether a folder with `mode` is one that was made to become `wanted`, in this run or one that was interrupted.
constexpr bool made_for(unsigned mode, unsigned wanted) noexcept { return mode == wanted || mode == fillable(wanted); }

}  // namespace ff::ffs
