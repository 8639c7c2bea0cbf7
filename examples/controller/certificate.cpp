// See the header.
#include "certificate.hpp"

#include <utility>

#include <fmt/format.h>
#include <openssl/pem.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/stream.hpp>

namespace controller {

namespace {

constexpr std::size_t max_file = std::size_t{1} << 20;

struct Free {
  void operator()(X509* value) const { X509_free(value); }
  void operator()(EVP_PKEY* value) const { EVP_PKEY_free(value); }
  void operator()(BIO* value) const { BIO_free(value); }
  void operator()(STACK_OF(X509) * value) const { sk_X509_pop_free(value, X509_free); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> reader_of(const std::string& text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

}  // namespace

struct Certificate::Loaded {
  Owned<X509> leaf;
  Owned<STACK_OF(X509)> chain;
  Owned<EVP_PKEY> key;
};

Certificate::Certificate(std::filesystem::path certificate, std::filesystem::path key)
    : certificate_file_(std::move(certificate)), key_file_(std::move(key)) {}

fnimage::Result<std::unique_ptr<Certificate>> Certificate::open(std::filesystem::path certificate,
                                                                std::filesystem::path key) {
  std::unique_ptr<Certificate> made(new Certificate(std::move(certificate), std::move(key)));
  FNIMAGE_CHECK(made->refresh());
  return made;
}

fnimage::Result<void> Certificate::refresh() {
  FNIMAGE_TRY(const std::string certificate, fnimage::read_file(certificate_file_, max_file));
  FNIMAGE_TRY(const std::string key, fnimage::read_file(key_file_, max_file));
  if (certificate + key == read_) {
    return {};
  }
  auto loaded = std::make_shared<Loaded>();
  const Owned<BIO> certificates = reader_of(certificate);
  loaded->leaf.reset(PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr));
  loaded->chain.reset(sk_X509_new_null());
  while (X509* next = PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr)) {
    sk_X509_push(loaded->chain.get(), next);
  }
  loaded->key.reset(PEM_read_bio_PrivateKey(reader_of(key).get(), nullptr, nullptr, nullptr));
  if (!loaded->leaf || !loaded->key ||
      X509_check_private_key(loaded->leaf.get(), loaded->key.get()) != 1) {
    return fnimage::fail(fnimage::ErrorCode::invalid_input,
                         fmt::format("{} and {} are not a certificate and its key",
                                     certificate_file_.string(), key_file_.string()),
                         "both have to be PEM, the key without password");
  }
  const std::lock_guard lock(mutex_);
  current_ = std::move(loaded);
  read_ = certificate + key;
  return {};
}

void Certificate::serve(SSL_CTX& context) {
  SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
  SSL_CTX_set_cert_cb(
      &context,
      [](SSL* connection, void* self) { return static_cast<Certificate*>(self)->set(connection); },
      this);
}

int Certificate::set(SSL* connection) const {
  std::shared_ptr<const Loaded> loaded;
  {
    const std::lock_guard lock(mutex_);
    loaded = current_;
  }
  constexpr int replace = 1;
  // Takes references of its own to all three.
  return SSL_use_cert_and_key(connection, loaded->leaf.get(), loaded->key.get(),
                              loaded->chain.get(), replace);
}

}  // namespace controller
