// The server's certificate, which whoever issues it renews while the program runs. Thread-safety:
// any number of threads.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <openssl/ssl.h>

#include <fnimage/base/result.hpp>

namespace controller {

class Certificate {
 public:
  /// Reads both, PEM. Errors: those of reading; invalid_input when they are no certificates, or do
  /// not belong together.
  static fnimage::Result<std::unique_ptr<Certificate>> open(std::filesystem::path certificate,
                                                            std::filesystem::path key);

  /// Reads them again if their contents are others. On an error the last good ones stay.
  fnimage::Result<void> refresh();

  /// Every handshake of this context takes what is current. @param context must not outlive this.
  void serve(SSL_CTX& context);

 private:
  struct Loaded;
  Certificate(std::filesystem::path certificate, std::filesystem::path key);
  int set(SSL* connection) const;

  std::filesystem::path certificate_file_;
  std::filesystem::path key_file_;
  std::string read_;  ///< the text of both
  mutable std::mutex mutex_;
  std::shared_ptr<const Loaded> current_;
};

}  // namespace controller
