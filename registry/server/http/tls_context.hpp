// The TLS side of the server: certificate and key, and a new pair of them while connections run on.
// Thread-safety: all methods from several threads.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>  // Boost 1.74's asio forgets it

#include <boost/asio/ssl/context.hpp>

#include <fnimage/base/result.hpp>

#include "http/http_server.hpp"

namespace fnimage::server {

class TlsContext {
 public:
  /// Error: tls, with the file that is wrong.
  static Result<std::unique_ptr<TlsContext>> load(const TlsFiles& files);
  /// For a new connection.
  [[nodiscard]] std::shared_ptr<boost::asio::ssl::context> current() const;
  /// Reads the files again, if they have changed. On an error what was there stays.
  Result<void> reload();

 private:
  explicit TlsContext(TlsFiles files) : files_(std::move(files)) {}

  TlsFiles files_;
  mutable std::mutex mutex_;
  std::string loaded_{};                                  // guarded by mutex_
  std::shared_ptr<boost::asio::ssl::context> context_{};  // guarded by mutex_
};

}  // namespace fnimage::server
