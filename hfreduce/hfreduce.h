/* libhfreduce, C ABI: collectives on the CPU for processes of one machine (shared memory) and of many (TCP).
 *
 * Usable from C, C++, and ctypes. Contracts (buffers, in-place rules, ordering, errors) are those of
 * hfreduce/communicator.hpp; this header says only what differs.
 *
 * Errors     Functions return hfr_result; hfr_last_error() gives this thread's message. No function exits or throws.
 * Handles    hfr_comm and hfr_request are owned by the caller: hfr_comm_destroy, hfr_request_free.
 * Stability  Numbers and struct layouts below never change; new fields go to the end of versioned structs.
 */
#ifndef HFREDUCE_H
#define HFREDUCE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HFR_ABI_VERSION 1

typedef enum {
  HFR_OK = 0,
  HFR_INVALID_ARGUMENT = 1,
  HFR_TIMEOUT = 2,   /* a rank did not take part in time; the message names it */
  HFR_RANK_LOST = 3, /* a rank died, is stopped or cut off; the message names it */
  HFR_MISMATCH = 4,  /* ranks called different collectives; the message names both */
  HFR_ABORTED = 5,
  HFR_EXHAUSTED = 6, /* out of memory or another bound */
  HFR_SYSTEM = 7,    /* the operating system refused */
  HFR_UNSUPPORTED = 8,
  HFR_INTERNAL = 9
} hfr_result;

typedef enum {
  HFR_FLOAT32 = 0,
  HFR_FLOAT16 = 1,
  HFR_BFLOAT16 = 2,
  HFR_FLOAT8_E4M3 = 3,
  HFR_FLOAT8_E5M2 = 4,
  HFR_FLOAT64 = 5,
  HFR_INT8 = 6,
  HFR_UINT8 = 7,
  HFR_INT32 = 8,
  HFR_INT64 = 9
} hfr_dtype;

typedef enum { HFR_SUM = 0, HFR_AVG = 1, HFR_MIN = 2, HFR_MAX = 3, HFR_PROD = 4 } hfr_op;

typedef struct hfr_comm hfr_comm;
typedef struct hfr_request hfr_request;

typedef struct {
  char text[128];
} hfr_unique_id; /* printable, NUL-terminated */

typedef struct {
  uint32_t size;       /* sizeof(hfr_config), set by hfr_config_init */
  uint32_t version;    /* HFR_ABI_VERSION, likewise */
  uint64_t timeout_ms; /* of each call */
  uint64_t connect_timeout_ms;
  int32_t transport;     /* 0 auto, 1 shared memory, 2 TCP */
  int32_t deterministic; /* 0 or 1 */
  int32_t channels;      /* 0 = default */
  int32_t trace;         /* 0 or 1 */
} hfr_config;

uint32_t hfr_version(void); /* HFR_ABI_VERSION of the library */
const char* hfr_last_error(void);
const char* hfr_result_name(hfr_result result);
size_t hfr_dtype_size(hfr_dtype dtype); /* 0 for an unknown one */

/* Defaults overridden by the HFR_* environment variables. */
hfr_result hfr_config_init(hfr_config* config);
hfr_result hfr_get_unique_id(hfr_unique_id* id, const char* address /* NULL: 127.0.0.1 */);
/* config NULL: as hfr_config_init gives. */
hfr_result hfr_comm_init_rank(hfr_comm** comm, int nranks, const hfr_unique_id* id, int rank, const hfr_config* config);
/* From RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, HFR_TOKEN. */
hfr_result hfr_comm_init_env(hfr_comm** comm, const hfr_config* config);
hfr_result hfr_comm_destroy(hfr_comm* comm);
hfr_result hfr_comm_rank(const hfr_comm* comm, int* rank);
hfr_result hfr_comm_size(const hfr_comm* comm, int* size);
hfr_result hfr_comm_abort(hfr_comm* comm, const char* reason);
/* Result of the verdict: HFR_OK while the communicator is good. */
hfr_result hfr_comm_get_async_error(hfr_comm* comm);
hfr_result hfr_comm_shrink(hfr_comm* comm, const int* exclude, int nexclude, hfr_comm** shrunk);
/* Writes the flight recorder as JSON lines. */
hfr_result hfr_comm_dump(hfr_comm* comm, const char* path);

hfr_result hfr_alloc(hfr_comm* comm, void** pointer, size_t bytes);
hfr_result hfr_free(hfr_comm* comm, void* pointer);

/* A NULL request blocks; otherwise *request is to be waited for and freed. */
hfr_result hfr_all_reduce(const void* send, void* recv, uint64_t count, hfr_dtype dtype, hfr_op op, hfr_comm* comm,
                          hfr_request** request);
hfr_result hfr_reduce(const void* send, void* recv, uint64_t count, hfr_dtype dtype, hfr_op op, int root,
                      hfr_comm* comm, hfr_request** request);
hfr_result hfr_broadcast(const void* send, void* recv, uint64_t count, hfr_dtype dtype, int root, hfr_comm* comm,
                         hfr_request** request);
hfr_result hfr_reduce_scatter(const void* send, void* recv, uint64_t recv_count, hfr_dtype dtype, hfr_op op,
                              hfr_comm* comm, hfr_request** request);
hfr_result hfr_all_gather(const void* send, void* recv, uint64_t send_count, hfr_dtype dtype, hfr_comm* comm,
                          hfr_request** request);
hfr_result hfr_all_to_all(const void* send, void* recv, uint64_t count_per_peer, hfr_dtype dtype, hfr_comm* comm,
                          hfr_request** request);
hfr_result hfr_gather(const void* send, void* recv, uint64_t send_count, hfr_dtype dtype, int root, hfr_comm* comm,
                      hfr_request** request);
hfr_result hfr_scatter(const void* send, void* recv, uint64_t recv_count, hfr_dtype dtype, int root, hfr_comm* comm,
                       hfr_request** request);
/* Arrays have one entry per rank; they are copied before the call returns. */
hfr_result hfr_reduce_scatter_v(const void* send, void* recv, const uint64_t* recv_counts, hfr_dtype dtype, hfr_op op,
                                hfr_comm* comm, hfr_request** request);
hfr_result hfr_all_gather_v(const void* send, void* recv, const uint64_t* recv_counts, const uint64_t* recv_displs,
                            hfr_dtype dtype, hfr_comm* comm, hfr_request** request);
hfr_result hfr_all_to_all_v(const void* send, const uint64_t* send_counts, const uint64_t* send_displs, void* recv,
                            const uint64_t* recv_counts, const uint64_t* recv_displs, hfr_dtype dtype, hfr_comm* comm,
                            hfr_request** request);
hfr_result hfr_send(const void* data, uint64_t count, hfr_dtype dtype, int peer, hfr_comm* comm, hfr_request** request);
hfr_result hfr_recv(void* data, uint64_t count, hfr_dtype dtype, int peer, hfr_comm* comm, hfr_request** request);
hfr_result hfr_barrier(hfr_comm* comm);

hfr_result hfr_group_start(hfr_comm* comm);
hfr_result hfr_group_end(hfr_comm* comm);

/* Blocks until the call is done, then frees the request and sets it to NULL. Before hfr_group_end of the group that the
 * call is in: HFR_INVALID_ARGUMENT at once, and the request stays. */
hfr_result hfr_wait(hfr_request** request);
/* *done = 1 when hfr_wait would not block. */
hfr_result hfr_test(const hfr_request* request, int* done);

#ifdef __cplusplus
}
#endif

#endif /* HFREDUCE_H */
