#include "libcommon/kv/etcd_read_record.hpp"

#include <gtest/gtest.h>

namespace ff::kv {
namespace {

TEST(EtcdReadRecord, PagesThatMeetMakeAWhole) {
  EtcdReadRecord record;
  record.saw_all_of({"b", "d"});
  EXPECT_TRUE(record.has_all_of({"b", "d"}));
  EXPECT_TRUE(record.has_all_of({"bb", "c"}));
  EXPECT_FALSE(record.has_all_of({"a", "c"}));
  EXPECT_FALSE(record.has_all_of({"c", "e"}));
  EXPECT_FALSE(record.has_all_of({"c", ""}));
  record.saw_all_of({"f", "g"});
  EXPECT_FALSE(record.has_all_of({"b", "g"}));
  record.saw_all_of({"d", "f"});
  EXPECT_TRUE(record.has_all_of({"b", "g"}));
  record.saw_all_of({"g", ""});
  EXPECT_TRUE(record.has_all_of({"c", ""}));
  EXPECT_TRUE(record.has_all_of({"x", "y"}));
  EXPECT_FALSE(record.has_all_of({"", ""}));
  record.saw_all_of({"", "b"});
  EXPECT_TRUE(record.has_all_of({"", ""}));
}

TEST(EtcdReadRecord, EmptyRangesAreNothing) {
  EtcdReadRecord record;
  record.saw_all_of({"b", "b"});
  record.saw_all_of({"c", "a"});
  EXPECT_FALSE(record.has_all_of({"b", "c"}));
}

TEST(EtcdReadRecord, RemembersRevisionsAndWhatIsAbsent) {
  EtcdReadRecord record;
  record.saw("b", 7);
  record.saw("c", 0);
  record.saw("d", 9);
  EXPECT_EQ(record.revision_of("b"), 7);
  EXPECT_EQ(record.revision_of("c"), 0);
  EXPECT_EQ(record.revision_of("x"), std::nullopt);
  using Present = std::vector<std::pair<std::string, std::int64_t>>;
  EXPECT_EQ(record.present_in({"a", "d"}), (Present{{"b", 7}}));
  EXPECT_EQ(record.present_in({"", ""}), (Present{{"b", 7}, {"d", 9}}));
}

}  // namespace
}  // namespace ff::kv
