// The requests of one blob's upload (distribution-spec "Pushing blobs") and what their answers
// mean; what to do about it is upload.cpp's. Thread-safety: belongs to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "upload.hpp"

namespace fnimage::registry {

/// How a request ended badly.
struct Failure {
  enum class Kind : std::uint8_t {
    interrupted,     ///< the session may still hold what arrived
    session_lost,    ///< the registry does not know it any more (F7, F8)
    restart,         ///< the session is of no use, a new one may be
    too_large,       ///< smaller requests may pass
    chunks_refused,  ///< PATCH is not offered (F13)
    refused          ///< the registry does not want this blob
  };
  Error error;
  Kind kind = Kind::refused;
  bool again = false;            ///< another try may do better
  bool may_be_complete = false;  ///< all was sent: only the answer may be missing (F14)
  bool range_refused = false;    ///< 416: the offset is not where the registry stands (F9)
  bool needs_time = false;       ///< the registry has trouble; asking again at once does not help
  std::optional<std::chrono::seconds> wait{};  ///< what the registry asked for
};

/// An open upload.
struct UploadState {
  Url location;
  std::uint64_t offset = 0;  ///< acknowledged
  std::uint64_t sent = 0;    ///< handed to the network at most
  std::uint64_t min_chunk = 0;
  bool resumed = false;  ///< the offset is what the registry said, not only what was sent
  bool gone = false;     ///< the registry has said that it does not know it
};

struct Opened {
  std::optional<BlobOutcome> outcome{};  ///< there already
  std::optional<Url> location{};
  std::uint64_t min_chunk = 0;
};

struct StatusAnswer {
  std::optional<std::uint64_t> stored{};
  std::optional<Url> location{};
  std::uint64_t min_chunk = 0;
  bool gone = false;
  bool out_of_reach = false;
};

class UploadProtocol {
 public:
  explicit UploadProtocol(const Upload& upload);

  [[nodiscard]] const Scopes& scopes() const noexcept { return scopes_; }
  /// The Location that an earlier process noted, if it may still be used.
  [[nodiscard]] std::optional<Url> known_location(const std::string& text) const;

  /// Opens a session, or gets the blob mounted, or sends it at once when it is small and new.
  Result<Opened> open();
  /// The whole blob.
  std::optional<Failure> put(UploadState& state);
  /// `count` bytes from the offset, which moves on.
  std::optional<Failure> patch(UploadState& state, std::uint64_t count);
  /// The end of an upload by patch().
  std::optional<Failure> close(UploadState& state);
  StatusAnswer status(const UploadState& state);
  /// Best effort: whether the registry still knows the session is of no interest (C18).
  void abandon(const Url& location);
  /// The same for what an earlier run has left, of any repository.
  void abandon(const UploadJournal::Abandoned& upload);

 private:
  Result<HttpResponse> post(std::string_view key, const std::string& from, const Content* body,
                            Url& url);
  Result<std::optional<Opened>> post_whole();
  Result<Opened> opened(const HttpResponse& response, const Url& url, BlobOutcome outcome);
  /// @param count bytes of the blob to send from the offset; nullopt: none.
  std::optional<Failure> send(std::string_view method, const Url& url, UploadState& state,
                              std::uint64_t count, HttpResponse& response);
  [[nodiscard]] Failure classify(const HttpResponse& response, std::string_view method,
                                 const Url& url, const UploadState& state) const;
  std::optional<Failure> finished(const HttpResponse& response, const Url& url,
                                  const UploadState& state, bool all_sent);
  [[nodiscard]] Result<void> check_digest(const HttpResponse& response) const;

  const Upload& upload_;
  Scopes scopes_;
  std::string mount_from_;
};

}  // namespace fnimage::registry
