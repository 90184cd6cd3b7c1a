// Any bytes are a record of one kind, or damage; what is read is written back the same.
#include <cstdint>
#include <string_view>

#include "libcommon/base/assert.hpp"
#include "libcommon/kv/store_record.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using ff::kv::RecordKind;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  int kinds = 0;
  for (const RecordKind kind : {RecordKind::kFormat, RecordKind::kLastVersion, RecordKind::kLeaseEpoch}) {
    const auto value = ff::kv::decode_record(kind, bytes);
    if (!value) {
      FF_ASSERT(value.error().code() == ff::Errc::kCorrupt, value.error().message());
      continue;
    }
    ++kinds;
    FF_ASSERT(ff::kv::encode_record(kind, *value) == bytes, *value);
  }
  FF_ASSERT(kinds <= 1, kinds);
  return 0;
}
