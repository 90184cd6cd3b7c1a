#include "ffbench/node/nvml.hpp"

#include <array>

namespace ff::bench {
namespace {

constexpr int kSuccess = 0;
constexpr int kNoPermission = 4;
constexpr int kCorrected = 0, kUncorrected = 1;  // nvmlMemoryErrorType_t
constexpr int kVolatile = 0, kAggregate = 1;     // nvmlEccCounterType_t
constexpr int kClockSm = 1, kClockMemory = 2;    // nvmlClockType_t
constexpr int kGpuSensor = 0;
constexpr unsigned kNvlinksMax = 18;
constexpr int kNvlinkCounters = 4;  // replay, recovery, CRC of flits, CRC of data
constexpr int kRetirementCauses = 2;

// Calls that a GPU need not answer (old boards, no ECC): absent then.
template <class Function, class... Arguments>
auto ask(Function* function, Arguments... arguments) {
  return [=](auto value) -> std::optional<decltype(value)> {
    if (function == nullptr || function(arguments..., &value) != kSuccess) return std::nullopt;
    return value;
  };
}

}  // namespace

Result<> Nvml::load(const SharedLibrary& library, Functions& f) {
  FF_TRY(library.find(f.init, "nvmlInit_v2"));
  FF_TRY(library.find(f.shutdown, "nvmlShutdown"));
  FF_TRY(library.find(f.error_string, "nvmlErrorString"));
  FF_TRY(library.find(f.count, "nvmlDeviceGetCount_v2"));
  FF_TRY(library.find(f.handle, "nvmlDeviceGetHandleByIndex_v2"));
  FF_TRY(library.find(f.name, "nvmlDeviceGetName"));
  FF_TRY(library.find(f.uuid, "nvmlDeviceGetUUID"));
  FF_TRY(library.find(f.pci, "nvmlDeviceGetPciInfo_v3"));
  FF_TRY(library.find(f.memory, "nvmlDeviceGetMemoryInfo"));
  FF_TRY(library.find(f.ecc, "nvmlDeviceGetTotalEccErrors"));
  FF_TRY(library.find(f.pcie_generation, "nvmlDeviceGetCurrPcieLinkGeneration"));
  FF_TRY(library.find(f.pcie_generation_max, "nvmlDeviceGetMaxPcieLinkGeneration"));
  FF_TRY(library.find(f.pcie_width, "nvmlDeviceGetCurrPcieLinkWidth"));
  FF_TRY(library.find(f.pcie_width_max, "nvmlDeviceGetMaxPcieLinkWidth"));
  FF_TRY(library.find(f.clock, "nvmlDeviceGetClockInfo"));
  FF_TRY(library.find(f.clock_max, "nvmlDeviceGetMaxClockInfo"));
  FF_TRY(library.find(f.temperature, "nvmlDeviceGetTemperature"));
  library.find_optional(f.throttle, "nvmlDeviceGetCurrentClocksThrottleReasons");
  library.find_optional(f.retired_pages, "nvmlDeviceGetRetiredPages");
  library.find_optional(f.remapped_rows, "nvmlDeviceGetRemappedRows");
  library.find_optional(f.nvlink_state, "nvmlDeviceGetNvLinkState");
  library.find_optional(f.nvlink_errors, "nvmlDeviceGetNvLinkErrorCounter");
  return {};
}

Result<Nvml> Nvml::open(const std::string& folder) {
  FF_TRY_ASSIGN(SharedLibrary library, SharedLibrary::open(folder, {"libnvidia-ml.so.1"}));
  Functions functions{};
  FF_TRY(load(library, functions));
  const int status = functions.init();
  Nvml nvml(std::move(library), functions);
  nvml.open_ = status == kSuccess;
  FF_TRY(nvml.check(status, "nvmlInit_v2"));
  return nvml;
}

Nvml::Nvml(Nvml&& other) noexcept
    : library_(std::move(other.library_)), functions_(other.functions_), open_(std::exchange(other.open_, false)) {}

Nvml::~Nvml() {
  if (open_) functions_.shutdown();
}

Result<> Nvml::check(int status, const char* call) const {
  if (status == kSuccess) return {};
  const char* words = functions_.error_string(status);
  return fail(status == kNoPermission ? Errc::kPermission : Errc::kIo,
              std::string(call) + ": " + (words == nullptr ? "" : words) + " (" + std::to_string(status) + ")");
}

Result<std::vector<GpuState>> Nvml::states() const {
  unsigned count = 0;
  FF_TRY(check(functions_.count(&count), "nvmlDeviceGetCount_v2"));
  std::vector<GpuState> states;
  for (unsigned i = 0; i < count; ++i) {
    auto state = state_of(i);
    if (!state) return fail(std::move(state).error().context("GPU " + std::to_string(i)));
    states.push_back(std::move(*state));
  }
  return states;
}

Result<GpuState> Nvml::state_of(unsigned index) const {
  Device device = nullptr;
  FF_TRY(check(functions_.handle(index, &device), "nvmlDeviceGetHandleByIndex_v2"));
  GpuState state;
  state.index = static_cast<int>(index);
  std::array<char, 96> text{};
  FF_TRY(check(functions_.name(device, text.data(), text.size() - 1), "nvmlDeviceGetName"));
  state.name = text.data();
  text.fill('\0');
  FF_TRY(check(functions_.uuid(device, text.data(), text.size() - 1), "nvmlDeviceGetUUID"));
  state.uuid = text.data();
  Pci pci{};
  FF_TRY(check(functions_.pci(device, &pci), "nvmlDeviceGetPciInfo_v3"));
  pci.bus_id[sizeof pci.bus_id - 1] = '\0';
  state.pci_address = pci.bus_id;
  Memory memory{};
  FF_TRY(check(functions_.memory(device, &memory), "nvmlDeviceGetMemoryInfo"));
  state.memory_bytes = memory.total;
  read_counters(device, state);
  read_nvlinks(device, state);
  return state;
}

void Nvml::read_counters(Device device, GpuState& state) const {
  const Functions& f = functions_;
  const auto ecc = [&](int type, int counter) { return ask(f.ecc, device, type, counter)(0ull); };
  state.ecc_corrected = ecc(kCorrected, kVolatile);
  state.ecc_uncorrected = ecc(kUncorrected, kVolatile);
  state.ecc_corrected_ever = ecc(kCorrected, kAggregate);
  state.ecc_uncorrected_ever = ecc(kUncorrected, kAggregate);
  state.pcie_generation = ask(f.pcie_generation, device)(0u);
  state.pcie_generation_max = ask(f.pcie_generation_max, device)(0u);
  state.pcie_width = ask(f.pcie_width, device)(0u);
  state.pcie_width_max = ask(f.pcie_width_max, device)(0u);
  state.sm_mhz = ask(f.clock, device, kClockSm)(0u);
  state.sm_mhz_max = ask(f.clock_max, device, kClockSm)(0u);
  state.memory_mhz = ask(f.clock, device, kClockMemory)(0u);
  state.memory_mhz_max = ask(f.clock_max, device, kClockMemory)(0u);
  state.throttle_reasons = ask(f.throttle, device)(0ull);
  state.temperature_c = ask(f.temperature, device, kGpuSensor)(0u);
  for (int cause = 0; f.retired_pages != nullptr && cause < kRetirementCauses; ++cause) {
    unsigned pages = 0;  // asked for their number alone: without room for addresses
    const int status = f.retired_pages(device, cause, &pages, nullptr);
    constexpr int kInsufficientSize = 7;
    if (status == kSuccess || status == kInsufficientSize)
      state.retired_pages = state.retired_pages.value_or(0) + pages;
  }
  unsigned corrected = 0, uncorrected = 0, pending = 0, failed = 0;
  if (f.remapped_rows != nullptr && f.remapped_rows(device, &corrected, &uncorrected, &pending, &failed) == kSuccess) {
    state.remapped_rows = corrected + uncorrected;
    state.row_remap_pending = pending != 0;
    state.row_remap_failed = failed != 0;
  }
}

void Nvml::read_nvlinks(Device device, GpuState& state) const {
  for (unsigned link = 0; functions_.nvlink_state != nullptr && link < kNvlinksMax; ++link) {
    int active = 0;
    if (functions_.nvlink_state(device, link, &active) != kSuccess) continue;  // the board has no such link
    NvlinkState nvlink{.link = static_cast<int>(link), .active = active != 0};
    for (int counter = 0; functions_.nvlink_errors != nullptr && counter < kNvlinkCounters; ++counter)
      nvlink.errors += ask(functions_.nvlink_errors, device, link, counter)(0ull).value_or(0);
    state.nvlinks.push_back(nvlink);
  }
}

}  // namespace ff::bench
