// See dry_run.hpp.
#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/dry_run.hpp>

namespace fnimage::registry {

namespace {

constexpr std::string_view manifests_part = "/manifests/";
constexpr std::string_view uploads_part = "/blobs/uploads/";

std::string request_header(const HttpRequest& request, std::string_view name) {
  for (const Header& header : request.headers) {
    if (equals_ignoring_case(header.name, name)) {
      return header.value;
    }
  }
  return {};
}

/// A query parameter with its percent signs taken out; empty when it is not there.
std::string parameter(std::string_view url, std::string_view name) {
  const std::size_t query = url.find('?');
  if (query == std::string_view::npos) {
    return {};
  }
  for (const std::string_view pair : split(url.substr(query + 1), '&')) {
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=') {
      std::string value(pair.substr(name.size() + 1));
      const std::size_t colon = to_lower(value).find("%3a");
      return colon == std::string::npos ? value : value.replace(colon, 3, ":");
    }
  }
  return {};
}

std::uint64_t bytes_of(const HttpRequest& request) {
  return request.body == nullptr
             ? 0
             : std::min(request.body->size() - request.body_offset, request.body_limit);
}

/// Counts what goes to another writer.
class CountingWriter final : public Writer {
 public:
  explicit CountingWriter(Writer& inner) : inner_(inner) {}
  Result<void> write(Bytes bytes) override {
    count_ += bytes.size();
    return inner_.write(bytes);
  }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

 private:
  Writer& inner_;
  std::uint64_t count_ = 0;
};

Result<HttpResponse> answer(const HttpRequest& request, HttpResponse response, std::string bytes) {
  if (request.method == "HEAD") {
    return response;
  }
  if (request.sink == nullptr) {
    response.body = std::move(bytes);
    return response;
  }
  if (request.on_answer) {
    FNIMAGE_CHECK(request.on_answer(response));
  }
  FNIMAGE_CHECK(request.sink->write(as_bytes(bytes)));
  return response;
}

}  // namespace

std::optional<Result<HttpResponse>> DryRunTransport::recall(const HttpRequest& request,
                                                            const std::string& path) {
  std::unique_lock lock(mutex_);
  const auto manifest = manifests_.find(path);
  if (manifest != manifests_.end()) {
    const Manifest found = manifest->second;
    lock.unlock();
    return answer(request,
                  {.status = 200,
                   .headers = {{"Content-Type", found.type},
                               {"Content-Length", std::to_string(found.bytes.size())},
                               {"Docker-Content-Digest", found.digest}}},
                  found.bytes);
  }
  const auto blob = blobs_.find(path);
  if (request.method == "HEAD" && blob != blobs_.end()) {
    HttpResponse found{.status = 200};
    if (blob->second > 0) {  // what was mounted has a size that nobody told
      found.headers.push_back({"Content-Length", std::to_string(blob->second)});
    }
    return found;
  }
  return std::nullopt;
}

Result<HttpResponse> DryRunTransport::read(const HttpRequest& request) {
  HttpRequest counted = request;
  std::optional<CountingWriter> sink;
  if (request.sink != nullptr) {
    counted.sink = &sink.emplace(*request.sink);
  }
  auto response = below_->perform(counted);
  const std::uint64_t received =
      (response ? response->body.size() : 0) + (sink ? sink->count() : 0);
  const std::lock_guard lock(mutex_);
  reads_.push_back({request.method, printable_url(request.url), received});
  return response;
}

Result<HttpResponse> DryRunTransport::perform(const HttpRequest& request) {
  const std::string path = request.url.substr(0, request.url.find('?'));
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (reads || path.find("/v2/") == std::string::npos) {
    auto known = reads ? recall(request, path) : std::nullopt;
    return known ? std::move(*known) : read(request);
  }
  const std::lock_guard lock(mutex_);
  writes_.push_back({request.method, request.url, bytes_of(request)});
  if (request.method == "PUT" && path.find(manifests_part) != std::string::npos) {
    return put_manifest(request, path);
  }
  if (path.find(uploads_part) != std::string::npos) {
    return upload(request, path);
  }
  return remove(path);
}

/// Tags are not deleted by every registry (docker-registry 2 deletes manifests only).
HttpResponse DryRunTransport::remove(const std::string& path) {
  const bool is_tag = path.find(':', path.rfind('/')) == std::string::npos;
  manifests_.erase(path);
  blobs_.erase(path);
  return {.status = is_tag ? 405 : 202};
}

Result<HttpResponse> DryRunTransport::put_manifest(const HttpRequest& request,
                                                   const std::string& path) {
  if (request.body == nullptr) {
    return HttpResponse{.status = 400};
  }
  FNIMAGE_TRY(const auto reader, request.body->open());
  FNIMAGE_TRY(std::string bytes, read_all(*reader, manifest::max_document_bytes));
  const std::string digest = manifest::Digest::of(std::string_view(bytes)).str();
  Manifest manifest{std::move(bytes), request_header(request, "Content-Type"), digest};
  const std::string stem = path.substr(0, path.rfind(manifests_part) + manifests_part.size());
  manifests_.insert_or_assign(stem + digest, manifest);
  manifests_.insert_or_assign(path, std::move(manifest));
  return HttpResponse{.status = 201, .headers = {{"Docker-Content-Digest", digest}}};
}

HttpResponse DryRunTransport::upload(const HttpRequest& request, const std::string& path) {
  const std::string stem = path.substr(0, path.rfind(uploads_part));
  const std::string mounted = parameter(request.url, "mount");
  if (request.method == "POST" && !mounted.empty() && !parameter(request.url, "from").empty()) {
    blobs_[stem + "/blobs/" + mounted] = 0;
    return {.status = 201, .headers = {{"Location", stem + "/blobs/" + mounted}}};
  }
  // A blob that comes with its POST is not taken by every registry (docker-registry opens an upload
  // instead), and no answer tells beforehand.
  const std::string digest = request.method == "PUT" ? parameter(request.url, "digest") : "";
  if (!digest.empty()) {
    blobs_[stem + "/blobs/" + digest] = bytes_of(request);
    return {.status = 201, .headers = {{"Location", stem + "/blobs/" + digest}}};
  }
  HttpResponse response{.status = request.method == "DELETE" ? 204 : 202};
  response.headers.push_back({"Location", stem + std::string(uploads_part) + "dry-run"});
  if (const std::uint64_t sent = bytes_of(request); request.method == "PATCH" && sent > 0) {
    response.headers.push_back({"Range", fmt::format("0-{}", request.body_offset + sent - 1)});
  }
  return response;
}

std::vector<PlannedRequest> DryRunTransport::writes() const {
  const std::lock_guard lock(mutex_);
  return writes_;
}

std::vector<PlannedRequest> DryRunTransport::reads() const {
  const std::lock_guard lock(mutex_);
  return reads_;
}

}  // namespace fnimage::registry
