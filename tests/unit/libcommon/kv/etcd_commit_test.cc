// What commits say to etcd, by the rules in etcd_commit.hpp. Whether etcd then does what kv_store.hpp demands is for
// tests/e2e/kv_etcd_test.cc.
#include "libcommon/kv/etcd_commit.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace ff::kv {
namespace {

namespace rpc = etcdserverpb;

const EtcdKeys kKeys("p");

rpc::TxnRequest built(const EtcdCommit& commit, const EtcdValues& values = {}, Version stamp = 0) {
  auto request = build_commit(kKeys, commit, values, stamp);
  EXPECT_TRUE(request.has_value()) << request.error().message();
  return request ? *request : rpc::TxnRequest();
}

bool compares_equal(const rpc::TxnRequest& request, const std::string& key, std::int64_t revision) {
  return std::ranges::any_of(request.compare(), [&](const rpc::Compare& c) {
    return c.key() == key && c.range_end().empty() && c.target() == rpc::Compare::MOD &&
           c.result() == rpc::Compare::EQUAL && c.mod_revision() == revision;
  });
}
bool compares_unchanged(const rpc::TxnRequest& request, const EtcdRange& range, std::int64_t below) {
  return std::ranges::any_of(request.compare(), [&](const rpc::Compare& c) {
    return c.key() == range.key && c.range_end() == range.range_end && c.target() == rpc::Compare::MOD &&
           c.result() == rpc::Compare::LESS && c.mod_revision() == below;
  });
}
bool puts(const rpc::TxnRequest& request, const std::string& key) {
  return std::ranges::any_of(request.success(), [&](const rpc::RequestOp& op) {
    return op.has_request_put() && op.request_put().key() == key;
  });
}
bool deletes(const rpc::TxnRequest& request, const EtcdRange& range) {
  return std::ranges::any_of(request.success(), [&](const rpc::RequestOp& op) {
    return op.has_request_delete_range() && op.request_delete_range().key() == range.key &&
           op.request_delete_range().range_end() == range.range_end;
  });
}

TEST(EtcdCommit, KeysReadAreComparedOnceEach) {
  EtcdCommit commit{.snapshot = 50};
  commit.record.saw("there", 40);
  commit.record.saw("absent", 0);
  commit.record.saw("snapshot read", 30);
  commit.reads.points = {"there", "absent", "there"};
  commit.writes.set("out", "v");
  const auto request = built(commit);
  EXPECT_EQ(request.compare_size(), 2);
  EXPECT_TRUE(compares_equal(request, kKeys.data("there"), 40));
  EXPECT_TRUE(compares_equal(request, kKeys.data("absent"), 0));
  EXPECT_EQ(request.success_size(), 1);
  EXPECT_TRUE(puts(request, kKeys.data("out")));
}

TEST(EtcdCommit, ARangeIsComparedWithAllThatWasReadInIt) {
  EtcdCommit commit{.snapshot = 50};
  for (const char* key : {"a", "m1", "m2", "z"}) commit.record.saw(key, 40);
  commit.record.saw("m3", 0);
  commit.record.saw_all_of({"m", "n"});
  commit.reads.ranges = {{"m", "n"}};
  commit.writes.set("out", "v");
  const auto request = built(commit);
  EXPECT_EQ(request.compare_size(), 3);
  EXPECT_TRUE(compares_unchanged(request, kKeys.data(KeyRange{"m", "n"}), 51));
  EXPECT_TRUE(compares_equal(request, kKeys.data("m1"), 40));
  EXPECT_TRUE(compares_equal(request, kKeys.data("m2"), 40));
}

TEST(EtcdCommit, ALongRangeGoesByMarkersAndShortOnesStayExact) {
  EtcdCommit commit{.snapshot = 50};
  for (int i = 0; i < 200; ++i) commit.record.saw("long/" + std::to_string(1000 + i), 40);
  commit.record.saw("short/1", 41);
  commit.record.saw_all_of(prefix_range("long/"));
  commit.record.saw_all_of(prefix_range("short/"));
  commit.reads.ranges = {prefix_range("long/"), prefix_range("short/")};
  commit.writes.set("out", "v");
  const auto request = built(commit);
  EXPECT_EQ(request.compare_size(), 2 + 2 + 1);
  EXPECT_TRUE(compares_unchanged(request, kKeys.data(prefix_range("long/")), 51));
  EXPECT_TRUE(compares_unchanged(request, kKeys.markers_of(prefix_range("long/")), 51));
  EXPECT_TRUE(compares_unchanged(request, {kKeys.wide_marker(), ""}, 51));
  EXPECT_TRUE(compares_equal(request, kKeys.data("short/1"), 41));
}

TEST(EtcdCommit, ARangeThatWasNotReadGoesByMarkers) {
  EtcdCommit commit{.snapshot = 50};
  commit.record.saw("m1", 40);
  commit.reads.ranges = {{"m", "n"}};
  commit.writes.set("out", "v");
  const auto request = built(commit);
  EXPECT_EQ(request.compare_size(), 3);
  EXPECT_TRUE(compares_unchanged(request, kKeys.markers_of({"m", "n"}), 51));
}

TEST(EtcdCommit, RemovalsPutTheirMarkers) {
  EtcdCommit commit;
  commit.writes.clear("ab1");
  commit.writes.clear("ab2");
  commit.writes.clear("cd");
  commit.writes.clear_range({"e", "g"});
  const auto request = built(commit);
  EXPECT_EQ(request.success_size(), 4 + 3);
  EXPECT_TRUE(deletes(request, {kKeys.data("ab1"), ""}));
  EXPECT_TRUE(deletes(request, kKeys.data(KeyRange{"e", "g"})));
  EXPECT_TRUE(puts(request, kKeys.marker_of("ab")));
  EXPECT_TRUE(puts(request, kKeys.marker_of("cd")));
  EXPECT_TRUE(puts(request, kKeys.wide_marker()));
}

// etcd refuses a put inside a range that the same transaction deletes.
TEST(EtcdCommit, ClearedRangesAreCutAtThePutsInThem) {
  EtcdCommit commit;
  commit.writes.clear_range({"xx1", "xx9"});
  commit.writes.set("xx1", "v");
  commit.writes.set("xx5", "v");
  commit.writes.clear("xx7");
  commit.writes.stamp("xx6", "", "v");
  const EtcdValues values{{kKeys.stamps(), {.value = std::nullopt, .revision = 0}}};
  const auto request = built(commit, values, 9);
  const std::string stamped = std::string("xx6") + std::string(7, '\0') + "\x09" + std::string(2, '\0');
  for (const std::string& key : {std::string("xx1"), std::string("xx5"), stamped}) {
    EXPECT_TRUE(puts(request, kKeys.data(key)));
    for (const auto& op : request.success()) {
      if (!op.has_request_delete_range()) continue;
      const auto& cleared = op.request_delete_range();
      EXPECT_FALSE(kKeys.data(key) >= cleared.key() && kKeys.data(key) < cleared.range_end());
    }
  }
  EXPECT_TRUE(deletes(request, kKeys.data(KeyRange{std::string("xx1\0", 4), "xx5"})));
  EXPECT_TRUE(deletes(request, kKeys.data(KeyRange{std::string("xx5\0", 4), stamped})));
  EXPECT_TRUE(deletes(request, kKeys.data(KeyRange{stamped + '\0', "xx9"})));
}

TEST(EtcdCommit, AtomicsCompareTheValueTheyComputeWith) {
  EtcdCommit commit;
  commit.writes.atomic(Atomic::kAdd, "n", 5);
  const std::string key = kKeys.data("n");
  EXPECT_EQ(operands_of(kKeys, commit.writes), std::vector<std::string>{key});
  const auto request = built(commit, {{key, {.value = encode_counter(37), .revision = 12}}});
  EXPECT_TRUE(compares_equal(request, key, 12));
  ASSERT_EQ(request.success_size(), 1);
  EXPECT_EQ(request.success(0).request_put().value(), encode_counter(42));
  ASSERT_EQ(request.failure_size(), 1);
  EXPECT_EQ(request.failure(0).request_range().key(), key);
  EXPECT_EQ(build_commit(kKeys, commit, {{key, {.value = "text", .revision = 12}}}, 0).error().code(),
            Errc::kInvalidArgument);
}

TEST(EtcdCommit, StampedCommitsFormOneLine) {
  EtcdCommit commit;
  commit.writes.stamp("q/", "", "v");
  EXPECT_EQ(operands_of(kKeys, commit.writes), std::vector<std::string>{kKeys.stamps()});
  const auto request = built(commit, {{kKeys.stamps(), {.value = "", .revision = 77}}}, 99);
  EXPECT_TRUE(compares_equal(request, kKeys.stamps(), 77));
  EXPECT_TRUE(puts(request, kKeys.stamps()));
}

TEST(EtcdCommit, GuardsCompareTheCreationOfTheLease) {
  EtcdCommit commit;
  commit.guards = {{"leader", 33}};
  commit.writes.set("out", "v");
  const auto request = built(commit);
  ASSERT_EQ(request.compare_size(), 1);
  EXPECT_EQ(request.compare(0).key(), kKeys.lease("leader"));
  EXPECT_EQ(request.compare(0).target(), rpc::Compare::CREATE);
  EXPECT_EQ(request.compare(0).result(), rpc::Compare::EQUAL);
  EXPECT_EQ(request.compare(0).create_revision(), 33);
}

TEST(EtcdCommit, WhatEtcdWouldRefuseIsRefusedHere) {
  EtcdCommit writes;
  for (int i = 0; i < 129; ++i) writes.writes.set("k" + std::to_string(i), "v");
  EXPECT_EQ(build_commit(kKeys, writes, {}, 0).error().code(), Errc::kExhausted);
  EtcdCommit reads{.snapshot = 5};
  for (int i = 0; i < 129; ++i) {
    reads.record.saw("k" + std::to_string(i), 1);
    reads.reads.points.push_back("k" + std::to_string(i));
  }
  reads.writes.set("out", "v");
  EXPECT_EQ(build_commit(kKeys, reads, {}, 0).error().code(), Errc::kExhausted);
  EtcdCommit bytes;
  bytes.writes.set("a", std::string(1U << 20, 'v'));
  bytes.writes.set("b", std::string(1U << 19, 'v'));
  EXPECT_EQ(build_commit(kKeys, bytes, {}, 0).error().code(), Errc::kExhausted);
  // Reads and writes are counted apart.
  EtcdCommit both{.snapshot = 5};
  for (int i = 0; i < 128; ++i) {
    both.record.saw("k" + std::to_string(i), 1);
    both.reads.points.push_back("k" + std::to_string(i));
    both.writes.set("k" + std::to_string(i), "v");
  }
  EXPECT_EQ(built(both).compare_size(), 128);
}

}  // namespace
}  // namespace ff::kv
