#include "store/running_hash.hpp"

#include <array>
#include <exception>

#include <openssl/evp.h>

namespace fnimage::server {

namespace {

/// Fails only without memory, or when OpenSSL is broken: a wrong digest would be worse than the
/// end.
void require_hash(bool success) noexcept {
  if (!success) {
    std::terminate();
  }
}

}  // namespace

void RunningHash::Free::operator()(evp_md_ctx_st* context) const noexcept {
  EVP_MD_CTX_free(context);
}

RunningHash::RunningHash(std::string_view algorithm)
    : context_(EVP_MD_CTX_new()), is_sha512_(algorithm == "sha512") {
  require_hash(context_ != nullptr);
  require_hash(
      EVP_DigestInit_ex(context_.get(), is_sha512_ ? EVP_sha512() : EVP_sha256(), nullptr) == 1);
}

RunningHash::RunningHash(RunningHash&&) noexcept = default;
RunningHash& RunningHash::operator=(RunningHash&&) noexcept = default;
RunningHash::~RunningHash() = default;

void RunningHash::update(Bytes bytes) {
  require_hash(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  size_ += bytes.size();
}

std::string_view RunningHash::algorithm() const noexcept {
  return is_sha512_ ? "sha512" : "sha256";
}

manifest::Digest RunningHash::digest() const {
  const std::unique_ptr<evp_md_ctx_st, Free> copy(EVP_MD_CTX_new());
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned size = 0;
  require_hash(copy != nullptr && EVP_MD_CTX_copy_ex(copy.get(), context_.get()) == 1 &&
               EVP_DigestFinal_ex(copy.get(), value.data(), &size) == 1);
  auto digest = manifest::Digest::parse(std::string(algorithm()) + ":" +
                                        to_hex(std::as_bytes(std::span(value).first(size))));
  require_hash(digest.has_value());
  return std::move(*digest);
}

}  // namespace fnimage::server
