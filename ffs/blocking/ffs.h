/* libffs, C ABI: files of a Fire-Flyer file system without a mount. Usable from C, C++, and ctypes.
 *
 * Contracts (visibility, durability, errors) are those of ffs/client/file_system.hpp; this header says only what
 * differs.
 *
 * Errors     Functions return 0 (or a count) and -errno: -ENOENT, -EACCES, ... ETIMEDOUT and EAGAIN: nobody answered in
 *            time (a change may have been made); EIO: no replica has good bytes, or the cluster is not as it should be.
 *            ffs_last_error() gives this thread's last message. No function exits or throws.
 * Waits      Every call ends within the timeout of ffs_connect() for each operation it is made of.
 * Threads    Any number of calls at a time, on one handle too; ffs_close() and ffs_disconnect() end a handle, after its
 *            other calls have returned. A child process after fork() must connect anew.
 * Paths      Absolute; names are bytes. Text comes back NUL-terminated.
 * Stability  Numbers and struct layouts below never change.
 */
#ifndef FFS_H
#define FFS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FFS_ABI_VERSION 1

typedef struct ffs_fs ffs_fs;
typedef struct ffs_file ffs_file;

enum { FFS_REGULAR = 1, FFS_DIRECTORY = 2, FFS_SYMLINK = 3 };

/* Of ffs_open(). */
enum {
  FFS_READ = 1,
  FFS_WRITE = 2,
  FFS_CREATE = 4,
  FFS_EXCLUSIVE = 8, /* with FFS_CREATE: -EEXIST if it is there */
  FFS_TRUNCATE = 16
};

/* Of ffs_rename(). */
enum { FFS_NO_REPLACE = 1, FFS_EXCHANGE = 2 };

typedef struct {
  int64_t seconds;
  int64_t nanoseconds;
} ffs_time;

typedef struct {
  uint64_t inode;
  uint32_t type; /* FFS_REGULAR ... */
  uint32_t mode; /* permission bits with setuid, setgid, sticky */
  uint32_t uid, gid;
  uint64_t links;
  uint64_t size;
  ffs_time accessed, modified, changed, created;
  uint64_t chunk_bytes; /* of a regular file */
} ffs_stat_data;

uint32_t ffs_version(void); /* FFS_ABI_VERSION of the library */
const char* ffs_last_error(void);

/* `cluster`: description of the file system, or the folder that holds it as cluster.yaml; NULL: as the command ffs
 * finds it (FF_CLUSTER, ...). `what`: for the list of sessions; NULL: "libffs". `timeout_ms`: of one operation with all
 * its retries; 0: 30 s. Calls act as the user of the token in the file that FF_FFS_TOKEN_FILE names, which its owner
 * alone may read; where it is not set, as the user of this process. -EACCES: others may read that file; from the first
 * operation on: the token is not known, revoked or expired, or the file system asks for one and there is none. */
int ffs_connect(const char* cluster, const char* what, uint64_t timeout_ms, ffs_fs** out);
/* The same as the user of the token in `token_file`; NULL: as ffs_connect(). */
int ffs_connect_as(const char* cluster, const char* what, uint64_t timeout_ms, const char* token_file, ffs_fs** out);
void ffs_disconnect(ffs_fs* fs); /* after its files are closed; NULL is fine */

int ffs_open(ffs_fs* fs, const char* path, int flags, uint32_t mode, ffs_file** out);
/* Less than asked only at the end of the file; 0 there. Holes read as zeros. */
int64_t ffs_pread(ffs_file* file, void* into, size_t bytes, uint64_t offset);
/* All, or an error (then any part may have been written). */
int64_t ffs_pwrite(ffs_file* file, const void* from, size_t bytes, uint64_t offset);
int ffs_ftruncate(ffs_file* file, uint64_t size);
int ffs_fsync(ffs_file* file);
int ffs_fstat(ffs_file* file, ffs_stat_data* out); /* as of the last answer, with what this handle wrote */
int ffs_close(ffs_file* file);                     /* fsync for a writer; the handle is gone after an error too */

int ffs_stat(ffs_fs* fs, const char* path, ffs_stat_data* out);
int ffs_lstat(ffs_fs* fs, const char* path, ffs_stat_data* out);
int ffs_mkdir(ffs_fs* fs, const char* path, uint32_t mode);
int ffs_rmdir(ffs_fs* fs, const char* path);
int ffs_unlink(ffs_fs* fs, const char* path);
int ffs_rename(ffs_fs* fs, const char* from, const char* to, int flags);
int ffs_link(ffs_fs* fs, const char* from, const char* to);
int ffs_symlink(ffs_fs* fs, const char* target, const char* path);
/* Bytes of the target, of which at most `room` - 1 are stored, with a NUL. */
int64_t ffs_readlink(ffs_fs* fs, const char* path, char* into, size_t room);
int ffs_chmod(ffs_fs* fs, const char* path, uint32_t mode);
int ffs_chown(ffs_fs* fs, const char* path, uint32_t uid, uint32_t gid); /* UINT32_MAX: leave */
int ffs_utimens(ffs_fs* fs, const char* path, const ffs_time* accessed, const ffs_time* modified); /* NULL: leave */
int ffs_truncate(ffs_fs* fs, const char* path, uint64_t size);

/* Everything in a folder, ordered by name, without "." and "..". `visit` runs on another thread while this one waits
 * and must not call into this library; it returns 0 to go on. */
typedef int (*ffs_visit)(void* context, const char* name, const ffs_stat_data* about);
int ffs_list(ffs_fs* fs, const char* path, ffs_visit visit, void* context);

#ifdef __cplusplus
}
#endif

#endif
