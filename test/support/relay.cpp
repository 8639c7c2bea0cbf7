// See relay.hpp: blocking sockets, one thread per connection, woken at the end by shutting all
// sockets down.
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fnimage/test/relay.hpp>

namespace fnimage::test {

namespace {

template <typename T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const noexcept { Free(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509, X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Freer<SSL_CTX, SSL_CTX_free>>;
using Tls = std::unique_ptr<SSL, Freer<SSL, SSL_free>>;
struct BioFreer {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, BioFreer>;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// One end of a relayed connection, with or without TLS.
struct End {
  int fd = -1;
  SSL* tls = nullptr;

  [[nodiscard]] bool has_more() const { return tls != nullptr && SSL_pending(tls) > 0; }
  long read(char* target, std::size_t size) const {
    return tls != nullptr ? SSL_read(tls, target, static_cast<int>(size))
                          : ::recv(fd, target, size, 0);
  }
  [[nodiscard]] bool write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const long count = tls != nullptr
                             ? SSL_write(tls, bytes.data(), static_cast<int>(bytes.size()))
                             : ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
};

bool move(const End& from, const End& to) {
  std::array<char, 16384> chunk{};
  const long count = from.read(chunk.data(), chunk.size());
  return count > 0 && to.write({chunk.data(), static_cast<std::size_t>(count)});
}

/// Until one end closes.
void relay(const End& a, const End& b) {
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{a.fd, POLLIN, 0}, pollfd{b.fd, POLLIN, 0}};
    const bool held = a.has_more() || b.has_more();
    if (::poll(fds.data(), fds.size(), held ? 0 : -1) < 0) {
      return;
    }
    if ((fds[0].revents != 0 || a.has_more()) && !move(a, b)) {
      return;
    }
    if ((fds[1].revents != 0 || b.has_more()) && !move(b, a)) {
      return;
    }
  }
}

/// Accepts connections and hands each to a function on its own thread.
class Listener {
 public:
  using Serve = std::function<void(int fd)>;

  explicit Listener(Serve serve)
      : serve_(std::move(serve)), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (fd_ < 0 || ::bind(fd_, generic, length) != 0 || ::listen(fd_, 64) != 0 ||
        ::getsockname(fd_, generic, &length) != 0) {
      throw std::runtime_error("a relay cannot listen on 127.0.0.1");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::jthread([this] { accept_all(); });
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      ::shutdown(fd_, SHUT_RDWR);
      for (const int fd : open_) {
        ::shutdown(fd, SHUT_RDWR);
      }
    }
    acceptor_.join();
    threads_.clear();  // joins
    ::close(fd_);
  }

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// Connected to "127.0.0.1:port"; -1 when that fails.
  int connect_to(const std::string& target) {
    const auto port = std::strtoul(target.substr(target.find(':') + 1).c_str(), nullptr, 10);
    const sockaddr_in address = loopback(static_cast<std::uint16_t>(port));
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        !add(fd)) {
      ::close(fd);
      return -1;
    }
    return fd;
  }

  void close(int fd) {
    const std::lock_guard lock(mutex_);
    open_.erase(fd);
    ::close(fd);
  }

 private:
  bool add(int fd) {
    const std::lock_guard lock(mutex_);
    return !stopping_ && open_.insert(fd).second;
  }

  void accept_all() {
    for (;;) {
      const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) {
        return;
      }
      if (!add(fd)) {
        ::close(fd);
        return;
      }
      threads_.emplace_back([this, fd] {
        sigset_t broken_pipe;  // OpenSSL writes without MSG_NOSIGNAL
        ::sigemptyset(&broken_pipe);
        ::sigaddset(&broken_pipe, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
        serve_(fd);
        close(fd);
      });
    }
  }

  Serve serve_;
  int fd_;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::set<int> open_;  // guarded by mutex_, as the next
  bool stopping_ = false;
  std::deque<std::jthread> threads_;  // the acceptor's own until it has ended
  std::jthread acceptor_;
};

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

void add_extension(X509* certificate, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

int accept_any(int /*good*/, X509_STORE_CTX* /*context*/) {
  return 1;
}

Context server_context(const Certificate& certificate) {
  Context context(SSL_CTX_new(TLS_server_method()));
  const Bio chain(BIO_new_mem_buf(certificate.certificate.data(), -1));
  const Bio key_text(BIO_new_mem_buf(certificate.key.data(), -1));
  const X509Ptr own(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  const Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (!context || SSL_CTX_use_certificate(context.get(), own.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
    throw std::runtime_error("a TLS front cannot use its certificate");
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, accept_any);
  const std::string session = "front";
  SSL_CTX_set_session_id_context(context.get(),
                                 reinterpret_cast<const unsigned char*>(session.data()),
                                 static_cast<unsigned>(session.size()));
  return context;
}

}  // namespace

Certificate make_certificate(int valid_from, int valid_until, const std::string& names) {
  constexpr long day = 24L * 3600;
  const Key key(EVP_EC_gen("P-256"));
  const X509Ptr made(X509_new());
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), valid_from * day);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), valid_until * day);
  X509_set_pubkey(made.get(), key.get());
  X509_NAME* name = X509_get_subject_name(made.get());
  const std::string text = "fnimage test";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0);
  X509_set_issuer_name(made.get(), name);
  add_extension(made.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(made.get(), NID_subject_alt_name, names.c_str());
  X509_sign(made.get(), key.get(), EVP_sha256());
  const Bio certificate(BIO_new(BIO_s_mem()));
  const Bio private_key(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(certificate.get(), made.get());
  PEM_write_bio_PrivateKey(private_key.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(certificate.get()), text_of(private_key.get())};
}

struct TlsFront::Impl {
  Impl(const Certificate& certificate, std::string given)
      : context(server_context(certificate)), target(std::move(given)) {}

  void serve(int fd) {
    const Tls tls(SSL_new(context.get()));
    SSL_set_fd(tls.get(), fd);
    if (SSL_accept(tls.get()) != 1) {
      return;
    }
    const X509Ptr shown(SSL_get1_peer_certificate(tls.get()));
    known_clients += shown ? 1 : 0;
    const int server = listener.connect_to(target);
    if (server < 0) {
      return;
    }
    relay({fd, tls.get()}, {server, nullptr});
    listener.close(server);
  }

  Context context;
  std::string target;
  std::atomic<int> known_clients = 0;
  Listener listener{[this](int fd) { serve(fd); }};
};

TlsFront::TlsFront(const Certificate& certificate, std::string target)
    : impl_(std::make_unique<Impl>(certificate, std::move(target))) {}

TlsFront::~TlsFront() = default;

std::string TlsFront::address() const {
  return impl_->listener.address();
}

int TlsFront::known_clients() const {
  return impl_->known_clients;
}

struct HttpProxy::Impl {
  explicit Impl(std::string given) : target(std::move(given)) {}

  void serve(int fd) {
    const End client{fd};
    std::string bytes;
    std::array<char, 4096> chunk{};
    std::size_t end = std::string::npos;
    while ((end = bytes.find("\r\n\r\n")) == std::string::npos) {
      const long count = client.read(chunk.data(), chunk.size());
      if (count <= 0) {
        return;
      }
      bytes.append(chunk.data(), static_cast<std::size_t>(count));
    }
    {
      const std::lock_guard lock(mutex);
      heads.push_back(bytes.substr(0, end));
    }
    if (status != 0) {
      static_cast<void>(client.write("HTTP/1.1 " + std::to_string(status) +
                                     " No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
      return;
    }
    const int server = listener.connect_to(target);
    if (server < 0) {
      return;
    }
    const bool tunnels = bytes.starts_with("CONNECT ");
    const bool begun = tunnels ? client.write("HTTP/1.1 200 Fine\r\n\r\n") &&
                                     End{server}.write(bytes.substr(end + 4))
                               : End{server}.write(bytes);
    if (begun) {
      relay(client, {server, nullptr});
    }
    listener.close(server);
  }

  std::string target;
  std::atomic<int> status = 0;
  std::mutex mutex;
  std::vector<std::string> heads;  // guarded by mutex
  Listener listener{[this](int fd) { serve(fd); }};
};

HttpProxy::HttpProxy(std::string target) : impl_(std::make_unique<Impl>(std::move(target))) {}

HttpProxy::~HttpProxy() = default;

void HttpProxy::refuse(int status) {
  impl_->status = status;
}

std::string HttpProxy::address() const {
  return impl_->listener.address();
}

std::vector<std::string> HttpProxy::heads() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->heads;
}

}  // namespace fnimage::test
