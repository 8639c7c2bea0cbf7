// ca-certificates-java: /etc/ssl/certs/java/cacerts, the certificates that Java trusts, as a JKS
// keystore (version 2), which every Java reads. Its digest is keyed with a password that all
// installations have. Thread-safety: see configure.hpp.
#include <array>
#include <memory>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/configure.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_pem = std::uint64_t{1} << 20;
constexpr std::uint32_t keystore_magic = 0xFEEDFEED;
constexpr std::uint32_t keystore_version = 2;
constexpr std::uint32_t trusted_certificate = 2;
constexpr std::string_view keystore_password = "changeit";
constexpr std::string_view digest_salt = "Mighty Aphrodite";

struct FreeKeystoreBio {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
struct FreeKeystoreCertificate {
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};

/// Big-endian, as java.io.DataOutputStream writes.
class KeystoreWriter {
 public:
  void number(std::uint64_t value, unsigned bytes) {
    for (unsigned i = bytes; i > 0; --i) {
      data_ += static_cast<char>((value >> (8U * (i - 1))) & 0xFFU);
    }
  }
  void text(std::string_view value) {
    number(value.size(), 2);
    data_ += value;
  }
  void blob(std::string_view value) {
    number(value.size(), 4);
    data_ += value;
  }
  /// With the digest over all of it at its end.
  std::string finish() {
    std::string hashed;
    for (const char c : keystore_password) {
      hashed += '\0';  // UTF-16, big-endian
      hashed += c;
    }
    hashed.append(digest_salt).append(data_);
    std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
    SHA1(reinterpret_cast<const unsigned char*>(hashed.data()), hashed.size(), digest.data());
    data_.append(reinterpret_cast<const char*>(digest.data()), digest.size());
    return std::move(data_);
  }

 private:
  std::string data_;
};

Result<std::string> der_of(const std::string& pem, std::string_view path) {
  const std::unique_ptr<BIO, FreeKeystoreBio> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const std::unique_ptr<X509, FreeKeystoreCertificate> certificate(
      bio == nullptr ? nullptr : PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  unsigned char* bytes = nullptr;
  const int size = certificate == nullptr ? -1 : i2d_X509(certificate.get(), &bytes);
  if (size < 0) {
    return fail(ErrorCode::invalid_input, fmt::format("/{}: not a PEM certificate", path));
  }
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

}  // namespace

Result<void> configure_java_keystore(ImageView& image, const ConfigureContext& context) {
  constexpr std::string_view program = "usr/share/ca-certificates-java/ca-certificates-java.jar";
  constexpr std::string_view directory = "etc/ssl/certs";
  constexpr std::size_t max_name = 255;
  if (image.file(program) == nullptr) {
    return {};
  }
  std::vector<std::string> names;
  for (std::string& name : image.names_in(directory)) {
    if (name.ends_with(".pem") && name.size() <= max_name &&
        image.file(fmt::format("{}/{}", directory, name)) != nullptr) {
      names.push_back(std::move(name));
    }
  }
  KeystoreWriter keystore;
  keystore.number(keystore_magic, 4);
  keystore.number(keystore_version, 4);
  keystore.number(names.size(), 4);
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}", directory, name);
    FNIMAGE_TRY(const std::string pem, image.read(path, max_pem));
    FNIMAGE_TRY(const std::string der, der_of(pem, path));
    keystore.number(trusted_certificate, 4);
    keystore.text("debian:" + to_lower(name));
    keystore.number(static_cast<std::uint64_t>(context.mtime) * 1000, 8);
    keystore.text("X.509");
    keystore.blob(der);
  }
  return image.add_file("etc/ssl/certs/java/cacerts", keystore.finish());
}

}  // namespace fnimage::source::debian
