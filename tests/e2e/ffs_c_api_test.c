/* The C ABI of libffs from C, against the running file system of FF_CLUSTER: the header compiles as C11, the library
 * links alone, every function does what it says, and refuses what it must. Run by ffs_test.py. */
#include "ffs/blocking/ffs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: %s failed: %s\n", __FILE__, __LINE__, #condition, ffs_last_error()); \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

enum { kBytes = 3 << 20, kThreads = 4 };

static unsigned char pattern(size_t i) { return (unsigned char)(i * 31 + (i >> 8)); }

static void files(ffs_fs* fs) {
  ffs_file* file = NULL;
  ffs_stat_data about;
  unsigned char* bytes = malloc(kBytes);
  unsigned char* back = malloc(kBytes + 10);
  for (size_t i = 0; i < kBytes; ++i) bytes[i] = pattern(i);
  CHECK(ffs_open(fs, "/c/data", FFS_WRITE | FFS_READ | FFS_CREATE | FFS_EXCLUSIVE, 0640, &file) == 0);
  CHECK(ffs_pwrite(file, bytes, kBytes, 0) == kBytes);
  CHECK(ffs_pwrite(file, "far", 3, kBytes + 1000) == 3);
  CHECK(ffs_fsync(file) == 0);
  CHECK(ffs_fstat(file, &about) == 0 && about.size == kBytes + 1003 && about.type == FFS_REGULAR);
  CHECK(ffs_pread(file, back, 1000, kBytes) == 1000 && back[0] == 0 && back[999] == 0);
  CHECK(ffs_ftruncate(file, kBytes) == 0);
  CHECK(ffs_pread(file, back, kBytes + 10, 0) == kBytes && memcmp(back, bytes, kBytes) == 0);
  CHECK(ffs_pread(file, back, 10, kBytes) == 0);
  CHECK(ffs_close(file) == 0);
  CHECK(ffs_stat(fs, "/c/data", &about) == 0 && about.size == kBytes && about.mode == 0640 && about.links == 1);
  CHECK(about.chunk_bytes >= 65536 && about.modified.seconds > 1500000000);
  CHECK(ffs_open(fs, "/c/data", FFS_WRITE | FFS_CREATE | FFS_EXCLUSIVE, 0640, &file) == -EEXIST && file == NULL);
  CHECK(ffs_open(fs, "/c/none", FFS_READ, 0, &file) == -ENOENT);
  CHECK(strstr(ffs_last_error(), "none") != NULL);
  CHECK(ffs_open(fs, "/c/data", 0, 0, &file) == -EINVAL);
  CHECK(ffs_open(fs, "relative", FFS_READ, 0, &file) == -EINVAL);
  CHECK(ffs_open(fs, "/c/data", FFS_READ, 0, &file) == 0);
  CHECK(ffs_pwrite(file, "x", 1, 0) < 0);
  CHECK(ffs_close(file) == 0);
  CHECK(ffs_truncate(fs, "/c/data", 5) == 0);
  CHECK(ffs_open(fs, "/c/data", FFS_READ, 0, &file) == 0);
  CHECK(ffs_pread(file, back, 100, 0) == 5 && memcmp(back, bytes, 5) == 0);
  CHECK(ffs_close(file) == 0);
  free(bytes);
  free(back);
}

static int count(void* context, const char* name, const ffs_stat_data* about) {
  char* names = context;
  strcat(names, name);
  strcat(names, about->type == FFS_DIRECTORY ? "/ " : about->type == FFS_SYMLINK ? "@ " : " ");
  return 0;
}

static void names(ffs_fs* fs) {
  ffs_stat_data about;
  char text[256] = "";
  const ffs_time when = {1234567890, 987654321}, never = {0, 1000000000};
  CHECK(ffs_mkdir(fs, "/c/folder", 0755) == 0);
  CHECK(ffs_mkdir(fs, "/c/folder", 0755) == -EEXIST);
  CHECK(ffs_symlink(fs, "data", "/c/soft") == 0);
  CHECK(ffs_readlink(fs, "/c/soft", text, sizeof text) == 4 && strcmp(text, "data") == 0);
  CHECK(ffs_readlink(fs, "/c/soft", text, 3) == 4 && strcmp(text, "da") == 0);
  CHECK(ffs_readlink(fs, "/c/data", text, 3) == -EINVAL);
  CHECK(ffs_lstat(fs, "/c/soft", &about) == 0 && about.type == FFS_SYMLINK);
  CHECK(ffs_stat(fs, "/c/soft", &about) == 0 && about.type == FFS_REGULAR && about.size == 5);
  CHECK(ffs_link(fs, "/c/data", "/c/hard") == 0);
  CHECK(ffs_stat(fs, "/c/hard", &about) == 0 && about.links == 2);
  text[0] = '\0';
  CHECK(ffs_list(fs, "/c", count, text) == 0 && strcmp(text, "data folder/ hard soft@ ") == 0);
  CHECK(ffs_list(fs, "/c/data", count, text) == -ENOTDIR);
  CHECK(ffs_rename(fs, "/c/hard", "/c/data2", 0) == 0);
  CHECK(ffs_rename(fs, "/c/data2", "/c/soft", FFS_NO_REPLACE) == -EEXIST);
  CHECK(ffs_rename(fs, "/c/data2", "/c/soft", 64) == -EINVAL);
  CHECK(ffs_rename(fs, "/c/soft", "/c/folder", FFS_EXCHANGE) == 0);
  CHECK(ffs_lstat(fs, "/c/soft", &about) == 0 && about.type == FFS_DIRECTORY);
  CHECK(ffs_chmod(fs, "/c/data", 0600) == 0 && ffs_chown(fs, "/c/data", UINT32_MAX, UINT32_MAX) == 0);
  CHECK(ffs_utimens(fs, "/c/data", NULL, &when) == 0);
  CHECK(ffs_utimens(fs, "/c/data", &never, NULL) == -EINVAL);
  CHECK(ffs_stat(fs, "/c/data", &about) == 0 && about.mode == 0600);
  CHECK(about.modified.seconds == when.seconds && about.modified.nanoseconds == when.nanoseconds);
  CHECK(ffs_rmdir(fs, "/c") == -ENOTEMPTY);
  CHECK(ffs_unlink(fs, "/c/soft") == -EISDIR);
  CHECK(ffs_rmdir(fs, "/c/soft") == 0 && ffs_unlink(fs, "/c/folder") == 0);
  CHECK(ffs_unlink(fs, "/c/data") == 0 && ffs_unlink(fs, "/c/data2") == 0);
  CHECK(ffs_unlink(fs, "/c/data") == -ENOENT);
}

static ffs_file* shared;

static void* write_a_part(void* which) {
  const size_t part = (size_t)which, bytes = 1 << 20;
  unsigned char* mine = malloc(bytes);
  memset(mine, (int)part + 1, bytes);
  CHECK(ffs_pwrite(shared, mine, bytes, part * bytes) == (int64_t)bytes);
  free(mine);
  return NULL;
}

static void threads(ffs_fs* fs) {
  pthread_t all[kThreads];
  CHECK(ffs_open(fs, "/c/shared", FFS_WRITE | FFS_READ | FFS_CREATE, 0644, &shared) == 0);
  for (size_t i = 0; i < kThreads; ++i) CHECK(pthread_create(&all[i], NULL, write_a_part, (void*)i) == 0);
  for (size_t i = 0; i < kThreads; ++i) CHECK(pthread_join(all[i], NULL) == 0);
  for (size_t i = 0; i < kThreads; ++i) {
    unsigned char first = 0, last = 0;
    CHECK(ffs_pread(shared, &first, 1, i << 20) == 1 && first == i + 1);
    CHECK(ffs_pread(shared, &last, 1, ((i + 1) << 20) - 1) == 1 && last == i + 1);
  }
  CHECK(ffs_close(shared) == 0);
  CHECK(ffs_unlink(fs, "/c/shared") == 0);
}

int main(void) {
  ffs_fs* fs = NULL;
  CHECK(ffs_version() == FFS_ABI_VERSION);
  CHECK(ffs_connect("/nowhere/cluster.yaml", NULL, 0, &fs) == -ENOENT && fs == NULL);
  CHECK(ffs_connect(NULL, NULL, 0, NULL) == -EINVAL);
  CHECK(ffs_connect_as(NULL, NULL, 0, "/nowhere/token", &fs) == -ENOENT && fs == NULL);
  CHECK(ffs_stat(NULL, "/", NULL) == -EINVAL);
  CHECK(ffs_connect(NULL, "c abi test", 20000, &fs) == 0);
  CHECK(ffs_mkdir(fs, "/c", 0755) == 0);
  files(fs);
  names(fs);
  threads(fs);
  CHECK(ffs_rmdir(fs, "/c") == 0);
  ffs_disconnect(fs);
  ffs_disconnect(NULL);
  puts("ok");
  return 0;
}
