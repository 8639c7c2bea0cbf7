// Uploading one blob (distribution-spec "Pushing blobs", C9-C19; reliability F3, F6-F14, F21): a
// POST that asks for a mount and otherwise opens a session, one PUT with the whole blob; and when
// that breaks, the rest from the offset that the registry reports, in this process or the next one.
// The registry verifies the digest; nothing is hashed here. Thread-safety: a function; calls for
// different blobs may run at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fnimage/registry/store.hpp>

#include "session.hpp"

namespace fnimage::registry {

struct Upload {
  Session& session;
  std::string repository;
  const manifest::Descriptor& blob;
  const Content& content;
  const PutBlobOptions& options;
  bool asked = true;  ///< whether the registry has said that it does not have the blob
};

/// Blobs up to this many bytes are sent again rather than resumed, and may go without a HEAD.
constexpr std::uint64_t small_blob = std::uint64_t{64} * 1024;

/// What a registry says about a blob of a repository. Torn writes leave blobs of another size.
enum class BlobStanding : std::uint8_t { missing, damaged, there };
/// One HEAD, or one GET where HEAD is refused. Warns of a damaged one.
Result<BlobStanding> find_remote_blob(Session& session, const std::string& repository,
                                      const Scopes& scopes, const manifest::Descriptor& blob);

/// mounted or uploaded; existed too when the registry was not asked before. On failure no session
/// is left behind, unless it is noted in the session's upload journal.
Result<BlobOutcome> upload_blob(const Upload& upload);

/// Ends what an earlier run has begun, for a blob that has got there otherwise. Best effort.
void forget_upload(Session& session, const std::string& repository,
                   const manifest::Descriptor& blob);

/// How many bytes an upload's status says are stored: the Range header of a GET of its Location,
/// with or without "bytes=". nullopt when that cannot be told: no or a malformed Range, and "0-0",
/// which some registries say for nothing and others for one byte (F10).
std::optional<std::uint64_t> stored_bytes(std::string_view range);

Scopes pull_scopes(const std::string& repository);
Scopes push_scopes(const std::string& repository);

}  // namespace fnimage::registry
