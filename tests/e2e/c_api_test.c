/* The C ABI from C: the header compiles as C11, the library links alone, and every function does what it says for one
 * rank; two ranks in two processes sum, queue, exchange and see each other's mistakes. */
#include "hfreduce/hfreduce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: %s failed: %s\n", __FILE__, __LINE__, #condition, hfr_last_error()); \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

static void one_rank(void) {
  hfr_comm* comm = NULL;
  hfr_unique_id id;
  int rank = -1, size = -1;
  float a[4] = {1, 2, 3, 4}, b[4] = {0};
  CHECK(hfr_version() == HFR_ABI_VERSION);
  CHECK(hfr_dtype_size(HFR_BFLOAT16) == 2 && hfr_dtype_size((hfr_dtype)99) == 0);
  CHECK(hfr_get_unique_id(&id, NULL) == HFR_OK);
  CHECK(hfr_comm_init_rank(&comm, 1, &id, 0, NULL) == HFR_OK);
  CHECK(hfr_comm_rank(comm, &rank) == HFR_OK && rank == 0);
  CHECK(hfr_comm_size(comm, &size) == HFR_OK && size == 1);
  CHECK(hfr_all_reduce(a, b, 4, HFR_FLOAT32, HFR_SUM, comm, NULL) == HFR_OK && b[3] == 4);
  CHECK(hfr_all_reduce(a, b, 4, (hfr_dtype)99, HFR_SUM, comm, NULL) == HFR_INVALID_ARGUMENT);
  CHECK(hfr_all_reduce(a, b, 4, HFR_FLOAT32, (hfr_op)99, comm, NULL) == HFR_INVALID_ARGUMENT);
  CHECK(hfr_all_reduce(a, b, 4, HFR_FLOAT32, HFR_SUM, NULL, NULL) == HFR_INVALID_ARGUMENT);
  CHECK(strlen(hfr_last_error()) > 0);
  CHECK(hfr_comm_get_async_error(comm) == HFR_OK);
  CHECK(hfr_comm_abort(comm, "test") == HFR_OK);
  CHECK(hfr_comm_get_async_error(comm) == HFR_ABORTED);
  CHECK(hfr_comm_destroy(comm) == HFR_OK);
}

static void two_ranks(int rank, const hfr_unique_id* id) {
  hfr_config config;
  hfr_comm* comm = NULL;
  hfr_request* request = NULL;
  void* window = NULL;
  int done = 0;
  double x[3] = {1, 2, 3}, y[6] = {0};
  CHECK(hfr_config_init(&config) == HFR_OK);
  config.timeout_ms = 20000;
  CHECK(hfr_comm_init_rank(&comm, 2, id, rank, &config) == HFR_OK);
  CHECK(hfr_alloc(comm, &window, 1 << 20) == HFR_OK);
  for (int i = 0; i < 1 << 18; ++i) ((int32_t*)window)[i] = rank + i;
  CHECK(hfr_all_reduce(window, window, 1 << 18, HFR_INT32, HFR_SUM, comm, &request) == HFR_OK);
  CHECK(hfr_wait(&request) == HFR_OK && request == NULL);
  CHECK(((int32_t*)window)[1000] == 2001);
  CHECK(hfr_all_gather(x, y, 3, HFR_FLOAT64, comm, &request) == HFR_OK);
  CHECK(hfr_barrier(comm) == HFR_OK);
  CHECK(hfr_test(request, &done) == HFR_OK && done == 1);
  CHECK(hfr_wait(&request) == HFR_OK && y[5] == 3);
  CHECK(hfr_group_start(comm) == HFR_OK);
  CHECK(hfr_send(x, 3, HFR_FLOAT64, 1 - rank, comm, NULL) == HFR_OK);
  CHECK(hfr_recv(y, 3, HFR_FLOAT64, 1 - rank, comm, NULL) == HFR_OK);
  CHECK(hfr_group_end(comm) == HFR_OK && y[1] == 2);
  /* A request of an open group cannot be waited for, and is not lost by trying. */
  CHECK(hfr_group_start(comm) == HFR_OK);
  CHECK(hfr_all_reduce(x, y, 3, HFR_FLOAT64, HFR_SUM, comm, &request) == HFR_OK && request != NULL);
  CHECK(hfr_test(request, &done) == HFR_OK && done == 0);
  CHECK(hfr_wait(&request) == HFR_INVALID_ARGUMENT && request != NULL);
  CHECK(hfr_group_end(comm) == HFR_OK);
  CHECK(hfr_wait(&request) == HFR_OK && request == NULL && y[2] == 6);
  /* A count that would wrap in bytes. */
  CHECK(hfr_send(x, ((uint64_t)1 << 61) + 1, HFR_FLOAT64, 1 - rank, comm, NULL) == HFR_INVALID_ARGUMENT);
  /* A mistake of one rank is an error of both. */
  CHECK(hfr_all_reduce(x, y, (uint64_t)(2 + rank), HFR_FLOAT64, HFR_SUM, comm, NULL) == HFR_MISMATCH);
  CHECK(hfr_comm_destroy(comm) == HFR_OK);
}

int main(void) {
  hfr_unique_id id;
  int status = 0;
  one_rank();
  CHECK(hfr_get_unique_id(&id, "127.0.0.1") == HFR_OK);
  const pid_t child = fork();
  if (child == 0) {
    /* The id's socket is its maker's; this process only joins. */
    two_ranks(1, &id);
    _exit(0);
  }
  two_ranks(0, &id);
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return 0;
}
