// stream_min: the shortest honest program for the four kernels of STREAM, as a yardstick for `ffbench mem`: plain loops
// over doubles, one bound thread a processor, what the compiler makes of them (ordinary stores).
// Build it with -fno-builtin: a call of memcpy in place of copy would store in another way.
//
// usage: stream_min BYTES_PER_ARRAY THREADS SECONDS      prints "copy RATE" ... in bytes a second, STREAM's counting
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr double kScalar = 3;
constexpr int kKernels = 4;
constexpr const char* kNames[kKernels] = {"copy", "scale", "add", "triad"};
constexpr int kArrays[kKernels] = {2, 2, 3, 3};

struct Task {
  pthread_t thread;
  pthread_barrier_t* barrier;
  int cpu;
  std::size_t count;
  double seconds;
  double *x, *y, *to;
  double rate[kKernels];
  bool right[kKernels];
};

double now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

[[gnu::noinline]] void run(int kernel, Task& t) {
  double* const __restrict to = t.to;
  const double* const __restrict x = t.x;
  const double* const __restrict y = t.y;
  const std::size_t n = t.count;
  switch (kernel) {
    case 0:
      for (std::size_t i = 0; i < n; ++i) to[i] = x[i];
      break;
    case 1:
      for (std::size_t i = 0; i < n; ++i) to[i] = kScalar * x[i];
      break;
    case 2:
      for (std::size_t i = 0; i < n; ++i) to[i] = x[i] + y[i];
      break;
    default:
      for (std::size_t i = 0; i < n; ++i) to[i] = x[i] + kScalar * y[i];
  }
}

void* work(void* argument) {
  Task& t = *static_cast<Task*>(argument);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(t.cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
  for (std::size_t i = 0; i < t.count; ++i) t.x[i] = 1, t.y[i] = 2, t.to[i] = 0;
  constexpr double kExpected[kKernels] = {1, 3, 3, 7};
  for (int kernel = 0; kernel < kKernels; ++kernel) {
    run(kernel, t);
    pthread_barrier_wait(t.barrier);
    const double begin = now();
    double elapsed = 0;
    std::size_t passes = 0;
    do {
      run(kernel, t);
      ++passes;
      elapsed = now() - begin;
    } while (elapsed < t.seconds);
    t.rate[kernel] = static_cast<double>(passes * t.count) * 8 * kArrays[kernel] / elapsed;
    t.right[kernel] = true;
    for (std::size_t i = 0; i < t.count; ++i) t.right[kernel] &= t.to[i] == kExpected[kernel];
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: stream_min BYTES_PER_ARRAY THREADS SECONDS\n");
    return 2;
  }
  const std::size_t count = std::strtoull(argv[1], nullptr, 10) / 8;
  const int threads = std::atoi(argv[2]);
  if (count < 1024 || threads < 1 || threads > 1024) {
    std::fprintf(stderr, "stream_min: BYTES_PER_ARRAY is 8192 or more, THREADS 1 to 1024\n");
    return 2;
  }
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, nullptr, static_cast<unsigned>(threads));
  std::vector<Task> tasks(static_cast<std::size_t>(threads));
  int cpu = -1;
  for (Task& t : tasks) {
    do ++cpu;
    while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &allowed));
    if (cpu == CPU_SETSIZE) {
      std::fprintf(stderr, "stream_min: more threads than processors\n");
      return 2;
    }
    t.barrier = &barrier;
    t.cpu = cpu;
    t.count = count / static_cast<std::size_t>(threads);
    t.seconds = std::atof(argv[3]);
    for (double** array : {&t.x, &t.y, &t.to}) {
      *array = static_cast<double*>(std::aligned_alloc(2u << 20, (t.count * 8 + (2u << 20) - 1) >> 21 << 21));
      if (*array == nullptr) return 1;
    }
  }
  for (Task& t : tasks) {
    if (pthread_create(&t.thread, nullptr, work, &t) != 0) return 1;
  }
  for (Task& t : tasks) pthread_join(t.thread, nullptr);
  for (int kernel = 0; kernel < kKernels; ++kernel) {
    double rate = 0;
    bool right = true;
    for (const Task& t : tasks) rate += t.rate[kernel], right = right && t.right[kernel];
    if (!right) {
      std::fprintf(stderr, "stream_min: wrong %s\n", kNames[kernel]);
      return 1;
    }
    std::printf("%s %.0f\n", kNames[kernel], rate);
  }
  return 0;
}
