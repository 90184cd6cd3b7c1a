// Any bytes are a record of the namespace, or damage that is told; what is read is written and read again as the same.
// The first byte chooses the record.
#include <cstdint>
#include <string>
#include <string_view>

#include "ffs/meta/records.hpp"
#include "ffs/meta/user_token.hpp"
#include "libcommon/base/assert.hpp"

namespace {

using namespace ff::ffs;

template <class Record>
void record(std::string_view bytes) {
  const auto read = decode_record<Record>(bytes, "record");
  if (!read) {
    const ff::Errc code = read.error().code();
    FF_ASSERT(code == ff::Errc::kCorrupt || code == ff::Errc::kUnsupported, read.error().message());
    return;
  }
  const std::string written = encode_record(*read);
  const auto again = decode_record<Record>(written, "record");
  FF_ASSERT(again.has_value(), again.error().message());
  FF_ASSERT(encode_record(*again) == written);
}

void count(std::string_view bytes) {
  const auto read = decode_count(bytes, "count");
  FF_ASSERT(read.has_value() == (bytes.size() == 8), bytes.size());
}

// A token's text, and the number of one.
void token(std::string_view bytes) {
  if (const auto read = UserToken::parse(bytes)) {
    FF_ASSERT(bytes.substr(0, read->text().size()) == read->text());
    FF_ASSERT(UserToken::parse(read->text())->bytes() == read->bytes());
  }
  if (const auto number = parse_token_number(bytes))
    FF_ASSERT(*parse_token_number(token_number_text(*number)) == *number, *number);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 10) {
    case 0: record<InodeRecord>(bytes); break;
    case 1: record<DirentRecord>(bytes); break;
    case 2: record<SessionRecord>(bytes); break;
    case 3: record<QuotaRecord>(bytes); break;
    case 4: record<AnswerRecord>(bytes); break;
    case 5: record<GarbageRecord>(bytes); break;
    case 6: count(bytes); break;
    case 7: record<UserRecord>(bytes); break;
    case 8: record<TokenRecord>(bytes); break;
    default: token(bytes); break;
  }
  return 0;
}
