#include "ffs/cluster/cluster_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libcommon/base/file.hpp"
#include "libcommon/config/describe.hpp"
#include "libcommon/testing/temp_folder.hpp"

namespace ff::ffs {
namespace {

using ::testing::HasSubstr;

const std::string kHead = "cluster:\n  id: 000102030405060708090a0b0c0d0e0f\n";
const std::string kThree =
    "nodes:\n"
    "  - 1 10.0.0.1:9601,10.1.0.1:9601 mgmtd,metad\n"
    "  - 3 10.0.0.3:9601 stored /disk/a b\n"
    "  - 2 10.0.0.2:9601 stored target-2\n";

Result<ClusterFile> parse(const std::string& text) { return parse_cluster_file(text, "site.yaml", "/etc/ff"); }

std::string message_of(const std::string& text) {
  const auto file = parse(text);
  return file ? "(accepted)" : file.error().message();
}

TEST(ClusterFile, TellsWhoServesWhatWhere) {
  const auto file = parse(kHead + "  key: secret\n  replicas: 2\n" + kThree);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->id[0], std::byte{0});
  EXPECT_EQ(file->id[15], std::byte{15});
  EXPECT_EQ(file->key_file, "/etc/ff/secret");
  EXPECT_EQ(file->replicas, 2u);
  ASSERT_EQ(file->nodes.size(), 3u);
  EXPECT_EQ(number(file->nodes[1].id), 2u) << "ascending by number";
  EXPECT_EQ(file->nodes[2].folders, (std::vector<std::string>{"/disk/a", "/etc/ff/b"}));
  EXPECT_EQ(file->nodes[0].address.planes.size(), 2u);
  EXPECT_TRUE(file->nodes[0].mgmtd && file->nodes[0].metad && !file->nodes[0].stored);
  ASSERT_EQ(file->managers().size(), 1u);
  EXPECT_EQ(file->managers()[0], file->nodes[0].address);
  EXPECT_EQ(file->node(NodeId{2}), &file->nodes[1]);
  EXPECT_EQ(file->node(NodeId{4}), nullptr);
}

TEST(ClusterFile, KeepsStateInAFolderOrInEtcd) {
  const auto file =
      parse(kHead + kThree + "mgmtd:\n  store: etcd:10.0.0.1:2379,10.0.0.2:2379\nmetad:\n  store: rocksdb:/var/meta\n");
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->mgmtd_store.engine, StorePlace::Engine::kEtcd);
  EXPECT_EQ(file->mgmtd_store.endpoints, (std::vector<std::string>{"10.0.0.1:2379", "10.0.0.2:2379"}));
  EXPECT_EQ(file->metad_store.folder, "/var/meta");
}

TEST(ClusterFile, ANodeMayHaveAMetricsPage) {
  const auto file =
      parse(kHead +
            "nodes:\n  - 1 10.0.0.1:9601 mgmtd,metad metrics=127.0.0.1:9701\n"
            "  - 2 10.0.0.2:9601 stored metrics=[::1]:9701 /disk/a\n  - 3 10.0.0.3:9601 stored ./metrics=b\n");
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->nodes[0].metrics, net::Address::tcp("127.0.0.1", 9701));
  EXPECT_EQ(file->nodes[1].metrics, net::Address::tcp("::1", 9701));
  EXPECT_EQ(file->nodes[1].folders, (std::vector<std::string>{"/disk/a"}));
  EXPECT_FALSE(file->nodes[2].metrics);
  EXPECT_EQ(file->nodes[2].folders, (std::vector<std::string>{"/etc/ff/metrics=b"}));
}

TEST(ClusterFile, RefusesAMetricsPageThatCannotBeServed) {
  const auto with = [](const std::string& page) {
    return message_of(kHead + "nodes:\n  - 1 127.0.0.1:9601 mgmtd,metad,stored " + page + " /x\n");
  };
  EXPECT_THAT(with("metrics="), HasSubstr("nodes"));
  EXPECT_THAT(with("metrics=localhost:9701"), HasSubstr("not an IP address"));
  EXPECT_THAT(with("metrics=127.0.0.1:0"), HasSubstr("not an IP address"));
  EXPECT_THAT(with("metrics=*:9701"), HasSubstr("not an IP address"));
  EXPECT_THAT(with("metrics=unix:/x"), HasSubstr("not an IP address"));
  EXPECT_THAT(with("metrics=127.0.0.1:9601"), HasSubstr("twice"));
  EXPECT_THAT(with("metrics=127.0.0.1:9701 metrics=127.0.0.1:9702"), HasSubstr("metrics= twice"));
}

TEST(ClusterFile, TargetNumbersAreStableAndDistinct) {
  EXPECT_EQ(number(target_id(NodeId{2}, 0, 0)), (2u << 24) + (1u << 12) + 1u);
  EXPECT_EQ(number(target_id(NodeId{2}, 1, 4)), (2u << 24) + (2u << 12) + 5u);
}

TEST(ClusterFile, SaysWhatIsWrongAndHowToMendIt) {
  EXPECT_THAT(message_of("nodes: []\n"), HasSubstr("cluster.id: ''"));
  EXPECT_THAT(message_of("cluster:\n  id: '00000000000000000000000000000000'\n" + kThree), HasSubstr("32 hexadecimal"));
  EXPECT_THAT(message_of("cluster:\n  id: 0x0102030405060708090a0b0c0d0e0f\n" + kThree), HasSubstr("32 hexadecimal"));
  EXPECT_THAT(message_of(kHead + "  chunk: 100000\n" + kThree), HasSubstr("cluster.chunk"));
  EXPECT_THAT(message_of(kHead + "  replicas: 0\n" + kThree), HasSubstr("cluster.replicas"));
  EXPECT_THAT(message_of(kHead + "  replica: 2\n" + kThree), HasSubstr("did you mean 'replicas'"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 h:1\n"), HasSubstr("too few words"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 0 h:1 mgmtd\n"), HasSubstr("not a node number"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 h mgmtd\n"), HasSubstr("nodes"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 *:1 mgmtd\n"), HasSubstr("cannot connect"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 h:1 mgmt\n"), HasSubstr("no role"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 h:1 mgmtd,metad,stored\n"), HasSubstr("needs folders"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 h:1 mgmtd /x\n"), HasSubstr("without the role"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 h:1 stored /x /x\n"), HasSubstr("twice"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 h:1 mgmtd,metad,stored /x\n  - 1 h:2 stored /y\n"),
              HasSubstr("number 1 twice"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 h:1 mgmtd,metad,stored /x\n  - 2 h:1 stored /y\n"),
              HasSubstr("address h:1 twice"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 h:1 mgmtd,stored /x\n"), HasSubstr("none has the role metad"));
  EXPECT_THAT(message_of(kHead + "nodes:\n  - 1 h:1 mgmtd,metad,stored /x\n  - 2 h:2 mgmtd\n"),
              HasSubstr("one process"));
  EXPECT_THAT(message_of(kHead + kThree + "metad:\n  store: rocksdb:mgmtd\n"), HasSubstr("the same folder"));
  EXPECT_THAT(message_of(kHead + kThree + "metad:\n  store: zookeeper:x\n"), HasSubstr("no place for state"));
}

TEST(ClusterFile, ItsManualPageHasEveryKeyAsItIs) {
  const auto page = read_file(FFS_CLUSTER_PAGE, 1 << 20);
  ASSERT_TRUE(page) << page.error().message();
  EXPECT_NE(page->find(config::describe_schema(cluster_schema())), std::string::npos)
      << "man/ffs-cluster.5.scd, KEYS, should be:\n"
      << config::describe_schema(cluster_schema());
}

TEST(ClusterFile, ReadsRelativePathsFromWhereTheFileLies) {
  const ff::testing::TempFolder folder;
  const std::string path = folder.path() + "/c.yaml";
  ASSERT_TRUE(write_file_atomic(path, kHead + kThree));
  const auto file = load_cluster_file(path);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->path, path);
  EXPECT_EQ(file->mgmtd_store.folder, folder.path() + "/mgmtd");
  const auto absent = load_cluster_file(folder.path() + "/none.yaml");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code(), Errc::kNotFound);
}

}  // namespace
}  // namespace ff::ffs
