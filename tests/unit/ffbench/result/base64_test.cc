#include "ffbench/result/base64.hpp"

#include <gtest/gtest.h>

#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

TEST(Base64, KnownAnswersOfRfc4648) {
  const std::pair<const char*, const char*> known[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"},
                                                       {"\xff\xfe", "//4="}};
  for (const auto& [bytes, text] : known) {
    EXPECT_EQ(encode_base64(bytes), text);
    EXPECT_EQ(*decode_base64(text), bytes);
  }
}

TEST(Base64, ReadsBackAnyBytes) {
  Rng rng(1);
  for (std::size_t n = 0; n < 100; ++n) {
    std::string bytes;
    for (std::size_t i = 0; i < n; ++i) bytes += static_cast<char>(rng.below(256));
    EXPECT_EQ(*decode_base64(encode_base64(bytes)), bytes);
  }
}

TEST(Base64, RefusesOtherForms) {
  for (const char* text :
       {"A", "AA", "AAA", "AA=A", "====", "A===", "Zg=", "Zm9v\n", "Zm 9v===", "Zh==", "Zm9=", "_-8=", "AA==AAAA"})
    EXPECT_FALSE(decode_base64(text)) << text;
}

}  // namespace
}  // namespace ff::bench
