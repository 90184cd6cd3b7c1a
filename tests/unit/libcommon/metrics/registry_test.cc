#include "libcommon/metrics/registry.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace ff::metrics {
namespace {

MetricInfo requests(std::string service = "") {
  return {.name = "requests_total",
          .help = "Requests that came.",
          .labels = service.empty() ? Labels{} : Labels{{"service", std::move(service)}}};
}

const Family* find(const std::vector<Family>& families, const std::string& name) {
  for (const Family& f : families)
    if (f.name == name) return &f;
  return nullptr;
}

TEST(Registry, CollectsWhatHandlesCounted) {
  Registry registry;
  registry.counter(requests()).value().add(3);
  registry.gauge({.name = "connections", .help = "Open now."}).value().set(-2);
  registry.histogram({.name = "wait_seconds", .unit = Unit::kSeconds, .help = "Waiting."}).value().record(5000);
  const auto families = registry.collect();
  ASSERT_EQ(families.size(), 3U);
  EXPECT_EQ(families[0].name, "connections");  // sorted
  EXPECT_EQ(std::get<std::int64_t>(families[0].series.at(0).value), -2);
  EXPECT_EQ(std::get<std::uint64_t>(find(families, "requests_total")->series.at(0).value), 3U);
  EXPECT_EQ(std::get<Histogram>(find(families, "wait_seconds")->series.at(0).value).sum(), 5000U);
}

TEST(Registry, GivesTheSameCellsForTheSameSeries) {
  Registry registry;
  const MetricInfo one{.name = "x_total", .help = "H.", .labels = {{"a", "1"}, {"b", "2"}}};
  const MetricInfo swapped{.name = "x_total", .help = "H.", .labels = {{"b", "2"}, {"a", "1"}}};
  registry.counter(one).value().add(1);
  registry.counter(swapped).value().add(1);
  const auto families = registry.collect();
  ASSERT_EQ(families.at(0).series.size(), 1U);
  EXPECT_EQ(std::get<std::uint64_t>(families[0].series[0].value), 2U);
}

TEST(Registry, SortsSeriesByLabels) {
  Registry registry;
  for (const char* service : {"kv", "chunk", "meta"}) (void)registry.counter(requests(service)).value();
  const auto families = registry.collect();
  ASSERT_EQ(families.at(0).series.size(), 3U);
  EXPECT_EQ(families[0].series[0].labels[0].second, "chunk");
  EXPECT_EQ(families[0].series[2].labels[0].second, "meta");
}

TEST(Registry, RefusesASecondDescriptionOfAName) {
  Registry registry;
  ASSERT_TRUE(registry.gauge({.name = "x", .help = "One."}));
  EXPECT_EQ(registry.gauge({.name = "x", .help = "Two."}).error().code(), Errc::kInvalidArgument);
  EXPECT_FALSE(registry.histogram({.name = "x", .help = "One."}));
  EXPECT_FALSE(registry.gauge({.name = "x", .help = "One.", .labels = {{"a", "b"}}}));
  EXPECT_TRUE(registry.gauge({.name = "x", .help = "One."}));
  const MetricInfo wait{.name = "wait_seconds", .unit = Unit::kSeconds, .help = "W."};
  ASSERT_TRUE(registry.histogram(wait));
  EXPECT_FALSE(registry.histogram(wait, {.sub_bits = 5}));
}

TEST(Registry, KeepsTheNamesThatHistogramsServe) {
  Registry registry;
  ASSERT_TRUE(registry.gauge({.name = "wait_quantiles_seconds", .unit = Unit::kSeconds, .help = "H."}));
  const MetricInfo wait{.name = "wait_seconds", .unit = Unit::kSeconds, .help = "W."};
  EXPECT_EQ(registry.histogram(wait).error().code(), Errc::kAlreadyExists);
  EXPECT_TRUE(registry.histogram(wait, {.quantiles = false}));
  ASSERT_TRUE(registry.histogram({.name = "batch", .help = "B."}));
  EXPECT_EQ(registry.gauge({.name = "batch_quantiles", .help = "H."}).error().code(), Errc::kAlreadyExists);
}

TEST(Registry, RefusesBadInfoAndBadHistograms) {
  Registry registry;
  EXPECT_FALSE(registry.counter({.name = "requests", .help = "H."}));
  EXPECT_FALSE(registry.histogram({.name = "fill_ratio", .unit = Unit::kRatio, .help = "H."}));
  EXPECT_FALSE(registry.histogram({.name = "x", .help = "H."}, {.sub_bits = 13}));
  EXPECT_FALSE(registry.callback_gauge({.name = "x", .help = "H."}, nullptr));
  EXPECT_TRUE(registry.collect().empty());
}

TEST(Registry, BoundsTheNumberOfSeries) {
  Registry registry({.series_max = 3});
  for (const char* service : {"a", "b", "c"}) ASSERT_TRUE(registry.counter(requests(service)));
  EXPECT_EQ(registry.counter(requests("d")).error().code(), Errc::kExhausted);
  EXPECT_TRUE(registry.counter(requests("a")));
}

TEST(Registry, ReadsCallbacksAtEachScrapeUntilTheyGo) {
  Registry registry({.series_max = 1});
  double value = 1.5;
  const MetricInfo info{.name = "load", .help = "Load.", .labels = {{"b", "1"}, {"a", "2"}}};
  auto registration = registry.callback_gauge(info, [&] { return value; }).value();
  EXPECT_EQ(registry.callback_gauge(info, [] { return 0.0; }).error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(registry.gauge(info).error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(std::get<double>(registry.collect().at(0).series.at(0).value), 1.5);
  value = 2.5;
  EXPECT_EQ(std::get<double>(registry.collect().at(0).series.at(0).value), 2.5);
  registration.release();
  EXPECT_TRUE(registry.collect().empty());
  // Its place is free again.
  EXPECT_TRUE(registry.callback_gauge(info, [] { return 0.0; }));
}

TEST(Registry, LetsCallbacksUseIt) {
  Registry registry;
  const auto registration = registry.callback_counter({.name = "scrapes_total", .help = "Scrapes."}, [&] {
    registry.counter(requests()).value().add();
    return 1.0;
  });
  ASSERT_TRUE(registration);
  (void)registry.collect();
  EXPECT_EQ(registry.counter(requests()).value().total(), 1U);
}

TEST(Registry, RegistrationsMayOutliveIt) {
  Registration kept;
  {
    Registry registry;
    kept = registry.callback_gauge({.name = "x", .help = "H."}, [] { return 0.0; }).value();
  }
  kept.release();
}

TEST(Registry, ServesManyThreadsThatRegisterCountAndScrape) {
  Registry registry({.shards = 2});
  constexpr int kThreads = 4, kRounds = 500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        registry.counter(requests(std::to_string(i % 7))).value().add();
        if (i % 100 == 0) EXPECT_LE(registry.collect().size(), 1U);
      }
    });
  for (auto& thread : threads) thread.join();
  std::uint64_t total = 0;
  const auto families = registry.collect();
  for (const Series& series : families.at(0).series) total += std::get<std::uint64_t>(series.value);
  EXPECT_EQ(total, std::uint64_t{kThreads} * kRounds);
}

}  // namespace
}  // namespace ff::metrics
