// See the header.
#include "debian/configure/md5.hpp"

#include <array>

#include <openssl/evp.h>

#include <fnimage/base/bytes.hpp>

namespace fnimage::source::debian {

std::string md5_of(std::string_view text) {
  std::array<std::byte, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), &length,
                 EVP_md5(), nullptr) != 1) {
    return {};
  }
  return to_hex(Bytes(digest.data(), length));
}

}  // namespace fnimage::source::debian
