/* libffjob: what a program that runs as a job of ffctl may ask and tell. C ABI; ffjob(3) has an example.
 *
 *   ff_init();
 *   for (step = ff_resume_step(); step < steps; ) {
 *     train(); ++step;
 *     if (ff_should_stop(step)) {             // on EVERY rank, after every step
 *       ff_saving(bytes, seconds);            // while it says so, it is given more time
 *       save(step);                           // all ranks together, as usual
 *       ff_saved(step);                       // on every rank, when the checkpoint is whole
 *       return 0;                             // exit code 0 after ff_saved: suspended, goes on later
 *     }
 *   }
 *
 * Ask after the last step only if it does not matter: a job that is told to leave there goes on later, and ends at
 * once. A rank that makes its last step and exits with 0 is complete, also when it was asked to stop meanwhile.
 *
 * All ranks of a job leave at the same step: ff_should_stop() returns 1 to all of them for the same number, without any
 * communication between them. Outside a job (FF_CTL is not set) every function is harmless: nobody asks for anything.
 *
 * Returns    0 or a count; negative errno values where something is wrong, and ff_error() says what.
 * Threads    ff_should_stop() from one thread at a time, the others from any.
 * Stability  Functions are only added. The page behind them is versioned (ffctl/ffjob/page.md).
 */
#ifndef FFJOB_H
#define FFJOB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FF_STATE_BYTES_MAX 65536u
#define FF_EXIT_REQUEUE 75 /* "start me again" */

/* Finds the page of this job; the other functions do so by themselves when first called. 0 also outside a job. */
int ff_init(void);
/* 1 inside a job, 0 outside. */
int ff_active(void);

/* `step`: how many are done. 1: save and leave now. Costs one cached load and a fence while nothing is asked; at a
 * proposed stop it waits until all nodes have agreed. */
int ff_should_stop(uint64_t step);
/* A checkpoint is being written: how large it is and how long it may take, 0 where unknown. */
int ff_saving(uint64_t bytes, double seconds);
/* The checkpoint of `step` is whole; FF_RESUME_STEP of the next attempt. Also for checkpoints in passing. */
int ff_saved(uint64_t step);
/* Gives the nodes back: ends this process, with exit code 0 when it was asked to stop and has saved, else with
 * FF_EXIT_REQUEUE. Runs exit handlers. Outside a job it returns. */
void ff_yield(void);
/* Is alive, for programs whose steps take long. */
int ff_heartbeat(void);

/* Up to FF_STATE_BYTES_MAX that survive attempts; what rank 0 sets counts, and what others set is ignored. The length
 * of the state, of which at most `bytes` were copied. */
int64_t ff_state_get(void* buffer, size_t bytes);
int ff_state_set(const void* data, size_t bytes);

/* The step of the last checkpoint that an earlier attempt reported; 0: from the beginning, and outside a job. */
uint64_t ff_resume_step(void);
/* 1, 2, ...; 0 outside a job. */
uint32_t ff_attempt(void);
/* Of this thread's last call that failed; "" before one has. */
const char* ff_error(void);

#ifdef __cplusplus
}
#endif
#endif
