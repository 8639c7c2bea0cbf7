// What the client's tests share: a client with fast retries that records what it reports, and small
// images.
#pragma once

#include <algorithm>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::registry {

class RecordingDiagnostics final : public Diagnostics {
 public:
  void report(Severity severity, std::string_view message) noexcept override {
    const std::lock_guard lock(mutex_);
    (severity == Severity::debug ? debug_messages_ : messages_).emplace_back(message);
  }
  std::unique_ptr<ProgressTask> begin(std::string_view label,
                                      std::uint64_t total) noexcept override {
    return null_diagnostics().begin(label, total);
  }
  std::vector<std::string> messages() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }
  std::vector<std::string> debug_messages() const {
    const std::lock_guard lock(mutex_);
    return debug_messages_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
  std::vector<std::string> debug_messages_;
};

/// Time that passes only while somebody waits.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] Time now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  bool sleep_until(Time time, const std::stop_token& stop) const override {
    const std::lock_guard lock(mutex_);
    now_ = std::max(now_, time);
    return !stop.stop_requested();
  }

 private:
  mutable std::mutex mutex_;
  mutable Time now_ = std::chrono::steady_clock::now();
};

class TestClient {
 public:
  explicit TestClient(ClientOptions options,
                      std::shared_ptr<const CredentialStore> credentials = {},
                      std::stop_token stop = {},
                      std::chrono::seconds stall_timeout = std::chrono::seconds(10))
      : client_(test::unwrap(
                    make_curl_transport({.stall_timeout = stall_timeout, .stop = std::move(stop)})),
                std::move(credentials), with_fast_retries(std::move(options)), diagnostics_) {}

  Client* operator->() { return &client_; }
  std::unique_ptr<ImageStore> repository(const std::string& reference) {
    return test::unwrap(client_.repository(test::unwrap(manifest::Reference::parse(reference))));
  }
  std::vector<std::string> messages() const { return diagnostics_.messages(); }
  /// What is reported at any level.
  std::vector<std::string> all_messages() const {
    std::vector<std::string> all = diagnostics_.messages();
    for (std::string& message : diagnostics_.debug_messages()) {
      all.push_back(std::move(message));
    }
    return all;
  }

 private:
  static ClientOptions with_fast_retries(ClientOptions options) {
    options.retry.first_delay = std::chrono::milliseconds(1);
    return options;
  }
  RecordingDiagnostics diagnostics_;
  Client client_;
};

inline std::string random_bytes(std::size_t size) {
  std::mt19937_64 engine(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(engine());
  }
  return bytes;
}

inline manifest::Descriptor blob_of(const std::string& bytes,
                                    std::string_view type = manifest::media_type::oci_layer_gzip) {
  return {
      .media_type = std::string(type), .digest = manifest::Digest::of(bytes), .size = bytes.size()};
}

inline manifest::Document image_of(const std::string& config,
                                   const std::vector<std::string>& layers) {
  manifest::ImageManifest image{.config = blob_of(config, manifest::media_type::oci_config),
                                .layers = {}};
  for (const std::string& layer : layers) {
    image.layers.push_back(blob_of(layer));
  }
  return manifest::Document::of(image);
}

}  // namespace fnimage::registry
