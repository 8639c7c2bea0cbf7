// update-ca-certificates(8): every certificate of /usr/share/ca-certificates is trusted, as after a
// fresh installation. Thread-safety: see configure.hpp.
#include <map>
#include <memory>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/configure.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_certificate = std::uint64_t{1} << 20;
constexpr std::string_view certificates_directory = "usr/share/ca-certificates";

struct FreeBio {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
struct FreeCertificate {
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};

Result<std::string> subject_hash(const std::string& pem, std::string_view path) {
  const std::unique_ptr<BIO, FreeBio> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const std::unique_ptr<X509, FreeCertificate> certificate(
      bio == nullptr ? nullptr : PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return fail(ErrorCode::invalid_input, fmt::format("/{}: not a PEM certificate", path));
  }
  return fmt::format("{:08x}", X509_subject_name_hash(certificate.get()));
}

// The name of a certificate's link, as the script makes it.
std::string link_name(std::string_view path) {
  std::string name(path.substr(path.rfind('/') + 1));
  if (name.ends_with(".crt")) {
    name.resize(name.size() - 4);
  }
  for (char& c : name) {
    if (c == ' ' || c == ',') {
      c = '_';
    } else if (c == '(' || c == ')') {
      c = '=';
    }
  }
  return name + ".pem";
}

}  // namespace

Result<void> configure_ca_bundle(ImageView& image) {
  std::string bundle;
  std::string configuration;
  std::map<std::string, int> hashes;
  for (const std::string& path : image.files_below(certificates_directory)) {
    if (!path.ends_with(".crt")) {
      continue;
    }
    FNIMAGE_TRY(std::string pem, image.read(path, max_certificate));
    FNIMAGE_TRY(const std::string hash, subject_hash(pem, path));
    const std::string name = link_name(path);
    FNIMAGE_CHECK(image.add_link("etc/ssl/certs/" + name, "/" + path));
    FNIMAGE_CHECK(image.add_link(fmt::format("etc/ssl/certs/{}.{}", hash, hashes[hash]++), name));
    bundle += pem;
    bundle += pem.ends_with('\n') ? "" : "\n";
    configuration += path.substr(certificates_directory.size() + 1) + "\n";
  }
  if (bundle.empty()) {
    return {};
  }
  constexpr std::string_view local = "usr/local/share/ca-certificates";
  FNIMAGE_CHECK(image.find(local) == nullptr ? image.add_directory(local, 0755) : Result<void>());
  FNIMAGE_CHECK(image.add_file("etc/ca-certificates.conf", std::move(configuration)));
  return image.add_file("etc/ssl/certs/ca-certificates.crt", std::move(bundle));
}

}  // namespace fnimage::source::debian
