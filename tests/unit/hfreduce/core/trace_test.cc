#include "hfreduce/trace.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ff::hfreduce {
namespace {

TEST(Trace, FileIsChromeTraceJsonWithARowPerLane) {
  Trace a, b;
  a.record({"reduce", Lane::kIntra, 1'000, 3'500, 4096, 7});
  {
    const TraceSpan span(&b, "call", Lane::kCall, 10);
  }
  {
    const TraceSpan off(nullptr, "nothing", Lane::kCall);
  }
  EXPECT_EQ(b.size(), 1u);
  const auto json = nlohmann::json::parse(Trace::file_json({a.events_json(0), b.events_json(1)}));
  int complete = 0;
  bool named = false;
  for (const auto& e : json.at("traceEvents")) {
    if (e.at("ph") == "X") {
      ++complete;
      if (e.at("name") == "reduce") {
        EXPECT_EQ(e.at("pid"), 0);
        EXPECT_DOUBLE_EQ(e.at("ts"), 1.0);
        EXPECT_DOUBLE_EQ(e.at("dur"), 2.5);
        EXPECT_EQ(e.at("args").at("bytes"), 4096);
        EXPECT_EQ(e.at("args").at("index"), 7);
      }
    }
    named = named || (e.at("ph") == "M" && e.at("name") == "process_name" && e.at("args").at("name") == "rank 1");
  }
  EXPECT_EQ(complete, 2);
  EXPECT_TRUE(named);
}

}  // namespace
}  // namespace ff::hfreduce
