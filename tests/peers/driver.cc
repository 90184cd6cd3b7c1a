#include "tests/peers/driver.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ff::peers {
namespace {

constexpr std::uint64_t kBatchNs = 4'000'000;
constexpr std::uint64_t kCallsMax = 1 << 20;
constexpr std::size_t kBatchesMin = 2;
constexpr std::size_t kBatchesMax = 200;
constexpr int kPeriod = 13;

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(2);
}

std::uint64_t parse_number(std::string_view text, const std::string& what) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0)
    refuse(what + ": '" + std::string(text) + "' is not a positive number");
  return value;
}

Case parse_case(const std::string& text) {
  const std::size_t first = text.find(':'), last = text.rfind(':');
  if (first == std::string::npos || first == last) refuse("--cases: '" + text + "' is not VARIANT:DTYPE:BYTES");
  Case one{.text = text, .variant = text.substr(0, first)};
  const std::string element = text.substr(first + 1, last - first - 1);
  if (element == "half")
    one.element = Element::kHalf;
  else if (element == "bfloat16")
    one.element = Element::kBfloat16;
  else if (element != "float")
    refuse("--cases: '" + element + "' is not float, half or bfloat16");
  one.bytes = parse_number(text.substr(last + 1), "--cases");
  if (one.bytes % 4 != 0) refuse("--cases: " + text + ": bytes must be a multiple of 4");
  return one;
}

// Small integers: their sums over up to 32 ranks are exact in each type, in any order.
int input_value(std::uint64_t index, int rank) {
  return static_cast<int>((index * 7 + static_cast<std::uint64_t>(rank) * 3) % kPeriod) - kPeriod / 2;
}

std::uint32_t encode(Element element, int value) {
  const auto number = static_cast<float>(value);
  switch (element) {
    case Element::kHalf: return std::bit_cast<std::uint16_t>(static_cast<_Float16>(number));
    case Element::kBfloat16: return std::bit_cast<std::uint32_t>(number) >> 16;
    case Element::kFloat: break;
  }
  return std::bit_cast<std::uint32_t>(number);
}

// Both walk a buffer whose contents repeat every kPeriod elements.
template <class Word>
void fill(Word* data, std::uint64_t count, const std::uint32_t (&period)[kPeriod]) {
  for (std::uint64_t i = 0; i < count; i += kPeriod)
    for (std::uint64_t k = 0; k < kPeriod && i + k < count; ++k) data[i + k] = static_cast<Word>(period[k]);
}

template <class Word>
bool equals(const Word* data, std::uint64_t count, const std::uint32_t (&period)[kPeriod]) {
  Word difference = 0;
  for (std::uint64_t i = 0; i < count; i += kPeriod)
    for (std::uint64_t k = 0; k < kPeriod && i + k < count; ++k)
      difference = static_cast<Word>(difference | (data[i + k] ^ static_cast<Word>(period[k])));
  return difference == 0;
}

void fill_input(Element element, void* data, std::uint64_t bytes, int rank) {
  std::uint32_t period[kPeriod];
  for (int k = 0; k < kPeriod; ++k) period[k] = encode(element, input_value(static_cast<std::uint64_t>(k), rank));
  if (element == Element::kFloat)
    fill(static_cast<std::uint32_t*>(data), bytes / 4, period);
  else
    fill(static_cast<std::uint16_t*>(data), bytes / 2, period);
}

bool output_is_right(const Case& one, const void* data, int ranks) {
  std::uint32_t period[kPeriod];
  for (int k = 0; k < kPeriod; ++k) {
    int sum = 0;
    for (int rank = 0; rank < ranks; ++rank) sum += input_value(static_cast<std::uint64_t>(k), rank);
    period[k] = encode(one.element, sum);
  }
  return one.element == Element::kFloat ? equals(static_cast<const std::uint32_t*>(data), one.count(), period)
                                        : equals(static_cast<const std::uint16_t*>(data), one.count(), period);
}

struct Measurement {
  std::uint64_t calls = 1;
  std::vector<double> us;  // of one call, one a batch
  bool correct = false;
};

class Measurer {
 public:
  Measurer(Library& library, const DriverOptions& options, Meeting& meeting)
      : library_(library), options_(options), meeting_(meeting) {}

  // False when a call failed.
  bool measure(const Case& one, const Library::Call& call, void* out, Measurement& result) {
    std::memset(out, 0xff, one.bytes);
    const bool done = call();
    const bool right = done && output_is_right(one, out, library_.size());
    if (meeting_.max(done ? 0 : 1) != 0) return false;
    result.correct = meeting_.max(right ? 0 : 1) == 0;

    std::uint64_t batch_ns = 0;
    for (;;) {
      if (!batch(call, result.calls, batch_ns)) return false;
      if (batch_ns >= kBatchNs || result.calls == kCallsMax) break;
      const double wanted = static_cast<double>(result.calls) * 1.1 * kBatchNs / static_cast<double>(batch_ns + 1);
      result.calls =
          std::clamp(static_cast<std::uint64_t>(wanted), result.calls + 1, std::min(result.calls * 16, kCallsMax));
    }
    const std::uint64_t budget_ns = static_cast<std::uint64_t>(options_.budget_ms) * 1'000'000;
    for (std::uint64_t spent = 0;
         result.us.size() < kBatchesMin || (spent < budget_ns && result.us.size() < kBatchesMax); spent += batch_ns) {
      if (!batch(call, result.calls, batch_ns)) return false;
      result.us.push_back(static_cast<double>(batch_ns) / 1e3 / static_cast<double>(result.calls));
    }
    return true;
  }

 private:
  // All ranks get the same time, so that all take the same decisions from it.
  bool batch(const Library::Call& call, std::uint64_t calls, std::uint64_t& slowest_ns) {
    using Clock = std::chrono::steady_clock;
    meeting_.barrier();
    const auto begin = Clock::now();
    bool done = true;
    for (std::uint64_t i = 0; i < calls && done; ++i) done = call();
    const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin);
    slowest_ns = meeting_.max(static_cast<std::uint64_t>(elapsed.count()));
    return meeting_.max(done ? 0 : 1) == 0;
  }

  Library& library_;
  const DriverOptions& options_;
  Meeting& meeting_;
};

void print(const Case& one, const Measurement& result) {
  std::printf("{\"case\":\"%s\",\"calls\":%llu,\"correct\":%s,\"us\":[", one.text.c_str(),
              static_cast<unsigned long long>(result.calls), result.correct ? "true" : "false");
  for (std::size_t i = 0; i < result.us.size(); ++i) std::printf("%s%.4f", i == 0 ? "" : ",", result.us[i]);
  std::printf("]}\n");
}

// The buffers of the cases of one variant and type: as large as the largest of them.
struct Buffers {
  std::string variant;
  std::uint64_t bytes = 0;
  void* in = nullptr;
  void* out = nullptr;
};

}  // namespace

void* Library::allocate(const std::string&, std::uint64_t bytes) { return ordinary_memory(bytes); }

void* ordinary_memory(std::uint64_t bytes) {
  constexpr std::uint64_t kHuge = 2 << 20;
  const std::uint64_t rounded = (bytes + kHuge - 1) / kHuge * kHuge;
  void* memory = ::mmap(nullptr, rounded + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("buffers");
    std::exit(1);
  }
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  void* aligned = reinterpret_cast<void*>((address + kHuge - 1) / kHuge * kHuge);
  // Advice: small pages are slower, not wrong.
  static_cast<void>(::madvise(aligned, rounded, MADV_HUGEPAGE));
  return aligned;
}

DriverOptions parse_driver_options(int argc, char** argv) {
  DriverOptions options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) refuse(name + ": a value is missing");
    const std::string value = argv[i + 1];
    if (name == "--meet") {
      options.meet = value;
    } else if (name == "--cases") {
      for (std::size_t begin = 0; begin <= value.size();) {
        const std::size_t end = std::min(value.find(',', begin), value.size());
        options.cases.push_back(parse_case(value.substr(begin, end - begin)));
        begin = end + 1;
      }
    } else if (name == "--ranks") {
      options.ranks = static_cast<int>(std::min<std::uint64_t>(parse_number(value, name), 32));
    } else if (name == "--budget-ms") {
      options.budget_ms = static_cast<int>(std::min<std::uint64_t>(parse_number(value, name), 60'000));
    } else if (name == "--limit-s") {
      options.limit_s = static_cast<int>(std::min<std::uint64_t>(parse_number(value, name), 3600));
    } else {
      refuse(name + ": unknown option");
    }
  }
  if (options.meet.empty() || options.cases.empty()) refuse("--meet and --cases are needed");
  return options;
}

int run_driver(Library& library, const DriverOptions& options, Meeting& meeting) {
  std::vector<Buffers> all;
  const auto buffers_of = [&](const Case& one) -> Buffers& {
    for (Buffers& buffers : all)
      if (buffers.variant == one.variant) return buffers;
    Buffers buffers{.variant = one.variant};
    for (const Case& other : options.cases)
      if (other.variant == one.variant) buffers.bytes = std::max(buffers.bytes, other.bytes);
    buffers.in = library.allocate(one.variant, buffers.bytes);
    buffers.out = library.allocate(one.variant, buffers.bytes);
    return all.emplace_back(buffers);
  };

  Measurer measurer(library, options, meeting);
  for (const Case& one : options.cases) {
    ::alarm(static_cast<unsigned>(options.limit_s));
    if (library.rank() == 0) {
      std::printf("{\"begin\":\"%s\"}\n", one.text.c_str());
      std::fflush(stdout);
    }
    const Buffers& buffers = buffers_of(one);
    fill_input(one.element, buffers.in, one.bytes, library.rank());
    const Library::Call call = library.prepare(one, buffers.in, buffers.out);
    Measurement result;
    if (call && !measurer.measure(one, call, buffers.out, result)) {
      std::fprintf(stderr, "rank %d: %s: a call failed\n", library.rank(), one.text.c_str());
      return 1;
    }
    if (library.rank() != 0) continue;
    if (call)
      print(one, result);
    else
      std::printf("{\"case\":\"%s\",\"unsupported\":true}\n", one.text.c_str());
    std::fflush(stdout);
  }
  ::alarm(0);
  return 0;
}

// A core for each rank where there are enough, as the launchers of MPI and hfreduce run do it.
void bind_to_core(int rank, int ranks) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < ranks) return;
  for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || seen++ != rank) continue;
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    ::sched_setaffinity(0, sizeof own, &own);
    return;
  }
}

int fork_ranks(int ranks, const std::function<int(int rank)>& body) {
  std::vector<pid_t> children;
  for (int rank = 0; rank < ranks; ++rank) {
    const pid_t child = ::fork();
    if (child < 0) {
      std::perror("fork");
      for (const pid_t other : children) ::kill(other, SIGKILL);
      return 1;
    }
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      bind_to_core(rank, ranks);
      const int status = body(rank);
      std::fflush(stdout);
      ::_exit(status);
    }
    children.push_back(child);
  }
  int worst = 0;
  for (int status = 0; ::wait(&status) > 0;) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    worst = 1;
    for (const pid_t other : children) ::kill(other, SIGKILL);  // without it the others would wait for their limit
  }
  return worst;
}

}  // namespace ff::peers
