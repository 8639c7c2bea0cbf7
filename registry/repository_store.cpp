// See repository_store.hpp.
#include "repository_store.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <mutex>
#include <set>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/blob_source.hpp>
#include <fnimage/registry/fallback_tag.hpp>

#include "blob_download.hpp"
#include "error_body.hpp"
#include "listing.hpp"
#include "mirrors.hpp"
#include "referrer_listing.hpp"
#include "remote_content.hpp"
#include "upload.hpp"

namespace fnimage::registry {

namespace {

namespace media_type = manifest::media_type;
using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

constexpr int max_missing_content = 4;  ///< tries more for a manifest whose content seems missing
constexpr std::size_t max_listed = 1'000'000;
constexpr std::size_t max_named = 5;  ///< blobs in one message

std::string accept_all() {
  return join(std::vector<std::string>{std::string(media_type::oci_index),
                                       std::string(media_type::oci_manifest),
                                       std::string(media_type::docker_list),
                                       std::string(media_type::docker_manifest)},
              ", ");
}

std::string_view without_parameters(std::string_view content_type) {
  return trim(content_type.substr(0, content_type.find(';')));
}

/// The digest of bytes in the algorithm of another digest.
Digest digest_like(const Digest& other, std::string_view bytes) {
  manifest::Hasher hasher = manifest::Hasher::for_digest(other);
  hasher.update(as_bytes(bytes));
  return hasher.finish();
}

/// The descriptor that the headers of a HEAD tell; nullopt when they do not tell enough.
std::optional<Descriptor> descriptor_from(const HttpResponse& response, const Selector& selector) {
  const std::string length = response.header("Content-Length").value_or("");
  std::uint64_t size = 0;
  const auto [end, problem] = std::from_chars(length.data(), length.data() + length.size(), size);
  const std::string type(without_parameters(response.header("Content-Type").value_or("")));
  const auto reported = Digest::parse(response.header("Docker-Content-Digest").value_or(""));
  const auto* asked = std::get_if<Digest>(&selector);
  if (length.empty() || problem != std::errc() || end != length.data() + length.size() ||
      type.empty() || (asked == nullptr && !reported)) {
    return std::nullopt;
  }
  return Descriptor{
      .media_type = type, .digest = asked != nullptr ? *asked : *reported, .size = size};
}

/// Reads all of something that verifies itself.
Result<void> read_through(const Content& content) {
  class Nowhere final : public Writer {
   public:
    Result<void> write(Bytes /*bytes*/) override { return {}; }
  };
  FNIMAGE_TRY(const auto reader, content.open());
  Nowhere nowhere;
  FNIMAGE_CHECK(copy(*reader, nowhere));
  return {};
}

/// The descriptor of a manifest, by the digest that it was asked for with.
Descriptor described(const Document& document, const Selector& selector) {
  Descriptor descriptor = document.descriptor();
  if (const auto* asked = std::get_if<Digest>(&selector)) {
    descriptor.digest = *asked;
  }
  return descriptor;
}

class RepositoryStore final : public ImageStore, public BlobSource {
 public:
  RepositoryStore(std::shared_ptr<Session> session, std::string repository,
                  std::shared_ptr<Mirrors> mirrors)
      : session_(std::move(session)), name_(std::move(repository)), mirrors_(std::move(mirrors)) {}

  [[nodiscard]] std::string describe() const override { return session_->registry() + "/" + name_; }
  [[nodiscard]] std::optional<RepositoryName> repository() const override {
    return RepositoryName{session_->registry(), name_};
  }
  [[nodiscard]] std::chrono::system_clock::time_point now() const override {
    return session_->now();
  }

  void expect_writes() override { writes_ = true; }
  Result<std::optional<Descriptor>> resolve(const Selector& selector) override;
  Result<Document> get_manifest(const Selector& selector) override;
  Result<void> put_manifest(const Document& document,
                            const std::optional<std::string>& tag) override;
  Result<bool> put_manifest_if(const Document& document, const std::string& tag,
                               const std::optional<Digest>& expected) override;
  Result<void> put_tags(const Document& document, const std::vector<std::string>& tags) override;
  Result<bool> has_blob(const Descriptor& blob) override {
    FNIMAGE_TRY(const BlobStanding found, find_remote_blob(*session_, name_, read_scopes(), blob));
    return found == BlobStanding::there;
  }
  Result<ContentPtr> blob(const Descriptor& blob) override {
    ContentPtr own = remote_blob(session_, path("blobs/" + blob.digest.str()), read_scopes(), blob);
    return reads_mirrors() ? mirrors_->blob(blob, std::move(own)) : std::move(own);
  }
  Result<std::optional<std::uint64_t>> blob_size(const Digest& digest) override {
    return remote_blob_size(blob_place(digest));
  }
  Result<void> send_blob(const Digest& digest, BlobSink& sink) override {
    return download_blob(blob_place(digest), 0, sink, {},
                         [&](std::optional<std::uint64_t> size) { return sink.begin(size); });
  }
  Result<BlobOutcome> put_blob(const Descriptor& blob, const Content& content,
                               const PutBlobOptions& options) override;
  Result<std::vector<std::string>> tags() override;
  Result<void> remove_tag(const std::string& tag) override;
  Result<void> remove_manifest(const Digest& digest) override {
    return remove(digest, "manifests");
  }
  Result<std::vector<Descriptor>> referrers(const Digest& digest) override;

 private:
  [[nodiscard]] std::string path(const std::string& rest) const {
    return "/v2/" + name_ + "/" + rest;
  }
  /// Reading asks for no more than pull, unless this store writes too: then one token does for
  /// both.
  [[nodiscard]] Scopes read_scopes() const {
    return writes_ ? push_scopes(name_) : pull_scopes(name_);
  }
  [[nodiscard]] BlobPlace blob_place(const Digest& digest) const {
    return {.session = session_, .path = path("blobs/" + digest.str()), .scopes = read_scopes()};
  }
  /// A store that is written to shows what it has itself.
  [[nodiscard]] bool reads_mirrors() const { return mirrors_ && !writes_; }
  std::optional<Document> mirrored(const Selector& selector) {
    const auto* digest = std::get_if<Digest>(&selector);
    return digest != nullptr && reads_mirrors() ? mirrors_->get_manifest(*digest) : std::nullopt;
  }
  [[nodiscard]] std::string what(const Selector& selector) const {
    return describe() + (std::holds_alternative<Digest>(selector) ? "@" : ":") +
           to_string(selector);
  }
  Result<Document> fetch_manifest(const Selector& selector);
  Result<HttpResponse> ask_manifest(const std::string& method, const Selector& selector, Url& url);
  /// PUTs a manifest to a path below manifests/ and verifies what the registry says about it.
  /// With a condition, 412 is an answer too.
  Result<HttpResponse> send_manifest(const std::string& reference, const Document& document,
                                     const std::optional<Header>& condition = std::nullopt);
  Result<HttpResponse> send_with_content(const Call& call);
  /// Whether what was put under a tag or digest is there.
  bool stands(const std::string& reference, const Document& document);
  Error name_missing(Error error, const Document& document);
  Result<void> list_as_referrer(const HttpResponse& response, const Document& document);
  [[nodiscard]] Result<void> check_manifest(const HttpResponse& response,
                                            const Selector& selector) const;
  Result<void> check_repaired(const Descriptor& blob);
  Result<void> pages(const Url& url, const std::function<Result<bool>(const HttpResponse&)>& take) {
    return read_pages(*session_, url, read_scopes(), describe(), take);
  }
  Result<std::vector<Descriptor>> fallback_referrers(const Digest& digest);
  /// @param kind of what is removed, for messages.
  Result<void> remove(const Selector& selector, std::string_view kind);

  std::shared_ptr<Session> session_;
  std::string name_;
  std::shared_ptr<Mirrors> mirrors_;
  std::atomic<bool> writes_ = false;
  std::mutex listing_;  ///< held while a list of referrers is edited
};

Result<HttpResponse> RepositoryStore::ask_manifest(const std::string& method,
                                                   const Selector& selector, Url& url) {
  const auto* tag = std::get_if<std::string>(&selector);
  if (tag != nullptr && !manifest::is_valid_tag(*tag)) {
    return fail(ErrorCode::invalid_argument, "not a tag: " + printable(*tag));
  }
  FNIMAGE_TRY(url, session_->url(path("manifests/" + to_string(selector))));
  return session_->send({.method = method,
                         .url = url,
                         .scopes = read_scopes(),
                         .headers = {{"Accept", accept_all()}},
                         .max_body = manifest::max_document_bytes});
}

Result<std::optional<Descriptor>> RepositoryStore::resolve(const Selector& selector) {
  Url url;
  const auto answer = ask_manifest("HEAD", selector, url);
  if (!answer) {
    // What exists says the registry itself, as long as it can be reached.
    if (auto document = mirrored(selector)) {
      return described(*document, selector);
    }
    return fail(answer.error());
  }
  const HttpResponse& response = *answer;
  if (response.status == 404) {
    return std::nullopt;
  }
  if (response.status == 200) {
    if (auto descriptor = descriptor_from(response, selector)) {
      return descriptor;
    }
  }
  // HEAD is not offered, or tells too little, or has no body that says why not: ask properly (C9).
  auto document = get_manifest(selector);
  if (!document) {
    if (document.error().code() == ErrorCode::not_found) {
      return std::nullopt;
    }
    return fail(std::move(document).error());
  }
  return described(*document, selector);
}

Result<void> RepositoryStore::check_manifest(const HttpResponse& response,
                                             const Selector& selector) const {
  // What was asked for decides; the header is only believed when it agrees with the bytes (C6, C7).
  if (const auto* asked = std::get_if<Digest>(&selector)) {
    const Digest actual = digest_like(*asked, response.body);
    if (actual != *asked) {
      return fail(ErrorCode::verification, what(selector) + ": the registry sent " + actual.str());
    }
    return {};
  }
  const auto reported = Digest::parse(response.header("Docker-Content-Digest").value_or(""));
  if (reported && digest_like(*reported, response.body) != *reported) {
    return fail(ErrorCode::verification, what(selector) + ": the registry says " + reported->str() +
                                             " but sent " +
                                             digest_like(*reported, response.body).str());
  }
  return {};
}

Result<Document> RepositoryStore::get_manifest(const Selector& selector) {
  if (auto found = mirrored(selector)) {
    return std::move(*found);
  }
  auto document = fetch_manifest(selector);
  if (!document && (document.error().code() == ErrorCode::verification ||
                    document.error().code() == ErrorCode::invalid_input)) {
    // Bytes that were damaged on their way are right the next time (F20). Asked for by a tag, no
    // digest need tell: it may be that they are no JSON any more.
    if (auto again = fetch_manifest(selector)) {
      return again;
    }
  }
  return document;
}

Result<Document> RepositoryStore::fetch_manifest(const Selector& selector) {
  Url url;
  FNIMAGE_TRY(HttpResponse response, ask_manifest("GET", selector, url));
  if (response.status == 404) {
    std::string text = error_text(response);
    return fail(Error(ErrorCode::not_found,
                      what(selector) + " does not exist" + (text.empty() ? "" : ": " + text))
                    .with_http_status(404)
                    .with_hint("check registry, repository and tag"));
  }
  if (response.status != 200) {
    return fail(response_error(response, "GET", url.str()));
  }
  FNIMAGE_CHECK(check_manifest(response, selector));
  const std::string type = response.header("Content-Type").value_or("");
  return Document::from_bytes(std::move(response.body), without_parameters(type), what(selector));
}

Result<HttpResponse> RepositoryStore::send_manifest(const std::string& reference,
                                                    const Document& document,
                                                    const std::optional<Header>& condition) {
  writes_ = true;
  FNIMAGE_TRY(const Url url, session_->url(path("manifests/" + reference)));
  const ContentPtr body = memory_content(document.bytes());
  std::vector<Header> headers{{"Content-Type", document.media_type()}};
  if (condition) {
    headers.push_back(*condition);
  }
  const Call call{.method = "PUT",
                  .url = url,
                  .scopes = push_scopes(name_),
                  .headers = std::move(headers),
                  .body = body.get()};
  auto answer = send_with_content(call);
  // The tag may stand although nobody said so: a proxy lost the answer (F15), or a first PUT whose
  // answer was lost has made the condition of the second one wrong.
  const bool in_doubt = answer ? answer->status >= 500 || (condition && answer->status == 412)
                               : answer.error().is_retryable();
  if (in_doubt && stands(reference, document)) {
    answer = HttpResponse{.status = 201};
  }
  FNIMAGE_TRY(HttpResponse response, std::move(answer));
  if (condition && response.status == 412) {
    return response;
  }
  if (response.status != 201 && response.status != 200 && response.status != 202) {
    Error error = response_error(response, "PUT", url.str());
    return fail(is_content_unknown(response) ? name_missing(std::move(error), document) : error);
  }
  const auto reported = Digest::parse(response.header("Docker-Content-Digest").value_or(""));
  if (reported && digest_like(*reported, document.bytes()) != *reported) {
    return fail(ErrorCode::verification, describe() + " stored the manifest as " + reported->str() +
                                             " instead of " + document.digest().str());
  }
  FNIMAGE_CHECK(list_as_referrer(response, document));
  return response;
}

/// docker-registry empties the link file of a blob or image for a moment while somebody puts or
/// mounts it again, and then does not find what a manifest names although it is there.
Result<HttpResponse> RepositoryStore::send_with_content(const Call& call) {
  FNIMAGE_TRY(HttpResponse response, session_->send(call));
  for (int failures = 0;
       failures < max_missing_content && is_content_unknown(response) &&
       pause_for(backoff(session_->retry(), failures, jitter()), session_->stop_token());
       ++failures) {
    FNIMAGE_TRY(response, session_->send(call));
  }
  return response;
}

bool RepositoryStore::stands(const std::string& reference, const Document& document) {
  const auto digest = Digest::parse(reference);
  if (!digest && !manifest::is_valid_tag(reference)) {
    return false;  // several tags
  }
  const auto found = resolve(digest ? Selector(*digest) : Selector(reference));
  return found && *found && (*found)->digest == document.digest();
}

/// Adds which blobs of an image the registry really does not have; lists name theirs already.
Error RepositoryStore::name_missing(Error error, const Document& document) {
  std::vector<std::string> missing;
  if (const auto image = document.image()) {
    std::vector<Descriptor> blobs = image->layers;
    blobs.push_back(image->config);
    for (const Descriptor& blob : blobs) {
      const auto there = has_blob(blob);
      if (there && !*there && missing.size() < max_named) {
        missing.push_back(blob.digest.str());
      }
    }
  }
  error = Error(std::move(error).with_hint("push again: what the registry has lost is sent again"));
  if (missing.empty()) {
    return error;
  }
  return std::move(error).while_doing("put an image that needs " + join(missing, ", ") +
                                      ", which is not in " + describe());
}

/// What a registry with a referrers API does itself, and says so (C25).
Result<void> RepositoryStore::list_as_referrer(const HttpResponse& response,
                                               const Document& document) {
  if (response.header("OCI-Subject")) {
    return {};
  }
  FNIMAGE_TRY(const auto referrer, referrer_of(document));
  if (!referrer) {
    return {};
  }
  const std::lock_guard lock(listing_);
  return list_referrer(*this, *referrer);
}

Result<void> RepositoryStore::put_manifest(const Document& document,
                                           const std::optional<std::string>& tag) {
  if (tag && !manifest::is_valid_tag(*tag)) {
    return fail(ErrorCode::invalid_argument, "not a tag: " + printable(*tag));
  }
  FNIMAGE_CHECK(send_manifest(tag.value_or(document.digest().str()), document));
  return {};
}

Result<bool> RepositoryStore::put_manifest_if(const Document& document, const std::string& tag,
                                              const std::optional<Digest>& expected) {
  if (!manifest::is_valid_tag(tag)) {
    return fail(ErrorCode::invalid_argument, "not a tag: " + printable(tag));
  }
  const Header condition =
      expected ? Header{"If-Match", "\"" + expected->str() + "\""} : Header{"If-None-Match", "*"};
  FNIMAGE_TRY(const HttpResponse response, send_manifest(tag, document, condition));
  return response.status != 412;
}

Result<void> RepositoryStore::put_tags(const Document& document,
                                       const std::vector<std::string>& tags) {
  std::vector<std::string> left = tags;
  for (const std::string& tag : tags) {
    if (!manifest::is_valid_tag(tag)) {
      return fail(ErrorCode::invalid_argument, "not a tag: " + printable(tag));
    }
  }
  if (tags.size() > 1 && session_->abilities().many_tags) {
    auto response =
        send_manifest(document.digest().str() + "?tag=" + join(tags, "&tag="), document);
    // What is not confirmed is put one by one, also where the URL was too long (C24).
    if (response) {
      for (const Header& header : response->headers) {
        if (equals_ignoring_case(header.name, "OCI-Tag")) {
          std::erase(left, header.value);
        }
      }
      session_->abilities().many_tags = left.size() < tags.size();
    } else if (response.error().http_status() == 414 || response.error().http_status() == 431) {
      session_->abilities().many_tags = false;
    }
  }
  for (const std::string& tag : left) {
    FNIMAGE_CHECK(put_manifest(document, tag));
  }
  return {};
}

Result<BlobOutcome> RepositoryStore::put_blob(const Descriptor& blob, const Content& content,
                                              const PutBlobOptions& options) {
  if (content.size() != blob.size) {
    return fail(ErrorCode::verification, "blob " + blob.digest.str() + ": the content has " +
                                             std::to_string(content.size()) + " bytes instead of " +
                                             std::to_string(blob.size));
  }
  writes_ = true;
  const auto& from = options.mount_from;
  const bool mountable =
      from && from->registry == session_->registry() && from->repository != name_;
  const bool ask = !options.probably_new || (blob.size > small_blob && !mountable);
  BlobStanding found = BlobStanding::missing;
  if (ask) {
    FNIMAGE_TRY(found, find_remote_blob(*session_, name_, push_scopes(name_), blob));
    if (found == BlobStanding::there) {
      forget_upload(*session_, name_, blob);
      return BlobOutcome::existed;
    }
  }
  const Upload upload{*session_, name_, blob, content, options, ask};
  auto outcome = upload_blob(upload);
  if (!outcome && outcome.error().code() == ErrorCode::verification &&
      outcome.error().http_status() == 0) {
    // Not the registry's word but ours: bytes that were damaged on their way from where they are
    // read are right the next time (F20).
    outcome = upload_blob(upload);
  }
  if (!outcome && outcome.error().code() == ErrorCode::verification) {
    // Did the bytes change on their way, or are they wrong here? Then the error says so.
    FNIMAGE_CHECK(read_through(content));
  }
  if (!outcome) {
    return fail(std::move(outcome).error().while_doing("upload blob " + blob.digest.str()));
  }
  if (found == BlobStanding::damaged) {
    FNIMAGE_CHECK(check_repaired(blob));
  }
  return outcome;
}

/// Registries that go by the digest keep what they have, and say that they took the new bytes.
Result<void> RepositoryStore::check_repaired(const Descriptor& blob) {
  FNIMAGE_TRY(const BlobStanding found,
              find_remote_blob(*session_, name_, push_scopes(name_), blob));
  if (found == BlobStanding::there) {
    return {};
  }
  return fail(
      ErrorCode::verification,
      describe() + " keeps a damaged copy of " + blob.digest.str() + " although the whole was sent",
      "delete that blob from the registry's storage, then push again");
}

Result<std::vector<std::string>> RepositoryStore::tags() {
  FNIMAGE_TRY(const Url url, session_->url(path("tags/list?n=1000")));
  std::vector<std::string> result;
  FNIMAGE_CHECK(pages(url, [&](const HttpResponse& response) -> Result<bool> {
    if (response.status != 200) {
      return fail(response_error(response, "GET", url.str()));
    }
    const auto accepts = [](std::string_view tag) { return manifest::is_valid_tag(tag); };
    // What is no tag could not be asked for either.
    FNIMAGE_TRY([[maybe_unused]] const std::size_t refused,
                add_strings(response, "tags", "tags of " + describe(), accepts, result));
    return result.size() < max_listed;
  }));
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

Result<void> RepositoryStore::remove_tag(const std::string& tag) {
  if (!manifest::is_valid_tag(tag)) {
    return fail(ErrorCode::invalid_argument, "not a tag: " + printable(tag));
  }
  return remove(tag, "tags");
}

Result<void> RepositoryStore::remove(const Selector& selector, std::string_view kind) {
  FNIMAGE_TRY(const Url url, session_->url(path("manifests/" + to_string(selector))));
  FNIMAGE_TRY(
      const HttpResponse response,
      session_->send(
          {.method = "DELETE", .url = url, .scopes = {"repository:" + name_ + ":pull,delete"}}));
  if (response.status == 202 || response.status == 200 || response.status == 204) {
    return {};
  }
  if (response.status == 404) {
    return fail(ErrorCode::not_found, what(selector) + " does not exist");
  }
  if (response.status == 400 || response.status == 405) {
    return fail(Error(ErrorCode::unsupported, session_->registry() + " does not remove " +
                                                  std::string(kind) + ": " + error_text(response))
                    .with_http_status(response.status)
                    .with_hint("remove it with the registry's own tools"));
  }
  return fail(response_error(response, "DELETE", url.str()));
}

Result<std::vector<Descriptor>> RepositoryStore::referrers(const Digest& digest) {
  FNIMAGE_TRY(const Url url, session_->url(path("referrers/" + digest.str())));
  std::vector<Descriptor> result;
  bool offered = true;
  FNIMAGE_CHECK(pages(url, [&](const HttpResponse& response) -> Result<bool> {
    if (response.status == 404 || response.status == 405) {
      offered = false;
      return false;
    }
    if (response.status != 200) {
      return fail(response_error(response, "GET", url.str()));
    }
    FNIMAGE_TRY(manifest::Index index, manifest::Index::parse(response.body));
    std::move(index.manifests.begin(), index.manifests.end(), std::back_inserter(result));
    return result.size() < max_listed;
  }));
  return offered ? result : fallback_referrers(digest);
}

Result<std::vector<Descriptor>> RepositoryStore::fallback_referrers(const Digest& digest) {
  auto document = get_manifest(referrers_tag(digest));
  if (!document) {
    if (document.error().code() == ErrorCode::not_found) {
      return std::vector<Descriptor>();
    }
    return fail(std::move(document).error());
  }
  if (!document->is_index()) {
    return std::vector<Descriptor>();  // "no valid index" means no referrers
  }
  FNIMAGE_TRY(manifest::Index index, document->index());
  return std::move(index.manifests);
}

}  // namespace

std::unique_ptr<ImageStore> make_repository_store(std::shared_ptr<Session> session,
                                                  std::string repository,
                                                  std::shared_ptr<Mirrors> mirrors) {
  return std::make_unique<RepositoryStore>(std::move(session), std::move(repository),
                                           std::move(mirrors));
}

BlobSource* blob_source_of(ImageStore& store) noexcept {
  return dynamic_cast<BlobSource*>(&store);
}

std::optional<std::string> next_link(std::string_view header) {
  while (true) {
    const std::size_t open = header.find('<');
    const std::size_t close = header.find('>', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos) {
      return std::nullopt;
    }
    const std::string_view target = header.substr(open + 1, close - open - 1);
    header.remove_prefix(close + 1);
    const std::string parameters = to_lower(header.substr(0, header.find('<')));
    for (const std::string_view parameter : split(parameters, ';')) {
      const std::string_view text = trim(parameter.substr(0, parameter.find(',')));
      if (text == "rel=next" || text == "rel=\"next\"") {
        return std::string(target);
      }
    }
  }
}

}  // namespace fnimage::registry
