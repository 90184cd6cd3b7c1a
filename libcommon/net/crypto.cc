#include "libcommon/net/crypto.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <memory>
#include <vector>

#include "libcommon/base/assert.hpp"

namespace ff::net {

Digest sha256(std::initializer_list<std::span<const std::byte>> parts) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  FF_ASSERT(context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  for (const auto part : parts) FF_ASSERT(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1);
  Digest out;
  FF_ASSERT(EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(out.data()), nullptr) == 1);
  return out;
}

Digest labelled_hmac(std::span<const std::byte> key, std::string_view label,
                     std::initializer_list<std::span<const std::byte>> parts) {
  std::vector<std::byte> message;
  const auto label_bytes = std::as_bytes(std::span(label));
  message.insert(message.end(), label_bytes.begin(), label_bytes.end());
  message.push_back(std::byte{0});
  for (const auto part : parts) message.insert(message.end(), part.begin(), part.end());
  Digest out;
  unsigned bytes = 0;
  const auto* mac = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                         reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                         reinterpret_cast<unsigned char*>(out.data()), &bytes);
  FF_ASSERT(mac != nullptr && bytes == out.size(), bytes);
  wipe(message);
  return out;
}

bool equal_secret(std::span<const std::byte> a, std::span<const std::byte> b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(std::span<std::byte> secret) noexcept { OPENSSL_cleanse(secret.data(), secret.size()); }

}  // namespace ff::net
