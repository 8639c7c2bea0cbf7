#include "api/uploads.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "api/blobs.hpp"
#include "api/fields.hpp"
#include "api/reply.hpp"

namespace fnimage::server {

namespace {

using manifest::Digest;

/// Adds where the upload goes on, and how far it is. Of an empty one that is "0-0", as of one with
/// a byte: the specification has no other way to say it.
void add_progress(Response& response, const std::string& repository, const Upload& upload) {
  const std::uint64_t size = upload.size();
  response.headers.push_back({"Location", location_of(repository, "blobs/uploads/" + upload.id())});
  response.headers.push_back({"Range", fmt::format("0-{}", size == 0 ? 0 : size - 1)});
  response.headers.push_back({"Docker-Upload-UUID", upload.id()});
}

Response progress_reply(int status, const std::string& repository, const Upload& upload) {
  Response response{.status = status};
  add_progress(response, repository, upload);
  return response;
}

Response created_reply(const std::string& repository, const Digest& digest) {
  Response response{.status = status::created};
  response.headers.push_back({"Location", location_of(repository, "blobs/" + digest.str())});
  response.headers.push_back({"Docker-Content-Digest", digest.str()});
  return response;
}

Response unknown_upload(const std::string& id) {
  return error_reply(status::not_found,
                     {{code::blob_upload_unknown, "there is no such upload here", id}});
}

/// The upload that a request goes on with, or why not.
std::variant<std::shared_ptr<Upload>, Response> find_upload(const ApiContext& api,
                                                            const Target& target) {
  if (!is_valid_repository(target.repository)) {
    return invalid_name_reply(target.repository);
  }
  auto upload = api.store.find_upload(target.reference, target.repository, upload_owner(api));
  if (!upload) {
    return failure_reply(upload.error());
  }
  if (*upload == nullptr) {
    return unknown_upload(target.reference);
  }
  return std::move(*upload);
}

/// Whether the bytes that a request brings are the next ones.
std::optional<Response> refuse_range(const Request& request, const std::string& repository,
                                     const Upload& upload) {
  const std::string field = request.joined("Content-Range");
  if (field.empty()) {
    return std::nullopt;  // a stream
  }
  const auto range = upload_range(field);
  if (!range) {
    return error_reply(status::bad_request,
                       {{code::blob_upload_invalid, "Content-Range is not FIRST-LAST", field}});
  }
  if (range->offset != upload.size()) {
    Response response =
        error_reply(status::range_not_satisfiable, code::blob_upload_invalid,
                    fmt::format("the next byte of the upload is {}", upload.size()));
    add_progress(response, repository, upload);
    return response;
  }
  if (request.content_length && *request.content_length != range->size) {
    return error_reply(status::bad_request, code::size_invalid,
                       "Content-Range and Content-Length contradict each other");
  }
  return std::nullopt;
}

/// How many bytes a request says that it brings; nullopt: as many as come.
std::optional<std::uint64_t> announced_size(const Request& request) {
  const auto range = upload_range(request.joined("Content-Range"));
  return range ? std::optional(range->size) : std::nullopt;
}

/// Removes an upload that nobody could go on with, since its id was told to nobody.
class Untold {
 public:
  Untold(const ApiContext& api, std::string repository, std::string id)
      : api_(api), repository_(std::move(repository)), id_(std::move(id)) {}
  Untold(const Untold&) = delete;
  Untold& operator=(const Untold&) = delete;
  ~Untold() {
    // One that became a blob is not there any more, and what cannot be removed expires.
    (void)api_.store.remove_upload(id_, repository_, upload_owner(api_));
  }

 private:
  ApiContext api_;
  std::string repository_;
  std::string id_;
};

/// What a request says of the bytes that it brings.
struct Expected {
  std::optional<Digest> digest{};       ///< of the whole blob, which ends with them
  std::optional<std::uint64_t> size{};  ///< nullopt: any
};

/// Takes bytes of an upload, and ends it when a digest is given.
class UploadReceiver final : public BodyReceiver {
 public:
  UploadReceiver(std::string repository, std::shared_ptr<Upload> upload,
                 std::unique_ptr<Upload::Writing> writing, Expected expected,
                 std::unique_ptr<Untold> untold)
      : untold_(std::move(untold)),
        repository_(std::move(repository)),
        upload_(std::move(upload)),
        writing_(std::move(writing)),
        digest_(std::move(expected.digest)),
        left_(expected.size) {}

  std::optional<Response> write(Bytes bytes) override {
    if (left_ && bytes.size() > *left_) {
      return contradiction();
    }
    left_ = left_ ? std::optional(*left_ - bytes.size()) : std::nullopt;
    if (auto written = writing_->write(bytes); !written) {
      return failure_reply(written.error());
    }
    return std::nullopt;
  }

  Response end() override {
    if (left_ && *left_ > 0) {
      return contradiction();
    }
    if (!digest_) {
      return progress_reply(status::accepted, repository_, *upload_);
    }
    const auto finished = writing_->finish(*digest_);
    if (finished) {
      return created_reply(repository_, *digest_);
    }
    if (finished.error().code() == ErrorCode::verification) {
      return error_reply(
          status::bad_request,
          {{code::digest_invalid, "the uploaded bytes have another digest", digest_->str()}});
    }
    return failure_reply(finished.error());
  }

 private:
  /// What has come before counts: the client asks how much that is.
  [[nodiscard]] Response contradiction() const {
    Response response = error_reply(status::bad_request, code::size_invalid,
                                    "Content-Range names another number of bytes than came");
    add_progress(response, repository_, *upload_);
    return response;
  }

  std::unique_ptr<Untold> untold_;  // ends last, when nobody writes any more
  std::string repository_;
  std::shared_ptr<Upload> upload_;
  std::unique_ptr<Upload::Writing> writing_;
  std::optional<Digest> digest_;
  std::optional<std::uint64_t> left_;  ///< bytes that must still come; nullopt: any number
};

/// Another request still brings bytes, perhaps of a client that has given it up: the client asks
/// how far the upload is, and goes on from there.
Response taken_reply(const std::string& repository, const Upload& upload) {
  Response response = error_reply(status::range_not_satisfiable, code::blob_upload_invalid,
                                  "another request writes to this upload");
  add_progress(response, repository, upload);
  return response;
}

Answer receive(const std::string& repository, std::shared_ptr<Upload> upload, Expected expected,
               std::unique_ptr<Untold> untold = {}) {
  auto writing = upload->begin();
  if (!writing) {
    return writing.error().code() == ErrorCode::already_exists ? taken_reply(repository, *upload)
                                                               : failure_reply(writing.error());
  }
  return std::make_unique<UploadReceiver>(repository, std::move(upload), std::move(*writing),
                                          std::move(expected), std::move(untold));
}

/// The repository that has a blob: the one that is named, or any, of those that may be pulled
/// (A20). Null = there is none.
Result<std::shared_ptr<Repository>> source_of(const ApiContext& api, const Digest& digest,
                                              const std::optional<std::string>& from) {
  std::vector<std::string> names;
  if (!from) {
    FNIMAGE_TRY(names, api.store.repositories());
  } else if (is_valid_repository(*from)) {
    names.push_back(*from);
  }
  for (const std::string& name : names) {
    if (!may_pull(api, name)) {
      continue;
    }
    FNIMAGE_TRY(auto source, api.store.find(name));
    if (source != nullptr && source->blob_size(digest)) {
      return source;
    }
  }
  return nullptr;
}

/// False = there is nothing to mount.
Result<bool> mount(const ApiContext& api, const std::string& repository, const Digest& digest,
                   const std::optional<std::string>& from) {
  FNIMAGE_TRY(const auto source, source_of(api, digest, from));
  if (source == nullptr) {
    return false;
  }
  FNIMAGE_TRY(const auto into, api.store.create(repository));
  return into->mount(digest, *source);
}

/// The answer when the blob could be mounted, or when the request is wrong.
std::optional<Response> try_mount(const ApiContext& api, const std::string& repository,
                                  const Query& query) {
  const auto wanted = query.get("mount");
  if (!wanted) {
    return std::nullopt;
  }
  const auto digest = Digest::parse(*wanted);
  if (!digest) {
    return invalid_digest_reply(*wanted);
  }
  const auto mounted = mount(api, repository, *digest, query.get("from"));
  if (!mounted) {
    return failure_reply(mounted.error());
  }
  return *mounted ? std::optional(created_reply(repository, *digest)) : std::nullopt;
}

}  // namespace

Answer begin_upload(const ApiContext& api, const Target& target, const Request& request) {
  if (!is_valid_repository(target.repository)) {
    return invalid_name_reply(target.repository);
  }
  const Query query(request.query);
  if (auto answer = try_mount(api, target.repository, query)) {
    return std::move(*answer);
  }
  std::optional<Digest> digest;
  if (const auto text = query.get("digest")) {
    auto parsed = Digest::parse(*text);
    if (!parsed) {
      return invalid_digest_reply(*text);
    }
    digest.emplace(std::move(*parsed));
  }
  const std::string algorithm =
      query.get("digest-algorithm").value_or(std::string(digest ? digest->algorithm() : "sha256"));
  if (algorithm != "sha256" && algorithm != "sha512") {
    return error_reply(status::bad_request,
                       {{code::digest_invalid, "digests are sha256 or sha512 here", algorithm}});
  }
  auto upload = api.store.begin_upload(target.repository, upload_owner(api), algorithm);
  if (!upload) {
    return failure_reply(upload.error());
  }
  if (digest) {
    auto untold = std::make_unique<Untold>(api, target.repository, (*upload)->id());
    return receive(target.repository, std::move(*upload), {.digest = std::move(digest)},
                   std::move(untold));
  }
  return progress_reply(status::accepted, target.repository, **upload);
}

Answer continue_upload(const ApiContext& api, const Target& target, const Request& request) {
  auto found = find_upload(api, target);
  if (auto* refusal = std::get_if<Response>(&found)) {
    return std::move(*refusal);
  }
  auto& upload = std::get<std::shared_ptr<Upload>>(found);
  if (auto refusal = refuse_range(request, target.repository, *upload)) {
    return std::move(*refusal);
  }
  return receive(target.repository, std::move(upload), {.size = announced_size(request)});
}

Answer finish_upload(const ApiContext& api, const Target& target, const Request& request) {
  auto found = find_upload(api, target);
  if (auto* refusal = std::get_if<Response>(&found)) {
    return std::move(*refusal);
  }
  const std::string text = Query(request.query).get("digest").value_or("");
  auto digest = Digest::parse(text);
  if (!digest) {
    return invalid_digest_reply(text);
  }
  auto& upload = std::get<std::shared_ptr<Upload>>(found);
  if (auto refusal = refuse_range(request, target.repository, *upload)) {
    return std::move(*refusal);
  }
  return receive(target.repository, std::move(upload),
                 {.digest = std::move(*digest), .size = announced_size(request)});
}

Response upload_state(const ApiContext& api, const Target& target) {
  const auto found = find_upload(api, target);
  if (const auto* refusal = std::get_if<Response>(&found)) {
    return *refusal;
  }
  return progress_reply(status::no_content, target.repository,
                        *std::get<std::shared_ptr<Upload>>(found));
}

Response cancel_upload(const ApiContext& api, const Target& target) {
  if (!is_valid_repository(target.repository)) {
    return invalid_name_reply(target.repository);
  }
  const auto removed =
      api.store.remove_upload(target.reference, target.repository, upload_owner(api));
  if (!removed) {
    return failure_reply(removed.error());
  }
  return *removed ? Response{.status = status::no_content} : unknown_upload(target.reference);
}

}  // namespace fnimage::server
