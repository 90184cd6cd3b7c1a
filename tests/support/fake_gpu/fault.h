// Faults that the environment asks for. See README.md.
#ifndef FF_TESTS_FAKE_GPU_FAULT_H
#define FF_TESTS_FAKE_GPU_FAULT_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline long fake_number(const char* name, long otherwise) {
  const char* text = getenv(name);
  return text == NULL ? otherwise : strtol(text, NULL, 0);
}

static inline int fake_is(const char* name, const char* call) {
  const char* text = getenv(name);
  return text != NULL && strcmp(text, call) == 0;
}

// The status of a call: `error` when the environment asks for it, else 0. Does not return when asked to hang.
static inline int fake_status(const char* call, int error) {
  while (fake_is("FAKE_GPU_HANG", call)) sleep(1);
  return fake_is("FAKE_GPU_ERROR", call) ? error : 0;
}

#endif
