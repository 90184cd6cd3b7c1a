// The functions of the namespace, for every engine: INSTANTIATE_TEST_SUITE_P(Engine, NamespaceTest, Values(factory)).
#pragma once

#include "tests/unit/ffs/meta/meta_world.hpp"

namespace ff::ffs {

class NamespaceTest : public ::testing::TestWithParam<MetaEngineFactory> {
 protected:
  MetaWorld fs{GetParam()()};
  void TearDown() override {
    fs.settle();
    EXPECT_EQ(fs.problems(), std::vector<std::string>{});
  }
};

}  // namespace ff::ffs
