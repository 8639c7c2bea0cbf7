#include "api/manifests.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/reference.hpp>

#include "api/content.hpp"
#include "api/fields.hpp"
#include "api/reply.hpp"

namespace fnimage::server {

namespace {

using manifest::Digest;

Response invalid_tag_reply(const std::string& tag) {
  return error_reply(status::bad_request, {{code::manifest_invalid, "this is no tag", tag}});
}

Digest digest_as(const Digest* wanted, const std::string& bytes) {
  auto hasher = wanted == nullptr ? manifest::Hasher() : manifest::Hasher::for_digest(*wanted);
  hasher.update(as_bytes(bytes));
  return hasher.finish();
}

/// Takes the bytes of a manifest and puts it when all are there.
class ManifestReceiver final : public BodyReceiver {
 public:
  ManifestReceiver(const ApiContext& api, std::string repository, registry::Selector selector,
                   std::vector<std::string> tags, const Request& request)
      : api_(api),
        repository_(std::move(repository)),
        selector_(std::move(selector)),
        tags_(std::move(tags)),
        media_type_(request.header("Content-Type")),
        condition_(condition_of(request)) {}

  std::optional<Response> write(Bytes bytes) override {
    if (bytes_.size() + bytes.size() > manifest::max_document_bytes) {
      return too_large();
    }
    bytes_ += as_text(bytes);
    return std::nullopt;
  }

  Response end() override {
    const auto* wanted = std::get_if<Digest>(&selector_);
    const Digest digest = digest_as(wanted, bytes_);
    if (wanted != nullptr && digest != *wanted) {
      return error_reply(status::bad_request,
                         {{code::digest_invalid, "the bytes have another digest", digest.str()}});
    }
    const auto content = read_content(bytes_, media_type_);
    if (!content) {
      const bool is_unknown_type = content.error().code() == ErrorCode::unsupported;
      return error_reply(is_unknown_type ? status::unsupported_media_type : status::bad_request,
                         code::manifest_invalid, content.error().describe());
    }
    return put(*content, digest);
  }

  static Response too_large() {
    return error_reply(status::too_large, code::size_invalid,
                       fmt::format("a manifest may have {} bytes", manifest::max_document_bytes));
  }

 private:
  /// The answer when parts are not here: they come first, so that what a tag stands for is whole.
  std::optional<Response> refuse_missing(const ManifestContent& content) {
    const auto repository = api_.store.find(repository_);
    if (!repository) {
      return failure_reply(repository.error());
    }
    const auto missing = missing_content(content, repository->get());
    if (!missing) {
      return failure_reply(missing.error());
    }
    return missing->empty() ? std::nullopt
                            : std::optional(error_reply(status::bad_request, *missing));
  }

  /// The answer when the same bytes are here as something else (A10): they may not name their type
  /// themselves.
  std::optional<Response> refuse_other_type(const ManifestContent& content, const Digest& digest) {
    const auto repository = api_.store.find(repository_);
    if (!repository) {
      return failure_reply(repository.error());
    }
    if (*repository == nullptr) {
      return std::nullopt;
    }
    const auto known = (*repository)->manifest(digest);
    if (!known) {
      return failure_reply(known.error());
    }
    if (!*known || (*known)->descriptor.media_type == content.media_type) {
      return std::nullopt;
    }
    return error_reply(
        status::bad_request,
        {{code::manifest_invalid,
          "these bytes are here already, as " + (*known)->descriptor.media_type, digest.str()}});
  }

  Response put(const ManifestContent& content, const Digest& digest) {
    if (auto refusal = refuse_other_type(content, digest)) {
      return std::move(*refusal);
    }
    if (!api_.options.takes_sparse) {
      if (auto refusal = refuse_missing(content)) {
        return std::move(*refusal);
      }
    }
    if (const auto* tag = std::get_if<std::string>(&selector_)) {
      tags_.insert(tags_.begin(), *tag);
    }
    const ManifestContent nothing;
    const ManifestContent& needed = api_.options.takes_sparse ? nothing : content;
    auto repository = api_.store.create(repository_);
    if (!repository) {
      return failure_reply(repository.error());
    }
    const auto outcome = (*repository)
                             ->put_manifest({.bytes = std::move(bytes_),
                                             .media_type = content.media_type,
                                             .digest = digest,
                                             .tags = tags_,
                                             .blobs = needed.blobs,
                                             .children = needed.children},
                                            condition_);
    if (!outcome) {
      return failure_reply(outcome.error());
    }
    switch (*outcome) {
      case Outcome::refused:
        return refused_reply();
      case Outcome::incomplete:
        return incomplete(content);
      default:
        return created(content, digest);
    }
  }

  /// Something was removed after refuse_missing().
  Response incomplete(const ManifestContent& content) {
    auto refusal = refuse_missing(content);
    return refusal ? std::move(*refusal)
                   : error_reply(status::bad_request, code::manifest_blob_unknown,
                                 "a part of it was just removed: push it again");
  }

  [[nodiscard]] Response created(const ManifestContent& content, const Digest& digest) const {
    Response response{.status = status::created};
    response.headers.push_back({"Location", location_of(repository_, "manifests/" + digest.str())});
    add_digest(response, digest);
    if (content.subject) {
      response.headers.push_back({"OCI-Subject", content.subject->digest.str()});
    }
    if (std::holds_alternative<Digest>(selector_)) {
      for (const std::string& tag : tags_) {
        response.headers.push_back({"OCI-Tag", tag});
      }
    }
    return response;
  }

  ApiContext api_;
  std::string repository_;
  registry::Selector selector_;
  std::vector<std::string> tags_;
  std::string media_type_;
  Condition condition_;
  std::string bytes_{};
};

}  // namespace

Response unknown_manifest(const std::string& reference) {
  return error_reply(status::not_found,
                     {{code::manifest_unknown, "there is no such manifest here", reference}});
}

std::variant<registry::Selector, Response> selector_of(
    const std::string& reference, Response (&no_tag)(const std::string& reference)) {
  if (reference.find(':') == std::string::npos) {
    if (manifest::is_valid_tag(reference)) {
      return registry::Selector(reference);
    }
    return no_tag(reference);
  }
  auto digest = Digest::parse(reference);
  if (!digest) {
    return error_reply(status::bad_request,
                       {{code::digest_invalid, "this is no digest", reference}});
  }
  return registry::Selector(std::move(*digest));
}

Response get_manifest(const ApiContext& api, const Target& target, const Request& request) {
  const auto selector = selector_of(target.reference, unknown_manifest);
  if (const auto* refusal = std::get_if<Response>(&selector)) {
    return *refusal;
  }
  auto repository = existing_repository(api, target.repository);
  if (auto* refusal = std::get_if<Response>(&repository)) {
    return std::move(*refusal);
  }
  const auto found = std::get<std::shared_ptr<Repository>>(repository)
                         ->manifest(std::get<registry::Selector>(selector));
  if (!found) {
    return failure_reply(found.error());
  }
  if (!*found) {
    return unknown_manifest(target.reference);
  }
  const StoredManifest& manifest = **found;
  Response response;
  add_digest(response, manifest.descriptor.digest);
  if (is_not_modified(request, manifest.descriptor.digest)) {
    response.status = status::not_modified;
    return response;
  }
  response.headers.push_back({"Content-Type", manifest.descriptor.media_type});
  response.body = manifest.bytes;
  return response;
}

Answer put_manifest(const ApiContext& api, const Target& target, const Request& request) {
  if (!is_valid_repository(target.repository)) {
    return invalid_name_reply(target.repository);
  }
  auto selector = selector_of(target.reference, invalid_tag_reply);
  if (auto* refusal = std::get_if<Response>(&selector)) {
    return std::move(*refusal);
  }
  if (request.content_length.value_or(0) > manifest::max_document_bytes) {
    return ManifestReceiver::too_large();
  }
  std::vector<std::string> tags = Query(request.query).all("tag");
  const auto bad = std::ranges::find_if_not(
      tags, [](const std::string& tag) { return manifest::is_valid_tag(tag); });
  if (bad != tags.end()) {
    return invalid_tag_reply(*bad);
  }
  return std::make_unique<ManifestReceiver>(api, target.repository,
                                            std::move(std::get<registry::Selector>(selector)),
                                            std::move(tags), request);
}

Response delete_manifest(const ApiContext& api, const Target& target, const Request& request) {
  auto selector = selector_of(target.reference, unknown_manifest);
  if (auto* refusal = std::get_if<Response>(&selector)) {
    return std::move(*refusal);
  }
  auto found = existing_repository(api, target.repository);
  if (auto* refusal = std::get_if<Response>(&found)) {
    return std::move(*refusal);
  }
  Repository& repository = *std::get<std::shared_ptr<Repository>>(found);
  const Condition condition = condition_of(request);
  const auto& what = std::get<registry::Selector>(selector);
  const auto* tag = std::get_if<std::string>(&what);
  const auto outcome = tag != nullptr
                           ? repository.remove_tag(*tag, condition)
                           : repository.remove_manifest(std::get<Digest>(what), condition);
  if (!outcome) {
    return failure_reply(outcome.error());
  }
  switch (*outcome) {
    case Outcome::absent:
      return unknown_manifest(target.reference);
    case Outcome::refused:
      return refused_reply();
    default:
      return Response{.status = status::accepted};
  }
}

}  // namespace fnimage::server
