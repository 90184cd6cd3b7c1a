// The golden bytes were computed by hand from the grammar in libcommon/net/frame.md, with a CRC-32C that is not ours.
#include "libcommon/net/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "libcommon/base/crc32c.hpp"
#include "tests/unit/libcommon/net/error_code.hpp"

namespace ff::net {
namespace {

constexpr unsigned char kGoldenBulk[48] = {0x46, 0x46, 0x4d, 0x31, 0x01, 0x20, 0x01, 0x00, 0x0b, 0x00, 0x00, 0x00,
                                           0x34, 0x49, 0xcb, 0xb2, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,
                                           0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00,
                                           0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x57, 0x58, 0x2b, 0xab};
constexpr std::string_view kText = "hello, link";

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

FrameHeader golden_header() {
  FrameHeader header = checked_header(FrameType::kBulk, bytes_of(kText));
  header.region = 0x0102030405060708;
  header.offset = 4096;
  header.transfer = 7;
  return header;
}

// Changes bytes of a header and mends its checksum, so that what lies behind the checksum is reached.
FrameHeaderBytes altered(FrameHeaderBytes bytes, const std::function<void(std::byte*)>& change) {
  change(bytes.data());
  const std::uint32_t crc = crc32c(0, bytes.data(), 44);
  std::memcpy(bytes.data() + 44, &crc, sizeof crc);
  return bytes;
}

FrameHeaderBytes plain(FrameType type) {
  FrameHeader header{.type = type};
  if (type == FrameType::kPull) header = checked_header(type, encode_pull({.length = 1}));
  return encode_frame_header(header);
}

void expect_refused(const FrameHeaderBytes& bytes, Errc code, std::string_view said) {
  const auto decoded = decode_frame_header(bytes);
  ASSERT_FALSE(decoded) << said;
  EXPECT_EQ(decoded.error().code(), code) << decoded.error().message();
  EXPECT_NE(decoded.error().message().find(said), std::string::npos) << decoded.error().message();
}

TEST(FrameHeader, HasTheBytesOfTheGrammar) {
  const FrameHeaderBytes bytes = encode_frame_header(golden_header());
  EXPECT_EQ(std::memcmp(bytes.data(), kGoldenBulk, sizeof kGoldenBulk), 0);
  EXPECT_EQ(*decode_frame_header(bytes), golden_header());
}

TEST(FrameHeader, GoesBothWaysForEveryType) {
  for (int n = 0; n < 256; ++n) {
    const auto type = static_cast<FrameType>(n);
    if (frame_type_name(type) == "unknown") {
      EXPECT_EQ(frame_length_max(type), 0u);
      continue;
    }
    EXPECT_EQ(decode_frame_header(plain(type))->type, type);
  }
}

TEST(FrameHeader, RefusesEveryFlippedBit) {
  const FrameHeaderBytes good = encode_frame_header(golden_header());
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    FrameHeaderBytes bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    const auto decoded = decode_frame_header(bad);
    ASSERT_FALSE(decoded) << bit;
    EXPECT_EQ(code_of(decoded), Errc::kCorrupt);
  }
}

TEST(FrameHeader, NamesTheProtocolThatSpeaksInstead) {
  FrameHeaderBytes bytes{};
  std::memcpy(bytes.data(), "\x16\x03\x01", 3);
  expect_refused(bytes, Errc::kCorrupt, "this is TLS");
  std::memcpy(bytes.data(), "GET / HTTP/1.1", 14);
  expect_refused(bytes, Errc::kCorrupt, "this is HTTP");
  std::memcpy(bytes.data(), "SSH-2.0", 7);
  expect_refused(bytes, Errc::kCorrupt, "wrong magic 0x2d485353");
}

TEST(FrameHeader, RefusesOtherVersions) {
  const auto with_version = [](int v) {
    return altered(plain(FrameType::kPing), [v](std::byte* at) { at[4] = static_cast<std::byte>(v); });
  };
  expect_refused(with_version(2), Errc::kUnsupported, "version 2 is newer");
  expect_refused(with_version(255), Errc::kUnsupported, "version 255 is newer");
  expect_refused(with_version(0), Errc::kCorrupt, "no version 0");
}

TEST(FrameHeader, RefusesReservedBitsTypesAndFlags) {
  const auto set = [](FrameType type, std::size_t at, int value) {
    return altered(plain(type), [=](std::byte* bytes) { bytes[at] = static_cast<std::byte>(value); });
  };
  for (std::size_t at = 40; at < 44; ++at)
    expect_refused(set(FrameType::kMessage, at, 1), Errc::kCorrupt, "reserved bytes");
  expect_refused(set(FrameType::kMessage, 5, 0), Errc::kCorrupt, "no frame type 0");
  expect_refused(set(FrameType::kMessage, 5, 99), Errc::kCorrupt, "no frame type 99");
  expect_refused(set(FrameType::kMessage, 6, 4), Errc::kCorrupt, "reserved flags");
  expect_refused(set(FrameType::kMessage, 7, 0x80), Errc::kCorrupt, "reserved flags");
  expect_refused(set(FrameType::kMessage, 6, 2), Errc::kCorrupt, "'pulled'");
  expect_refused(set(FrameType::kPing, 6, 1), Errc::kCorrupt, "without payload");
  expect_refused(set(FrameType::kHello, 8, 1), Errc::kCorrupt, "no checksum");
  expect_refused(set(FrameType::kGoaway, 8, 1), Errc::kCorrupt, "no checksum");
  expect_refused(set(FrameType::kMessage, 12, 1), Errc::kCorrupt, "unchecked payload");
}

TEST(FrameHeader, RefusesFieldsThatTheTypeDoesNotUse) {
  for (const FrameType type : {FrameType::kHello, FrameType::kMessage, FrameType::kGoaway}) {
    for (const std::size_t at : {16u, 24u})
      expect_refused(altered(plain(type), [at](std::byte* b) { b[at] = std::byte{1}; }), Errc::kCorrupt, "region");
    expect_refused(altered(plain(type), [](std::byte* b) { b[32] = std::byte{1}; }), Errc::kCorrupt, "transfer");
  }
  expect_refused(altered(plain(FrameType::kPing), [](std::byte* b) { b[16] = std::byte{1}; }), Errc::kCorrupt,
                 "region");
}

TEST(FrameHeader, BoundsTheLengthByType) {
  const auto with_length = [](FrameType type, std::uint32_t length) {
    return altered(plain(type), [=](std::byte* at) {
      at[6] |= std::byte{frame_length_max(type) > 0};
      std::memcpy(at + 8, &length, sizeof length);
    });
  };
  for (int n = 0; n < 256; ++n) {
    const auto type = static_cast<FrameType>(n);
    if (frame_type_name(type) == "unknown") continue;
    EXPECT_TRUE(decode_frame_header(with_length(type, frame_length_max(type)))) << n;
    expect_refused(with_length(type, frame_length_max(type) + 1), Errc::kInvalidArgument, "bytes");
    expect_refused(with_length(type, 0xffffffff), Errc::kInvalidArgument, "bytes");
  }
  expect_refused(with_length(FrameType::kPull, 23), Errc::kInvalidArgument, "must be 24");
  EXPECT_EQ(frame_length_max(FrameType::kMessage), 4u << 20);
  EXPECT_EQ(frame_length_max(FrameType::kHello), 4096u);
}

TEST(FrameHeader, RefusesBulkBeyondTheEndOfAddresses) {
  const auto bytes = altered(encode_frame_header(golden_header()), [](std::byte* at) {
    const std::uint64_t offset = 0xfffffffffffffff5;  // eleven bytes end at 2^64
    std::memcpy(at + 24, &offset, sizeof offset);
  });
  expect_refused(bytes, Errc::kInvalidArgument, "beyond 2^64");
}

TEST(FramePayload, IsChecked) {
  const FrameHeader header = golden_header();
  EXPECT_EQ(header.payload_crc, 0xb2cb4934u);
  EXPECT_TRUE(check_payload(header, bytes_of(kText)));
  EXPECT_EQ(code_of(check_payload(header, bytes_of("hello, lonk"))), Errc::kCorrupt);
  FrameHeader unchecked{.type = FrameType::kMessage, .length = 3};
  EXPECT_TRUE(check_payload(unchecked, bytes_of("any")));
}

TEST(PullRequestTest, GoesBothWaysAndRefusesNonsense) {
  const PullRequest request{.length = 0x0102, .destination_region = 0x0304, .destination_offset = 0x0506};
  const auto bytes = encode_pull(request);
  EXPECT_EQ(bytes[0], std::byte{2});
  EXPECT_EQ(bytes[9], std::byte{3});
  EXPECT_EQ(bytes[16], std::byte{6});
  EXPECT_EQ(*decode_pull({}, bytes), request);
  EXPECT_EQ(code_of(decode_pull({}, std::span(bytes).first(23))), Errc::kCorrupt);
  EXPECT_EQ(code_of(decode_pull({}, encode_pull({.length = 0}))), Errc::kInvalidArgument);
  constexpr std::uint64_t kTop = ~std::uint64_t{0};
  EXPECT_EQ(code_of(decode_pull({}, encode_pull({.length = 2, .destination_offset = kTop - 1}))),
            Errc::kInvalidArgument);
  EXPECT_TRUE(decode_pull({}, encode_pull({.length = 1, .destination_offset = kTop - 1})));
  EXPECT_EQ(code_of(decode_pull({.offset = kTop}, encode_pull({.length = 1}))), Errc::kInvalidArgument);
}

TEST(Reason, IsBoundedAndPrintable) {
  EXPECT_EQ(bounded_reason(std::string(2000, 'x')).size(), kReasonBytesMax);
  EXPECT_EQ(bounded_reason("short"), "short");
  EXPECT_EQ(reason_text(bytes_of("full\x1b[2J\ndisk\x80")), "full?[2J?disk?");
  EXPECT_EQ(reason_text(bytes_of(std::string(5000, 'x'))).size(), kReasonBytesMax);
}

std::vector<std::byte> frame(FrameType type, std::string_view payload) {
  const FrameHeaderBytes header = encode_frame_header(checked_header(type, bytes_of(payload)));
  std::vector<std::byte> out(header.begin(), header.end());
  out.insert(out.end(), bytes_of(payload).begin(), bytes_of(payload).end());
  return out;
}

void append(std::vector<std::byte>& to, const std::vector<std::byte>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

TEST(FrameCutterTest, CutsWhateverThePieces) {
  std::vector<std::byte> stream = frame(FrameType::kMessage, "first");
  append(stream, frame(FrameType::kPing, ""));
  append(stream, frame(FrameType::kMessage, std::string(1000, 'z')));
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    FrameCutter cutter;
    std::vector<std::string> got;
    std::size_t begin = 0;
    for (std::size_t end = 0; end < stream.size();) {
      end = std::min(end + piece, stream.size());
      while (true) {
        const auto unread = std::span<const std::byte>(stream).subspan(begin, end - begin);
        const auto cut = cutter.peek(unread);
        ASSERT_TRUE(cut) << cut.error().message();
        if (!*cut) {
          ASSERT_GT(cutter.wanted(), unread.size());
          break;
        }
        // A view into the caller's bytes, not a copy.
        ASSERT_EQ((*cut)->payload.data(), unread.data() + kFrameHeaderBytes);
        got.emplace_back(reinterpret_cast<const char*>((*cut)->payload.data()), (*cut)->payload.size());
        begin += cutter.consume();
      }
    }
    EXPECT_EQ(begin, stream.size());
    EXPECT_EQ(got, (std::vector<std::string>{"first", "", std::string(1000, 'z')}));
  }
}

TEST(FrameCutterTest, HandsHeadersOutBeforeTheirPayload) {
  const auto bulk = frame(FrameType::kBulk, "payload");
  FrameCutter cutter(16);
  EXPECT_FALSE(*cutter.peek_header(std::span(bulk).first(47)));
  const auto header = cutter.peek_header(std::span(bulk).first(48));
  ASSERT_TRUE(header && *header);
  EXPECT_EQ((*header)->length, 7u);
  EXPECT_EQ(cutter.wanted(), 55u);
  EXPECT_EQ(cutter.consume_header(), 48u);
  EXPECT_EQ(cutter.wanted(), 48u);
}

TEST(FrameCutterTest, RefusesWhatItWouldNotBufferAndWhatIsDamaged) {
  FrameCutter small(4);
  EXPECT_EQ(code_of(small.peek(frame(FrameType::kMessage, "12345"))), Errc::kExhausted);
  FrameCutter cutter;
  auto damaged = frame(FrameType::kMessage, "12345");
  damaged.back() ^= std::byte{1};
  EXPECT_EQ(code_of(cutter.peek(damaged)), Errc::kCorrupt);
  FrameCutter other;
  EXPECT_EQ(code_of(other.peek(std::vector<std::byte>(48))), Errc::kCorrupt);
}

}  // namespace
}  // namespace ff::net
