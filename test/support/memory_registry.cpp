// See memory_registry.hpp.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include <openssl/evp.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/test/memory_registry.hpp>

namespace fnimage::test {

namespace {

constexpr std::size_t worth_cutting = std::size_t{64} * 1024;

std::string sha256(std::string_view bytes) {
  std::string digest(32, '\0');
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);
  return "sha256:" + to_hex(as_bytes(digest));
}

std::string decoded(std::string text) {
  for (const auto& [code, character] : {std::pair{"%3A", ":"}, std::pair{"%2F", "/"}}) {
    for (std::size_t at = text.find(code); at != std::string::npos; at = text.find(code)) {
      text.replace(at, 3, character);
    }
  }
  return text;
}

/// The values of a query parameter.
std::vector<std::string> parameters(const std::string& target, const std::string& name) {
  std::vector<std::string> values;
  const std::size_t query = target.find('?');
  if (query == std::string::npos) {
    return values;
  }
  for (const std::string_view part : split(std::string_view(target).substr(query + 1), '&')) {
    if (part.starts_with(name + "=")) {
      values.push_back(decoded(std::string(part.substr(name.size() + 1))));
    }
  }
  return values;
}

std::string after(const std::string& path, std::string_view marker) {
  return path.substr(path.find(marker) + marker.size());
}

Reply unknown_upload() {
  return {.status = 404, .body = R"({"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]})"};
}

}  // namespace

MemoryRegistry::MemoryRegistry(Habits habits)
    : habits_(std::move(habits)),
      server_([this](const SeenRequest& request) { return answer(request); }) {
  server_.cut_bodies([this](const SeenRequest& request) { return cut_of(request); });
}

void MemoryRegistry::cut_next(std::vector<std::size_t> after) {
  const std::lock_guard lock(mutex_);
  cuts_ = std::move(after);
}

void MemoryRegistry::on_cut(std::function<void()> callback) {
  const std::lock_guard lock(mutex_);
  on_cut_ = std::move(callback);
}

std::uint64_t MemoryRegistry::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}

std::optional<std::string> MemoryRegistry::blob(const std::string& digest) const {
  const std::lock_guard lock(mutex_);
  const auto found = blobs_.find(digest);
  return found == blobs_.end() ? std::nullopt : std::optional(found->second);
}

void MemoryRegistry::lose(const std::string& digest) {
  const std::lock_guard lock(mutex_);
  const auto is_of = [&](const std::string& key) { return key.ends_with("@" + digest); };
  blobs_.erase(digest);
  std::erase_if(links_, is_of);
  std::erase_if(manifests_, [&](const auto& entry) { return is_of(entry.first); });
}

std::string MemoryRegistry::tag(const std::string& repository, const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = tags_.find(repository + ":" + name);
  return found == tags_.end() ? std::string() : found->second;
}

std::size_t MemoryRegistry::open_uploads() const {
  const std::lock_guard lock(mutex_);
  return uploads_.size();
}

std::size_t MemoryRegistry::count(std::string_view beginning) const {
  const std::vector<std::string> lines = server_.lines();
  return static_cast<std::size_t>(
      std::count_if(lines.begin(), lines.end(),
                    [&](const std::string& line) { return line.starts_with(beginning); }));
}

std::optional<std::size_t> MemoryRegistry::cut_of(const SeenRequest& request) {
  const std::lock_guard lock(mutex_);
  const std::string length = request.header("Content-Length").value_or("0");
  if (cuts_.empty() || std::strtoull(length.c_str(), nullptr, 10) < worth_cutting) {
    return std::nullopt;
  }
  const std::size_t cut = cuts_.front();
  cuts_.erase(cuts_.begin());
  return cut;
}

Reply MemoryRegistry::answer(const SeenRequest& request) {
  if (habits_.instead) {
    if (auto reply = habits_.instead(request)) {
      return *reply;
    }
  }
  Reply reply = act(request);
  if (habits_.spoil) {
    habits_.spoil(request, reply);
  }
  return reply;
}

Reply MemoryRegistry::act(const SeenRequest& request) {
  std::function<void()> cut;
  Reply reply;
  {
    const std::lock_guard lock(mutex_);
    const std::string path = request.target.substr(0, request.target.find('?'));
    const std::string repository = path.substr(std::min<std::size_t>(4, path.size()));
    if (path == "/v2/") {
      return {.status = 200};
    }
    const std::string length = request.header("Content-Length").value_or("0");
    const bool whole = std::to_string(request.body.size()) == length;
    if (path.find("/manifests/") != std::string::npos) {
      if (!whole) {
        return {};
      }
      return manifest_request(request, repository.substr(0, repository.find("/manifests/")),
                              after(path, "/manifests/"));
    }
    received_ += request.body.size();
    if (path.ends_with("/blobs/uploads/")) {
      return open_upload(request, repository.substr(0, repository.find("/blobs/")));
    }
    reply = path.starts_with("/up/")
                ? upload_request(request)
                : blob_request(request, repository.substr(0, repository.find("/blobs/")),
                               after(path, "/blobs/"));
    if (!whole) {
      cut = on_cut_;
    }
  }
  if (cut) {
    cut();
  }
  return reply;
}

Reply MemoryRegistry::blob_request(const SeenRequest& request, const std::string& repository,
                                   const std::string& digest) {
  const auto found = blobs_.find(digest);
  if (found == blobs_.end() || !links_.contains(repository + "@" + digest)) {
    return {.status = 404};
  }
  if (request.method == "HEAD") {
    return {.headers = {{"Content-Length", std::to_string(found->second.size())}}};
  }
  return {.body = found->second};
}

std::vector<std::pair<std::string, std::string>> MemoryRegistry::session_headers(int id) {
  Upload& upload = uploads_.at(id);
  ++upload.step;
  std::vector<std::pair<std::string, std::string>> headers{
      {"Location", "/up/" + std::to_string(id) + "?step=" + std::to_string(upload.step)}};
  if (std::string range = habits_.range(upload.bytes.size()); !range.empty()) {
    headers.emplace_back("Range", std::move(range));
  }
  if (habits_.min_chunk > 0) {
    headers.emplace_back("OCI-Chunk-Min-Length", std::to_string(habits_.min_chunk));
  }
  return headers;
}

Reply MemoryRegistry::open_upload(const SeenRequest& request, const std::string& repository) {
  const auto mount = parameters(request.target, "mount");
  const auto from = parameters(request.target, "from");
  if (!mount.empty() && !from.empty() && links_.contains(from[0] + "@" + mount[0])) {
    links_.insert(repository + "@" + mount[0]);
    return {.status = 201};
  }
  if (habits_.single_post && !parameters(request.target, "digest").empty()) {
    return finish(request, repository, request.body);
  }
  const int id = next_upload_++;
  uploads_.emplace(id, Upload{.repository = repository, .bytes = {}});
  return {.status = 202, .headers = session_headers(id)};
}

Reply MemoryRegistry::finish(const SeenRequest& request, const std::string& repository,
                             std::string bytes) {
  const auto wanted = parameters(request.target, "digest");
  if (wanted.empty() || sha256(bytes) != wanted[0]) {
    return {.status = 400, .body = R"({"errors":[{"code":"DIGEST_INVALID"}]})"};
  }
  blobs_[wanted[0]] = std::move(bytes);
  links_.insert(repository + "@" + wanted[0]);
  return {.status = 201, .headers = {{"Docker-Content-Digest", wanted[0]}}};
}

Reply MemoryRegistry::upload_request(const SeenRequest& request) {
  const int id = std::atoi(request.target.substr(4).c_str());
  const auto found = uploads_.find(id);
  const auto step = parameters(request.target, "step");
  const bool writes = request.method == "PUT" || request.method == "PATCH";
  if (found == uploads_.end() || found->second.lost || step.empty() ||
      (writes && step[0] != std::to_string(found->second.step))) {
    return unknown_upload();
  }
  Upload& upload = found->second;
  if (request.method == "DELETE") {
    uploads_.erase(found);
    return {.status = 204};
  }
  if (request.method == "GET") {
    return {.status = 204, .headers = session_headers(id)};
  }
  if (request.body.size() > habits_.max_body) {
    return {.status = 413};
  }
  if (const auto range = request.header("Content-Range");
      range && !range->starts_with(std::to_string(upload.bytes.size()) + "-")) {
    return {.status = 416, .headers = session_headers(id)};
  }
  upload.bytes += request.body;
  if (std::to_string(request.body.size()) != request.header("Content-Length").value_or("0")) {
    upload.lost = habits_.forgets;
    return {};
  }
  if (request.method == "PATCH") {
    return {.status = habits_.patch_status, .headers = session_headers(id)};
  }
  const Reply reply = finish(request, upload.repository, upload.bytes);
  uploads_.erase(found);
  return reply;
}

Reply MemoryRegistry::manifest_request(const SeenRequest& request, const std::string& repository,
                                       const std::string& reference) {
  const auto tagged = tags_.find(repository + ":" + reference);
  const std::string digest = tagged != tags_.end() ? tagged->second : reference;
  if (request.method == "PUT") {
    const std::string own = sha256(request.body);
    const auto listed = parameters(request.target, "tag");
    manifests_[repository + "@" + own] = {request.header("Content-Type").value_or(""),
                                          request.body};
    Reply reply{.status = 201, .headers = {{"Docker-Content-Digest", own}}};
    if (!reference.starts_with("sha256:")) {
      tags_[repository + ":" + reference] = own;
    }
    for (const std::string& name : habits_.many_tags ? listed : std::vector<std::string>()) {
      tags_[repository + ":" + name] = own;
      reply.headers.emplace_back("OCI-Tag", name);
    }
    return reply;
  }
  const auto found = manifests_.find(repository + "@" + digest);
  if (found == manifests_.end()) {
    return {.status = 404};
  }
  Reply reply{.headers = {{"Content-Type", found->second.first}, {"Docker-Content-Digest", digest}},
              .body = found->second.second};
  if (request.method == "HEAD") {
    reply.headers.emplace_back("Content-Length", std::to_string(reply.body.size()));
  }
  return reply;
}

}  // namespace fnimage::test
