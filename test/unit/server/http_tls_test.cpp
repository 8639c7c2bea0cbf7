// The HTTP server behind TLS: the same exchanges, and certificates that change.
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <fnimage/test/relay.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "http_fixture.hpp"

namespace fnimage::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A client over TLS that trusts everybody.
class TlsClient {
 public:
  explicit TlsClient(std::uint16_t port, int highest = TLS1_3_VERSION)
      : raw_(port), context_(::SSL_CTX_new(::TLS_client_method()), ::SSL_CTX_free) {
    ::SSL_CTX_set_max_proto_version(context_.get(), highest);
    ssl_ = {::SSL_new(context_.get()), ::SSL_free};
    ::SSL_set_fd(ssl_.get(), raw_.descriptor());
    is_connected_ = ::SSL_connect(ssl_.get()) == 1;
  }
  [[nodiscard]] bool is_connected() const { return is_connected_; }
  bool send(std::string_view bytes) {
    return bytes.empty() ||
           ::SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
  }
  std::string read_answer() {
    std::string answer;
    while (!is_whole_answer(answer)) {
      std::string buffer(1 << 16, '\0');
      const int count = ::SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
      if (count <= 0) {
        break;
      }
      answer.append(buffer, 0, static_cast<std::size_t>(count));
    }
    return answer;
  }
  /// Whether the server has said that it ends.
  bool is_at_end() {
    char c = 0;
    return ::SSL_read(ssl_.get(), &c, 1) <= 0 &&
           (::SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }
  /// PEM.
  std::string certificate() {
    const std::unique_ptr<X509, decltype(&::X509_free)> peer(
        ::SSL_get1_peer_certificate(ssl_.get()), ::X509_free);
    const std::unique_ptr<BIO, decltype(&::BIO_free)> bio(::BIO_new(::BIO_s_mem()), ::BIO_free);
    ::PEM_write_bio_X509(bio.get(), peer.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    return {text, static_cast<std::size_t>(size)};
  }

 private:
  RawClient raw_;
  std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&::SSL_free)> ssl_{nullptr, ::SSL_free};
  bool is_connected_ = false;
};

class HttpTlsTest : public HttpServerTest {
 protected:
  void write(const test::Certificate& pair) const {
    std::ofstream(files.certificate) << pair.certificate;
    std::ofstream(files.key) << pair.key;
  }
  void start_tls(const HttpLimits& limits = {}) {
    write(first);
    start(limits, files);
  }
  TlsClient tls_client() { return TlsClient(server->port()); }

  const TlsFiles files{directory.path() / "server.crt", directory.path() / "server.key"};
  const test::Certificate first = test::make_certificate();
  const test::Certificate second = test::make_certificate();
};

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>(i * 2654435761U >> 13U);
  }
  return text;
}

TEST_F(HttpTlsTest, BodiesBothWays) {
  start_tls();
  const std::string content = pattern(5'000'000);
  probe.file = directory.path() / "file";
  std::ofstream(probe.file, std::ios::binary) << content;
  TlsClient one = tls_client();
  ASSERT_TRUE(one.is_connected());
  one.send(get("/text"));
  EXPECT_THAT(one.read_answer(), EndsWith("shared text"));
  one.send(get("/file"));
  const std::string answer = one.read_answer();
  EXPECT_EQ(answer.substr(answer.find("\r\n\r\n") + 4), content.substr(10));
  one.send(post("/take", content));
  manifest::Hasher hasher;
  hasher.update(as_bytes(content));
  EXPECT_THAT(one.read_answer(),
              EndsWith(fmt::format("{} {}", content.size(), hasher.finish().str())));
  one.send(get("/text", "Connection: close\r\n"));
  EXPECT_THAT(one.read_answer(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(one.is_at_end());
}

TEST_F(HttpTlsTest, BodiesThatAreStillWritten) {
  start_tls();
  const std::string content = pattern(1'000'000);
  const auto path = directory.path() / "growing";
  for (const bool is_whole : {true, false}) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.flush();
    probe.growing = {.file = std::make_shared<GrowingFile>(*OpenFile::open(path)),
                     .size = content.size()};
    const std::jthread writer([&] {
      constexpr std::size_t piece = 10'000;
      for (std::size_t done = 0; done < content.size(); done += piece) {
        file << content.substr(done, piece) << std::flush;
        probe.growing.file->grew_to(done + piece);
      }
      probe.growing.file->end(is_whole);
    });
    TlsClient one = tls_client();
    one.send(get("/growing"));
    const std::string answer = one.read_answer();
    const std::string body = answer.substr(answer.find("\r\n\r\n") + 4);
    EXPECT_TRUE(body == content.substr(0, content.size() - (is_whole ? 0 : 1))) << is_whole;
  }
}

TEST_F(HttpTlsTest, AnEarlyAnswerReachesAClientThatSendsOn) {
  start_tls();
  TlsClient one = tls_client();
  constexpr std::size_t size = 10'000'000;
  one.send(
      fmt::format("POST /take-little HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", size));
  const std::string block(1 << 18, 'x');
  for (std::size_t sent = 0; sent < size && one.send(block); sent += block.size()) {
  }
  EXPECT_THAT(one.read_answer(), StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpTlsTest, OldVersionsAndSilentClientsEnd) {
  start_tls({.head_time = std::chrono::seconds(1)});
  EXPECT_FALSE(TlsClient(server->port(), TLS1_1_VERSION).is_connected());
  EXPECT_TRUE(TlsClient(server->port(), TLS1_2_VERSION).is_connected());
  RawClient silent = client();
  EXPECT_EQ(silent.read_to_end(), "");
  RawClient plain = client();
  plain.send(get("/text"));
  EXPECT_THAT(plain.read_to_end(), ::testing::Not(HasSubstr("HTTP/1.1")));
}

TEST_F(HttpTlsTest, NewConnectionsGetTheNewCertificate) {
  start_tls();
  TlsClient old = tls_client();
  EXPECT_EQ(old.certificate(), first.certificate);
  write(second);
  ASSERT_TRUE(server->reload_certificate());
  EXPECT_EQ(tls_client().certificate(), second.certificate);
  old.send(get("/text"));
  EXPECT_THAT(old.read_answer(), EndsWith("shared text"));
}

TEST_F(HttpTlsTest, ABadPairChangesNothing) {
  start_tls();
  write({second.certificate, first.key});
  EXPECT_THAT(server->reload_certificate(), test::fails_with(ErrorCode::tls));
  write({"nothing", second.key});
  EXPECT_THAT(server->reload_certificate(), test::fails_with(ErrorCode::tls));
  write({second.certificate, "nothing"});
  EXPECT_THAT(server->reload_certificate(), test::fails_with(ErrorCode::tls));
  std::filesystem::remove(files.key);
  EXPECT_THAT(server->reload_certificate(), test::fails_with(ErrorCode::not_found));
  EXPECT_EQ(tls_client().certificate(), first.certificate);
  EXPECT_THAT(HttpServer::listen("127.0.0.1", 0, probe, TlsFiles{files.certificate, "/none"}),
              test::fails_with(ErrorCode::not_found));
}

/// OpenSSL would ask for the password at the terminal.
TEST_F(HttpTlsTest, AnEncryptedKeyIsAnError) {
  const std::unique_ptr<BIO, decltype(&::BIO_free)> in(
      ::BIO_new_mem_buf(first.key.data(), static_cast<int>(first.key.size())), ::BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)> key(
      ::PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), ::EVP_PKEY_free);
  const std::unique_ptr<BIO, decltype(&::BIO_free)> out(::BIO_new(::BIO_s_mem()), ::BIO_free);
  std::string password = "secret";
  ::PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), ::EVP_aes_256_cbc(), password.data(),
                                  static_cast<int>(password.size()), nullptr, nullptr);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  write({first.certificate, std::string(text, static_cast<std::size_t>(size))});
  EXPECT_THAT(HttpServer::listen("127.0.0.1", 0, probe, files), test::fails_with(ErrorCode::tls));
}

}  // namespace
}  // namespace fnimage::server
