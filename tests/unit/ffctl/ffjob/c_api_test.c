/* The C ABI as a program sees it.
 *
 * usage: c_api_test none        outside a job
 *        c_api_test loop        counts steps until it is told to stop, then saves and leaves
 *        c_api_test yield       gives its place back
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ffctl/ffjob/ffjob.h"

#define CHECK(condition)                                                               \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, ff_error()); \
      exit(9);                                                                         \
    }                                                                                  \
  } while (0)

static void outside(void) {
  char buffer[8];
  CHECK(ff_init() == 0 && ff_active() == 0 && ff_attempt() == 0 && ff_resume_step() == 0);
  for (unsigned step = 1; step < 1000; ++step) CHECK(ff_should_stop(step) == 0);
  CHECK(ff_saving(1, 2.0) == 0 && ff_saved(3) == 0 && ff_heartbeat() == 0);
  CHECK(ff_state_set("abc", 3) == 0 && ff_state_get(buffer, sizeof buffer) == 0);
  ff_yield();
}

static void loop(void) {
  char buffer[64] = {0};
  uint64_t step = ff_resume_step();
  const struct timespec pause = {0, 1000000};
  CHECK(ff_init() == 0 && ff_active() == 1);
  const int64_t bytes = ff_state_get(buffer, sizeof buffer);
  CHECK(bytes >= 0);
  printf("attempt %u step %llu state '%s'\n", ff_attempt(), (unsigned long long)step, buffer);
  fflush(stdout);
  CHECK(ff_state_set("kept", 4) == 0);
  CHECK(ff_state_set(buffer, (size_t)FF_STATE_BYTES_MAX + 1) < 0 && strlen(ff_error()) > 0);
  do {
    nanosleep(&pause, NULL);
    ++step;
  } while (!ff_should_stop(step));
  CHECK(ff_saving(1024, 0.5) == 0 && ff_saved(step) == 0);
  printf("left at %llu\n", (unsigned long long)step);
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "none";
  if (strcmp(what, "none") == 0) outside();
  if (strcmp(what, "loop") == 0) loop();
  if (strcmp(what, "yield") == 0) {
    ff_yield();
    return 1;
  }
  if (strcmp(what, "rate") == 0) {
    struct timespec begin, end;
    const uint64_t calls = 20000000;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (uint64_t step = 1; step <= calls; ++step) CHECK(ff_should_stop(step) == 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.1f ns a call\n",
           ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / (double)calls);
  }
  return 0;
}
