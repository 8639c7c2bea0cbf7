// Mirrors of a repository: registries that have the same content under the same digests. They are
// asked for content by digest before the repository's own registry, with their own settings and
// credentials, never for tags (which may be stale) or for what exists, and never written to. What
// they send is verified before anybody gets a byte of it, so a mirror that lies costs time only.
// Thread-safety: all methods may be called from several threads.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/registry/store.hpp>

#include "session.hpp"

namespace fnimage::registry {

/// A registry in its part as a mirror, shared by all repositories. One that fails is left alone for
/// the rest of the run.
class MirrorHost {
 public:
  explicit MirrorHost(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  [[nodiscard]] const std::shared_ptr<Session>& session() const noexcept { return session_; }
  /// Whether to ask it. The first call connects to it; others wait for that, so that a mirror which
  /// is down is waited for once.
  bool is_usable();
  /// Takes note of a failure: what it just does not have says nothing about the rest.
  void failed(const Error& error);

 private:
  std::shared_ptr<Session> session_;
  std::mutex mutex_;
  bool reached_ = false;  // guarded by mutex_
  std::atomic<bool> usable_ = true;
};

class Mirrors {
 public:
  struct Place {
    std::shared_ptr<MirrorHost> host;
    std::string repository;
  };
  explicit Mirrors(const std::vector<Place>& places);

  /// The manifest, from the first that has it; nullopt when none does.
  std::optional<manifest::Document> get_manifest(const manifest::Digest& digest);
  /// A blob that comes from the first mirror that has it when it is opened, else from `origin`.
  [[nodiscard]] ContentPtr blob(const manifest::Descriptor& blob, ContentPtr origin) const;

  struct Mirror {
    std::shared_ptr<MirrorHost> host;
    std::shared_ptr<ImageStore> store;
  };

 private:
  std::vector<Mirror> mirrors_;
};

}  // namespace fnimage::registry
