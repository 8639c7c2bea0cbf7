// Uploading one blob (distribution-spec "Pushing blobs", C10-C12, C15, C18, C19; reliability F3-F8,
// F14): a POST that asks for a mount and otherwise opens a session, one PUT with the whole blob,
// and a new session when one is lost. Thread-safety: a function; calls for different blobs may run
// at once.
#pragma once

#include <string>

#include <fnimage/registry/store.hpp>

#include "session.hpp"

namespace fnimage::registry {

struct Upload {
  Session& session;
  std::string repository;
  const manifest::Descriptor& blob;
  const Content& content;
  const PutBlobOptions& options;
};

/// Whether the registry has the blob in this repository: one HEAD.
Result<bool> remote_has_blob(Session& session, const std::string& repository, const Scopes& scopes,
                             const manifest::Descriptor& blob);

/// mounted or uploaded. The registry is known not to have the blob. On failure no session is left
/// behind.
Result<BlobOutcome> upload_blob(const Upload& upload);

Scopes pull_scopes(const std::string& repository);
Scopes push_scopes(const std::string& repository);

}  // namespace fnimage::registry
