#include "libcommon/rpc/wire.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace ff::rpc {
namespace {

std::vector<std::byte> bytes_of(const net::Message& message) {
  const auto payload = message.payload();
  return {payload.begin(), payload.end()};
}
std::string hex(std::span<const std::byte> bytes) {
  std::string out;
  for (const std::byte byte : bytes) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", static_cast<unsigned>(byte));
    out += text;
  }
  return out;
}

// The example of wire.md, worked out by hand.
TEST(Wire, RequestHasTheDocumentedBytes) {
  RequestHeader header{.id = 0x0000000100000002, .method = 0xaabbccdd, .timeout_us = 1'000'000, .trace = 0x77};
  header.grants = true;
  header.inline_send = 3;
  const std::byte bulk[] = {std::byte{'a'}, std::byte{'b'}, std::byte{'c'}};
  Draft draft = encode_request(header, bulk, 2);
  draft.payload[0] = std::byte{8};
  draft.payload[1] = std::byte{1};
  EXPECT_EQ(hex(draft.message.payload()),
            "01110000ddccbbaa0200000001000000"  // type 1, flags 1 + 16, reserved, method, id
            "40420f0000000000"                  // 1,000,000 us
            "7700000000000000"                  // trace
            "03000000"                          // inline bytes
            "616263"                            // abc
            "0801");                            // the protobuf message
}

TEST(Wire, RequestWithEverythingReadsBack) {
  RequestHeader header{.id = 9, .method = 8, .timeout_us = 7, .trace = 6, .grants = true};
  header.key = {.client = 5, .sequence = 4};
  header.settled_below = 3;
  header.bulk_send = {11, 12, 13};
  header.bulk_receive = {21, 22, 23};
  const Draft draft = encode_request(header, {}, 10);
  const auto view = decode_request(draft.message.payload());
  ASSERT_TRUE(view) << view.error().message();
  EXPECT_EQ(view->header.id, 9u);
  EXPECT_EQ(view->header.method, 8u);
  EXPECT_EQ(view->header.timeout_us, 7u);
  EXPECT_EQ(view->header.trace, 6u);
  EXPECT_TRUE(view->header.grants);
  EXPECT_EQ(view->header.key, header.key);
  EXPECT_EQ(view->header.settled_below, 3u);
  EXPECT_EQ(view->header.bulk_send.offset, 12u);
  EXPECT_EQ(view->header.bulk_receive.bytes, 23u);
  EXPECT_EQ(view->payload.size(), 10u);
}

TEST(Wire, EveryTruncatedHeaderIsRefused) {
  RequestHeader header{.id = 9, .method = 8, .timeout_us = 7};
  header.key = {.client = 5, .sequence = 4};
  header.bulk_send = {11, 12, 13};
  header.inline_receive = 100;
  const auto whole = bytes_of(encode_request(header, {}, 0).message);
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(decode_request(std::span(whole).first(n))) << n << " bytes";
  EXPECT_TRUE(decode_request(whole));
}

TEST(Wire, UnknownFlagsReservedBitsAndTypesAreRefused) {
  const auto good = bytes_of(encode_request({.id = 1, .method = 2, .timeout_us = 3}, {}, 0).message);
  for (const std::size_t at : {1u, 2u, 3u}) {
    auto bad = good;
    bad[at] = std::byte{0xc0};
    const auto result = decode_request(bad);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Errc::kCorrupt);
  }
  auto bad = good;
  for (const int type : {0, 8, 255}) {
    bad[0] = std::byte(type);
    EXPECT_FALSE(decode_type(bad));
  }
}

TEST(Wire, TimeoutsOutOfRangeAreRefused) {
  for (const std::uint64_t timeout : {std::uint64_t{0}, kTimeoutUsMax + 1, UINT64_MAX}) {
    EXPECT_FALSE(decode_request(encode_request({.id = 1, .timeout_us = timeout}, {}, 0).message.payload()));
  }
}

TEST(Wire, MemoryThatWrapsAroundIsRefused) {
  RequestHeader header{.id = 1, .timeout_us = 1};
  header.bulk_send = {1, UINT64_MAX - 1, 10};
  EXPECT_FALSE(decode_request(encode_request(header, {}, 0).message.payload()));
}

TEST(Wire, BulkInlineAndExposedAtOnceIsRefused) {
  RequestHeader header{.id = 1, .timeout_us = 1};
  header.bulk_receive = {1, 0, 100'000};
  header.inline_receive = 10;
  EXPECT_FALSE(decode_request(encode_request(header, {}, 0).message.payload()));
}

TEST(Wire, InlineBulkBeyondItsLimitIsRefused) {
  RequestHeader header{.id = 1, .timeout_us = 1};
  header.inline_receive = kInlineBulkBytesMax + 1;
  EXPECT_FALSE(decode_request(encode_request(header, {}, 0).message.payload()));
}

TEST(Wire, ResponseReadsBack) {
  const std::byte bulk[] = {std::byte{1}, std::byte{2}};
  Draft draft = encode_response(77, bulk, 3);
  std::memset(draft.payload.data(), 5, 3);
  const auto view = decode_response(draft.message.payload());
  ASSERT_TRUE(view);
  EXPECT_EQ(view->id, 77u);
  EXPECT_EQ(hex(view->inline_bulk), "0102");
  EXPECT_EQ(hex(view->payload), "050505");
}

TEST(Wire, EveryErrorCodeSurvives) {
  for (int code = 0; code <= static_cast<int>(Errc::kInternal); ++code) {
    const net::Message message = encode_error(
        {.id = 3, .code = static_cast<Errc>(code), .executed = false, .retry_after_ms = 12, .text = "why"});
    const auto view = decode_error(message.payload());
    ASSERT_TRUE(view);
    EXPECT_EQ(static_cast<int>(view->code), code);
    EXPECT_FALSE(view->executed);
    EXPECT_EQ(view->retry_after_ms, 12u);
    EXPECT_EQ(view->text, "why");
  }
}

TEST(Wire, ErrorTextIsCutAndCleaned) {
  const std::string text(5000, '\x1b');
  const net::Message message = encode_error({.id = 3, .code = Errc::kIo, .text = text});
  const auto view = decode_error(message.payload());
  ASSERT_TRUE(view);
  EXPECT_EQ(view->text, std::string(kErrorTextBytesMax, '?'));
}

TEST(Wire, ErrorTextWithControlCharactersIsRefused) {
  auto bytes = bytes_of(encode_error({.id = 3, .code = Errc::kIo, .text = "abc"}));
  bytes.back() = std::byte{7};
  EXPECT_FALSE(decode_error(bytes));
}

TEST(Wire, ControlsReadBackAndTakeNoSurplusBytes) {
  for (const Type type : {Type::kCancel, Type::kBulkAsk, Type::kBulkGrant, Type::kBulkDone}) {
    ControlView control{.type = type, .id = 4};
    if (type != Type::kCancel) control.grant = 6;
    if (type == Type::kBulkAsk) control.bytes = 1u << 20;
    auto bytes = bytes_of(encode_control(control));
    const auto view = decode_control(bytes);
    ASSERT_TRUE(view) << view.error().message();
    EXPECT_EQ(view->type, type);
    EXPECT_EQ(view->grant, control.grant);
    EXPECT_EQ(view->bytes, control.bytes);
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(decode_control(bytes));
  }
}

TEST(Wire, MethodIdIsTheChecksumOfTheFullName) { EXPECT_EQ(method_id("123456789"), 0xE3069283u); }

}  // namespace
}  // namespace ff::rpc
