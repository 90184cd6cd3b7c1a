#include "libcommon/metrics/registry.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <variant>

#include "libcommon/report/utf8.hpp"

namespace ff::metrics {
namespace {

using CallbackCell = std::shared_ptr<Revocable<double>>;
using Cells = std::variant<std::unique_ptr<CounterCells>, std::unique_ptr<GaugeCell>, std::unique_ptr<HistogramCells>,
                           CallbackCell>;

struct FamilyEntry {
  MetricType type;
  Unit unit;
  std::string help;
  std::vector<std::string> label_names;
  HistogramSettings settings;
  std::map<Labels, Cells> series;
};

constexpr unsigned kShardsMax = 1024;
constexpr std::int64_t kHourNs = 3'600'000'000'000;
constexpr std::int64_t k16TiB = std::int64_t{1} << 44;
constexpr std::int64_t kCountMax = std::int64_t{1} << 40;

std::uint32_t shards_of(unsigned wanted) {
  if (wanted == 0) wanted = std::max(1U, std::thread::hardware_concurrency());
  return std::bit_ceil(std::min(wanted, kShardsMax));
}

std::vector<std::string> names_of(const Labels& labels) {
  std::vector<std::string> names;
  for (const auto& [name, value] : labels) names.push_back(name);
  return names;
}

// All names that the family has on the page.
std::vector<std::string> served_names(const std::string& name, MetricType type, Unit unit, bool quantiles) {
  std::vector<std::string> names{name};
  if (type != MetricType::kHistogram) return names;
  names.insert(names.end(), {name + "_bucket", name + "_sum", name + "_count"});
  if (!quantiles) return names;
  const std::string summary = quantiles_name(name, unit);
  names.insert(names.end(), {summary, summary + "_sum", summary + "_count"});
  return names;
}

std::int64_t value_max_of(Unit unit) {
  switch (unit) {
    case Unit::kSeconds: return kHourNs;
    case Unit::kBytes: return k16TiB;
    case Unit::kNone:
    case Unit::kRatio: break;
  }
  return kCountMax;
}

}  // namespace

struct Registry::State {
  explicit State(RegistryOptions wanted) : options(wanted), shards(shards_of(wanted.shards)) {}

  // The cells of the series, from `make` if there are none yet; second is true if it was made.
  // REQUIRES: mutex is held.
  template <class Make>
  Result<std::pair<Cells*, bool>> find_or_make(MetricInfo info, MetricType type, HistogramSettings settings, Make make);
  Result<FamilyEntry*> find_or_add_family(const MetricInfo& info, MetricType type, HistogramSettings settings);
  Result<Registration> add_callback(const MetricInfo& info, MetricType type, std::function<double()> read,
                                    const std::shared_ptr<State>& self);

  const RegistryOptions options;
  const std::uint32_t shards;
  mutable std::mutex mutex;  // guards what follows; never held while a callback runs
  std::map<std::string, FamilyEntry> families;
  std::map<std::string, std::string> served;  // name on the page -> family that owns it
  std::size_t series_count = 0;
};

Result<FamilyEntry*> Registry::State::find_or_add_family(const MetricInfo& info, MetricType type,
                                                         HistogramSettings settings) {
  const auto refuse = [&](Errc code, std::string_view reason) {
    return fail(code, fmt::format("metric '{}': {}", info.name, reason));
  };
  if (const auto found = families.find(info.name); found != families.end()) {
    const FamilyEntry& family = found->second;
    if (family.type != type)
      return refuse(Errc::kInvalidArgument, fmt::format("is a {} already (choose another name than for this {})",
                                                        metric_type_name(family.type), metric_type_name(type)));
    if (family.unit != info.unit || family.help != info.help)
      return refuse(Errc::kInvalidArgument,
                    fmt::format("is there with another unit or help: '{}' (describe it in one place)",
                                report::printable(family.help)));
    if (family.label_names != names_of(info.labels))
      return refuse(Errc::kInvalidArgument, "is there with other label names (give all its series the same)");
    if (family.settings != settings)
      return refuse(Errc::kInvalidArgument, "is there with other histogram settings (describe it in one place)");
    return &found->second;
  }
  const auto names = served_names(info.name, type, info.unit, settings.quantiles);
  for (const std::string& name : names)
    if (const auto owner = served.find(name); owner != served.end())
      return refuse(Errc::kAlreadyExists,
                    fmt::format("'{}' is served by '{}' already (choose another name)", name, owner->second));
  for (const std::string& name : names) served.emplace(name, info.name);
  return &families.emplace(info.name, FamilyEntry{type, info.unit, info.help, names_of(info.labels), settings, {}})
              .first->second;
}

template <class Make>
Result<std::pair<Cells*, bool>> Registry::State::find_or_make(MetricInfo info, MetricType type,
                                                              HistogramSettings settings, Make make) {
  FF_TRY(check_metric(info, type));
  std::sort(info.labels.begin(), info.labels.end());
  FF_TRY_ASSIGN(FamilyEntry * family, find_or_add_family(info, type, settings));
  if (const auto found = family->series.find(info.labels); found != family->series.end())
    return std::pair{&found->second, false};
  if (series_count >= options.series_max)
    return fail(Errc::kExhausted,
                fmt::format("metric '{}': more than {} series (take out a label whose values are many)", info.name,
                            options.series_max));
  Cells* cells = &family->series.emplace(std::move(info.labels), make()).first->second;
  ++series_count;
  return std::pair{cells, true};
}

Result<Registration> Registry::State::add_callback(const MetricInfo& info, MetricType type,
                                                   std::function<double()> read, const std::shared_ptr<State>& self) {
  if (!read) return fail(Errc::kInvalidArgument, fmt::format("metric '{}': has no function to read it", info.name));
  auto cell = std::make_shared<Revocable<double>>(std::move(read));
  const std::lock_guard lock(mutex);
  FF_TRY_ASSIGN(const auto made, find_or_make(info, type, {}, [&] { return Cells(cell); }));
  if (!made.second)
    return fail(Errc::kAlreadyExists, fmt::format("metric '{}': this series is there already (drop it first, or give "
                                                  "this one another label)",
                                                  info.name));
  Labels labels = info.labels;
  std::sort(labels.begin(), labels.end());
  return Registration([state = std::weak_ptr(self), cell, name = info.name, labels = std::move(labels)] {
    cell->revoke();
    const auto alive = state.lock();
    if (!alive) return;
    const std::lock_guard undo_lock(alive->mutex);
    alive->series_count -= alive->families.at(name).series.erase(labels);
  });
}

Registry::Registry(RegistryOptions options) : state_(std::make_shared<State>(options)) {}

namespace {

// The cells as what was asked for; a callback may be there instead.
template <class T>
Result<T*> cells_as(const MetricInfo& info, Cells* cells) {
  if (const auto* own = std::get_if<std::unique_ptr<T>>(cells)) return own->get();
  return fail(Errc::kAlreadyExists,
              fmt::format("metric '{}': this series is read by a callback (drop that first)", info.name));
}

}  // namespace

Result<Counter> Registry::counter(const MetricInfo& info) {
  const std::lock_guard lock(state_->mutex);
  FF_TRY_ASSIGN(const auto made, state_->find_or_make(info, MetricType::kCounter, {}, [&] {
    return Cells(std::make_unique<CounterCells>(state_->shards));
  }));
  FF_TRY_ASSIGN(CounterCells * cells, cells_as<CounterCells>(info, made.first));
  return Counter(cells);
}

Result<Gauge> Registry::gauge(const MetricInfo& info) {
  const std::lock_guard lock(state_->mutex);
  FF_TRY_ASSIGN(const auto made, state_->find_or_make(info, MetricType::kGauge, {},
                                                      [&] { return Cells(std::make_unique<GaugeCell>()); }));
  FF_TRY_ASSIGN(GaugeCell * cell, cells_as<GaugeCell>(info, made.first));
  return Gauge(cell);
}

Result<Recorder> Registry::histogram(const MetricInfo& info, HistogramSettings settings) {
  if (info.unit == Unit::kRatio)
    return fail(Errc::kInvalidArgument,
                fmt::format("metric '{}': histograms hold whole numbers (record parts per million, without a unit)",
                            info.name));
  if (settings.value_max == 0) settings.value_max = value_max_of(info.unit);
  FF_TRY_ASSIGN(const HistogramLayout layout,
                HistogramLayout::make({.sub_bits = settings.sub_bits, .value_max = settings.value_max}));
  const std::lock_guard lock(state_->mutex);
  FF_TRY_ASSIGN(const auto made, state_->find_or_make(info, MetricType::kHistogram, settings, [&] {
    return Cells(std::make_unique<HistogramCells>(layout, state_->shards));
  }));
  FF_TRY_ASSIGN(HistogramCells * cells, cells_as<HistogramCells>(info, made.first));
  return Recorder(cells);
}

Result<Registration> Registry::callback_gauge(const MetricInfo& info, std::function<double()> read) {
  return state_->add_callback(info, MetricType::kGauge, std::move(read), state_);
}

Result<Registration> Registry::callback_counter(const MetricInfo& info, std::function<double()> read) {
  return state_->add_callback(info, MetricType::kCounter, std::move(read), state_);
}

std::vector<Family> Registry::collect() const {
  struct Pending {
    Family* family;
    Labels labels;
    CallbackCell call;
  };
  std::vector<Family> families;
  std::vector<Pending> pending;
  {
    const std::lock_guard lock(state_->mutex);
    families.reserve(state_->families.size());  // Pending points into it
    for (const auto& [name, entry] : state_->families) {
      Family& family =
          families.emplace_back(Family{name, entry.type, entry.unit, entry.help, entry.settings.quantiles, {}});
      for (const auto& [labels, cells] : entry.series) {
        if (const auto* counter = std::get_if<std::unique_ptr<CounterCells>>(&cells))
          family.series.push_back({labels, (*counter)->total()});
        else if (const auto* gauge = std::get_if<std::unique_ptr<GaugeCell>>(&cells))
          family.series.push_back({labels, (*gauge)->value.load(std::memory_order_relaxed)});
        else if (const auto* histogram = std::get_if<std::unique_ptr<HistogramCells>>(&cells))
          family.series.push_back({labels, (*histogram)->snapshot()});
        else
          pending.push_back({&family, labels, std::get<CallbackCell>(cells)});
      }
    }
  }
  for (auto& [family, labels, call] : pending)
    if (const auto value = (*call)()) family->series.push_back({std::move(labels), *value});
  for (Family& family : families)
    std::sort(family.series.begin(), family.series.end(),
              [](const Series& a, const Series& b) { return a.labels < b.labels; });
  std::erase_if(families, [](const Family& family) { return family.series.empty(); });
  return families;
}

}  // namespace ff::metrics
