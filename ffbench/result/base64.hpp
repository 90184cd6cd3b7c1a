// Base64 (RFC 4648, section 4, with padding): bytes in JSON.
#pragma once

#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff::bench {

std::string encode_base64(std::string_view bytes);
// kCorrupt: another alphabet, white space, missing padding, or bits that no encoder leaves set.
Result<std::string> decode_base64(std::string_view text);

}  // namespace ff::bench
