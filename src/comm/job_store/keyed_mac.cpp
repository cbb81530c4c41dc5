#include "collimate/comm/job_store/keyed_mac.hpp"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "collimate/base/error.hpp"

namespace collimate::detail {

std::string random_bytes(std::size_t num_bytes) {
  std::string bytes(num_bytes, '\0');
  std::size_t filled = 0;
  while (filled < num_bytes) {
    const ssize_t got = ::getrandom(bytes.data() + filled, num_bytes - filled, 0);
    if (got < 0 && errno != EINTR) {
      throw Error(fmt::format("the kernel gives no random bytes: {}", std::strerror(errno)));
    }
    if (got > 0) filled += static_cast<std::size_t>(got);
  }
  return bytes;
}

std::string keyed_mac(const std::string& key, std::string_view text) {
  std::string mac(EVP_MAX_MD_SIZE, '\0');
  unsigned int length = 0;
  const auto* const given =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
           text.size(), reinterpret_cast<unsigned char*>(mac.data()), &length);
  if (given == nullptr) throw Error("libcrypto gives no HMAC-SHA256");
  mac.resize(length);
  return mac;
}

bool are_same_tags(std::string_view one, std::string_view other) {
  return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace collimate::detail
