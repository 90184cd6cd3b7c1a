// Fuzz target: whatever parses must survive being written and parsed again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "hfreduce/npy/npy.hpp"
#include "libcommon/base/assert.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ff::hfreduce;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto header = npy::parse(bytes);
  if (!header) return 0;
  FF_ASSERT(header->elements().has_value());
  (void)npy::element_type(header->descr, DType::kBfloat16);
  // format() writes descr in single quotes; one that holds such a quote has no equal form.
  if (header->descr.find('\'') != std::string::npos) return 0;
  const std::string written = npy::format(*header);
  FF_ASSERT(written.size() % 64 == 0, written.size());
  if (written.size() > npy::kHeaderBytesMax) return 0;  // padding can lift one at the limit over it
  const auto again = npy::parse(written);
  FF_ASSERT(again.has_value());
  FF_ASSERT(again->descr == header->descr && again->fortran_order == header->fortran_order &&
            again->shape == header->shape);
  return 0;
}
