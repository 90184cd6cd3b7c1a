#include <gtest/gtest.h>

#include <cstdlib>

#include "hfreduce/communicator.hpp"

namespace ff::hfreduce {
namespace {

class ConfigTest : public ::testing::Test {
 protected:
  void set(const char* name, const char* value) {
    ::setenv(name, value, 1);
    names_.push_back(name);
  }
  void TearDown() override {
    for (const char* name : names_) ::unsetenv(name);
  }
  std::vector<const char*> names_;
};

TEST_F(ConfigTest, EveryVariableIsRead) {
  set("HFR_TIMEOUT", "1.5s");
  set("HFR_CONNECT_TIMEOUT", "2m");
  set("HFR_TRANSPORT", "tcp");
  set("HFR_DETERMINISTIC", "1");
  set("HFR_ALGO", "tree");
  set("HFR_SHM_PATH", "cma");
  set("HFR_CHANNELS", "3");
  set("HFR_NET_CHUNK", "128KiB");
  set("HFR_SHM_CHUNK", "64K");
  set("HFR_FLAT_MAX", "2KiB");
  set("HFR_ADDRESS", "10.1.2.3");
  set("HFR_HOST_ID", "left");
  set("HFR_FLIGHT_DIR", "/var/log");
  set("HFR_TRACE", "yes");
  const auto c = Config::from_environment();
  ASSERT_TRUE(c.has_value()) << c.error().message();
  EXPECT_EQ(c->timeout, std::chrono::milliseconds(1500));
  EXPECT_EQ(c->connect_timeout, std::chrono::minutes(2));
  EXPECT_EQ(c->transport, Transport::kTcp);
  EXPECT_TRUE(c->deterministic);
  EXPECT_EQ(c->algorithm, NetAlgorithm::kTree);
  EXPECT_EQ(c->ordinary, ShmPath::kCma);
  EXPECT_EQ(c->channels, 3);
  EXPECT_EQ(c->net_chunk_bytes, 128u << 10);
  EXPECT_EQ(c->shm_chunk_bytes, 64u << 10);
  EXPECT_EQ(c->flat_bytes_max, 2048u);
  EXPECT_EQ(c->interface_address, "10.1.2.3");
  EXPECT_EQ(c->host_id, "left");
  EXPECT_EQ(c->flight_dir, "/var/log");
  EXPECT_TRUE(c->trace);
}

TEST_F(ConfigTest, AWrongValueNamesItsVariable) {
  const std::pair<const char*, const char*> wrong[] = {
      {"HFR_TIMEOUT", "0"},           {"HFR_TIMEOUT", "soon"}, {"HFR_TRANSPORT", "carrier pigeon"},
      {"HFR_DETERMINISTIC", "maybe"}, {"HFR_ALGO", "magic"},   {"HFR_SHM_PATH", "window"},
      {"HFR_CHANNELS", "-1"},         {"HFR_CHANNELS", "17"},  {"HFR_NET_CHUNK", "-4K"}};
  for (const auto& [name, value] : wrong) {
    ::setenv(name, value, 1);
    const auto c = Config::from_environment();
    ::unsetenv(name);
    ASSERT_FALSE(c.has_value()) << name << "=" << value;
    EXPECT_EQ(c.error().message().rfind(name, 0), 0u) << c.error().message();
  }
}

}  // namespace
}  // namespace ff::hfreduce
