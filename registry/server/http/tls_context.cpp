#include "http/tls_context.hpp"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <fnimage/base/stream.hpp>

namespace fnimage::server {

namespace {

namespace ssl = boost::asio::ssl;

constexpr std::uint64_t longest_pem = 1 << 20;

tl::unexpected<Error> bad_file(const std::filesystem::path& file, std::string_view what,
                               const boost::system::error_code& error) {
  return fail(ErrorCode::tls, fmt::format("{} is no {}: {}", file.string(), what, error.message()),
              "both files are PEM, the key is not encrypted and belongs to the first certificate");
}

Result<std::shared_ptr<ssl::context>> make_context(const TlsFiles& files, const std::string& chain,
                                                   const std::string& key) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  ::SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  // An idle connection keeps no buffers: 34 KiB of each.
  ::SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
  // Without this OpenSSL would ask at the terminal.
  context->set_password_callback(
      [](std::size_t, ssl::context::password_purpose) { return std::string(); });
  boost::system::error_code error;
  context->use_certificate_chain(boost::asio::buffer(chain), error);
  if (error) {
    return bad_file(files.certificate, "certificate", error);
  }
  context->use_private_key(boost::asio::buffer(key), ssl::context::pem, error);
  if (error) {
    return bad_file(files.key, "key of this certificate", error);
  }
  return context;
}

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::load(const TlsFiles& files) {
  std::unique_ptr<TlsContext> context(new TlsContext(files));
  FNIMAGE_CHECK(context->reload());
  return context;
}

std::shared_ptr<ssl::context> TlsContext::current() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

Result<void> TlsContext::reload() {
  FNIMAGE_TRY(const std::string chain, read_file(files_.certificate, longest_pem));
  FNIMAGE_TRY(const std::string key, read_file(files_.key, longest_pem));
  {
    const std::lock_guard lock(mutex_);
    if (chain + key == loaded_) {
      return {};
    }
  }
  FNIMAGE_TRY(auto context, make_context(files_, chain, key));
  const std::lock_guard lock(mutex_);
  context_ = std::move(context);
  loaded_ = chain + key;
  return {};
}

}  // namespace fnimage::server
