#include "libcommon/net/cluster_key.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <new>
#include <string>

#include "tests/unit/libcommon/net/error_code.hpp"

namespace ff::net {
namespace {

const std::string kDigits = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";

class ClusterKeyFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ff_key.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = (folder_ / "key").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& text, unsigned mode = 0600) {
    std::ofstream(path_) << text;
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
  }
  std::filesystem::path folder_;
  std::string path_;
};

TEST(ClusterKeyText, IsReadStrictly) {
  const auto key = ClusterKey::parse("ffkey1 " + kDigits + "\n");
  ASSERT_TRUE(key) << key.error().message();
  for (std::size_t i = 0; i < kClusterKeyBytes; ++i) EXPECT_EQ(key->bytes()[i], static_cast<std::byte>(i + 1));
  std::string upper = kDigits;
  upper[31] = 'F';
  for (const std::string& text :
       {std::string(), std::string("ffkey1 "), "ffkey2 " + kDigits + "\n", "ffkey1 " + kDigits,
        "ffkey1 " + kDigits + " ", "ffkey1 " + kDigits + "\n\n", "ffkey1  " + kDigits + "\n",
        "ffkey1 " + kDigits.substr(1) + "\n", "ffkey1 " + kDigits + "0\n", "ffkey1 " + upper + "\n",
        "ffkey1 g" + kDigits.substr(1) + "\n", "ffkey1 " + std::string(64, '0') + "\n", " ffkey1 " + kDigits + "\n"}) {
    const auto bad = ClusterKey::parse(text);
    ASSERT_FALSE(bad) << text;
    EXPECT_EQ(code_of(bad), Errc::kInvalidArgument);
    EXPECT_EQ(bad.error().message().find("0203"), std::string::npos) << "the message shows the key";
  }
}

TEST(ClusterKeyText, HasAFingerprintThatIsAHash) {
  // HMAC-SHA256 of "fingerprint" and a zero byte by Python's hmac.
  EXPECT_EQ(ClusterKey::parse("ffkey1 " + kDigits + "\n")->fingerprint(), "5d281d78");
}

TEST(ClusterKeyLifetime, WipesWhatIsMovedFromAndWhatEnds) {
  const auto zero = [](std::byte b) { return b == std::byte{0}; };
  alignas(ClusterKey) unsigned char place[sizeof(ClusterKey)];
  auto* key = new (place) ClusterKey(ClusterKey::generate());
  const auto bytes = key->bytes();
  EXPECT_FALSE(std::ranges::all_of(bytes, zero));
  ClusterKey other = std::move(*key);
  EXPECT_TRUE(std::ranges::all_of(bytes, zero));
  *key = std::move(other);
  EXPECT_FALSE(std::ranges::all_of(bytes, zero));
  key->~ClusterKey();
  EXPECT_TRUE(std::all_of(place, place + sizeof place, [](unsigned char b) { return b == 0; }));
}

TEST(ClusterKeyLifetime, DrawsAnotherEachTime) {
  EXPECT_FALSE(std::ranges::equal(ClusterKey::generate().bytes(), ClusterKey::generate().bytes()));
}

TEST_F(ClusterKeyFile, IsCreatedPrivateAndReadBack) {
  const ::mode_t before = ::umask(0);
  const ClusterKey key = ClusterKey::generate();
  const auto created = key.create_file(path_);
  ::umask(before);
  ASSERT_TRUE(created) << created.error().message();
  struct stat about;
  ASSERT_EQ(::stat(path_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0600u);
  EXPECT_EQ(about.st_size, 72);
  const auto loaded = ClusterKey::load(path_);
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_TRUE(std::ranges::equal(loaded->bytes(), key.bytes()));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1) << "a temporary file is left";
}

TEST_F(ClusterKeyFile, IsNeverOverwritten) {
  write("mine");
  const auto created = ClusterKey::generate().create_file(path_);
  ASSERT_FALSE(created);
  EXPECT_EQ(code_of(created), Errc::kAlreadyExists);
  std::ifstream in(path_);
  std::string content;
  in >> content;
  EXPECT_EQ(content, "mine");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(ClusterKeyFile, ReplacesTheTemporaryFileOfAKilledProcess) {
  std::ofstream(path_ + ".tmp." + std::to_string(::getpid())) << "half";
  EXPECT_TRUE(ClusterKey::generate().create_file(path_));
  EXPECT_TRUE(ClusterKey::load(path_));
}

TEST_F(ClusterKeyFile, ReportsAFolderThatIsNotThere) {
  EXPECT_EQ(code_of(ClusterKey::generate().create_file(path_ + "/no/key")), Errc::kNotFound);
  EXPECT_EQ(code_of(ClusterKey::load(path_ + "/no/key")), Errc::kNotFound);
}

TEST_F(ClusterKeyFile, IsRefusedWhenOthersMayUseIt) {
  for (const unsigned mode : {0640u, 0604u, 0620u, 0602u, 0610u, 0644u}) {
    write("ffkey1 " + kDigits + "\n", mode);
    const auto loaded = ClusterKey::load(path_);
    ASSERT_FALSE(loaded) << mode;
    EXPECT_EQ(code_of(loaded), Errc::kPermission);
    EXPECT_NE(loaded.error().message().find("chmod 600 '" + path_ + "'"), std::string::npos);
  }
  write("ffkey1 " + kDigits + "\n", 0400);
  EXPECT_TRUE(ClusterKey::load(path_));
}

TEST_F(ClusterKeyFile, IsRefusedWhenAnotherUserOwnsIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  write("ffkey1 " + kDigits + "\n");
  ASSERT_EQ(::chown(path_.c_str(), 12345, 12345), 0);
  const auto loaded = ClusterKey::load(path_);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(code_of(loaded), Errc::kPermission);
  EXPECT_NE(loaded.error().message().find("12345"), std::string::npos);
}

TEST_F(ClusterKeyFile, IsRefusedWhenItIsNoKey) {
  write("ffkey1 " + kDigits + "\n" + std::string(100000, 'x'));
  const auto loaded = ClusterKey::load(path_);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(code_of(loaded), Errc::kInvalidArgument);
  EXPECT_TRUE(loaded.error().message().starts_with(path_));
  EXPECT_EQ(code_of(ClusterKey::load(folder_.string())), Errc::kInvalidArgument);
  ASSERT_EQ(::mkfifo((path_ + "f").c_str(), 0600), 0);
  EXPECT_EQ(code_of(ClusterKey::load(path_ + "f")), Errc::kInvalidArgument) << "and it does not hang";
}

}  // namespace
}  // namespace ff::net
