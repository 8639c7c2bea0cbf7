#include "api/blobs.hpp"

#include <utility>

#include <fmt/format.h>

#include "api/fields.hpp"
#include "api/reply.hpp"

namespace fnimage::server {

namespace {

using manifest::Digest;

Response unknown_blob(const Digest& digest) {
  return error_reply(status::not_found,
                     {{code::blob_unknown, "there is no such blob here", digest.str()}});
}

/// If-Range asks for the whole unless the part is of what the client has (RFC 9110 13.1.5).
bool is_range_wanted(const Request& request, const Digest& digest) {
  const std::string_view known = request.header("If-Range");
  return known.empty() || known == entity_tag(digest);
}

/// @param part the body, made of the range that is wanted
template <class Part>
Response blob_reply(const Request& request, const Digest& digest, std::uint64_t size, Part part) {
  Response response;
  add_digest(response, digest);
  if (is_not_modified(request, digest)) {
    response.status = status::not_modified;
    return response;
  }
  const WantedRange wanted = is_range_wanted(request, digest)
                                 ? wanted_range(request.header("Range"), size)
                                 : WantedRange{};
  if (wanted.kind == RangeKind::unsatisfiable) {
    Response refusal = error_reply(status::range_not_satisfiable, code::size_invalid,
                                   fmt::format("the blob has {} bytes", size));
    refusal.headers.push_back({"Content-Range", fmt::format("bytes */{}", size)});
    return refusal;
  }
  response.headers.push_back({"Content-Type", "application/octet-stream"});
  response.headers.push_back({"Accept-Ranges", "bytes"});
  response.headers.push_back({"Cache-Control", "max-age=31536000, immutable"});
  ByteRange range{.offset = 0, .size = size};
  if (wanted.kind == RangeKind::part) {
    range = wanted.range;
    response.status = status::partial_content;
    response.headers.push_back({"Content-Range", fmt::format("bytes {}-{}/{}", range.offset,
                                                             range.offset + range.size - 1, size)});
  }
  response.body = part(range);
  return response;
}

}  // namespace

Response get_blob(const ApiContext& api, const Target& target, const Request& request) {
  const auto digest = Digest::parse(target.reference);
  if (!digest) {
    return invalid_digest_reply(target.reference);
  }
  auto repository = existing_repository(api, target.repository);
  if (auto* refusal = std::get_if<Response>(&repository)) {
    return std::move(*refusal);
  }
  auto file = std::get<std::shared_ptr<Repository>>(repository)->blob(*digest);
  if (!file) {
    return failure_reply(file.error());
  }
  if (!*file) {
    return unknown_blob(*digest);
  }
  return blob_reply(request, *digest, (**file)->size(), [&](const ByteRange& range) {
    return FileSlice{std::move(**file), range.offset, range.size};
  });
}

Response coming_blob_reply(const Request& request, const Digest& digest,
                           std::shared_ptr<GrowingFile> file, std::uint64_t size) {
  return blob_reply(request, digest, size, [&](const ByteRange& range) {
    return GrowingSlice{std::move(file), range.offset, range.size};
  });
}

Response delete_blob(const ApiContext& api, const Target& target) {
  const auto digest = Digest::parse(target.reference);
  if (!digest) {
    return invalid_digest_reply(target.reference);
  }
  auto found = existing_repository(api, target.repository);
  if (auto* refusal = std::get_if<Response>(&found)) {
    return std::move(*refusal);
  }
  Repository& repository = *std::get<std::shared_ptr<Repository>>(found);
  const auto as_manifest = repository.manifest(*digest);
  if (!as_manifest) {
    return failure_reply(as_manifest.error());
  }
  if (*as_manifest) {
    return error_reply(status::bad_request, code::unsupported,
                       "this is a manifest: delete it by its path below manifests/");
  }
  const auto outcome = repository.remove_blob(*digest);
  if (!outcome) {
    return failure_reply(outcome.error());
  }
  return *outcome == Outcome::absent ? unknown_blob(*digest) : Response{.status = status::accepted};
}

Response invalid_digest_reply(const std::string& text) {
  return error_reply(status::bad_request,
                     {{code::digest_invalid, "this is no digest of sha256 or sha512", text}});
}

}  // namespace fnimage::server
