// Path resolution: from a Where to an inode, or to the place in a directory where a name is or could be.
//
// Paths      From `base`; a path of the caller has no "." and ".." (EINVAL), the targets of symlinks may. At most
//            kPathBytesMax bytes, names of at most kNameBytesMax, kSymlinksFollowedMax symlinks (ELOOP).
// Permission Search in every directory that is passed.
#pragma once

#include <optional>
#include <string>

#include "ffs/meta/view.hpp"

namespace ff::ffs {

struct Resolved {
  std::optional<Inode> parent;   // none: the path named no entry (it was empty, or ended in ".." of a symlink)
  std::string name;              // in the parent
  std::optional<Inode> target;   // none: no such entry; REQUIRES then: parent
  bool wants_directory = false;  // the path ended in '/'
  std::string shown;             // of the path, for messages
};

// ENOENT only for what lies on the way: a missing last entry is a Resolved without target. `follow`: a symlink at the
// end.
runtime::Task<Result<Resolved>> resolve(View& view, const User& user, const Where& where, bool follow);
// The inode; ENOENT, ENOTDIR.
runtime::Task<Result<Inode>> resolve_inode(View& view, const User& user, const Where& where, bool follow);

}  // namespace ff::ffs
