// See doctor.hpp. Each request of distribution-spec that publishing can make use of is tried once,
// with content of a few bytes that is new each time, so that nothing is there before. Only the
// upload that is cut is larger: a part of it must have gone when its connection is closed.
#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/random.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/manifest/media_types.hpp>

#include "doctor.hpp"
#include "error_body.hpp"
#include "upload.hpp"

namespace fnimage::registry {

namespace {

constexpr const char* probe_tag = "fnimage-doctor";

std::string digest_of(const std::string& bytes) {
  return manifest::Digest::of(bytes).str();
}

/// A body that breaks its request off when a part of it has gone: its own progress tells.
class TornContent final : public Content, public ProgressTask {
 public:
  [[nodiscard]] std::uint64_t size() const noexcept override { return std::uint64_t{4} << 20; }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t /*offset*/) const override {
    return std::make_unique<TornReader>(sent_);
  }
  void update(std::uint64_t done) noexcept override { sent_ = done; }
  void finish(std::string_view /*outcome*/) noexcept override {}

 private:
  class TornReader final : public Reader {
   public:
    explicit TornReader(const std::uint64_t& sent) : sent_(sent) {}
    Result<std::size_t> read(std::span<std::byte> buffer) override {
      if (sent_ > 0) {
        return fail(ErrorCode::cancelled, "a part has gone, which is enough");
      }
      std::fill(buffer.begin(), buffer.end(), std::byte{});
      return buffer.size();
    }

   private:
    const std::uint64_t& sent_;
  };

  std::uint64_t sent_ = 0;
};

class RepositoryProbe {
 public:
  RepositoryProbe(Session& session, const std::string& repository, Diagnosis& diagnosis)
      : session_(session), name_(repository), diagnosis_(diagnosis) {
    std::array<std::byte, 12> random{};
    // Comes short only before the system is up; then the content is merely less new.
    static_cast<void>(!::getrandom(random.data(), random.size(), 0));
    unique_ = to_hex(random);
  }

  void run() {
    config_ = R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},)"
              R"("author":")" +
              unique_ + "\"}";
    if (!monolithic()) {
      return;
    }
    chunked();
    cut();
    mounts();
    if (images()) {
      tags();
      referrers();
    }
    removal();
  }

 private:
  using Answer = Result<HttpResponse>;

  Answer send(const std::string& method, const std::string& path, const std::string* body = nullptr,
              std::vector<Header> headers = {}) {
    FNIMAGE_TRY(const Url url, session_.url("/v2/" + name_ + "/" + path));
    return send_to(method, url, body, std::move(headers));
  }

  Answer send_to(const std::string& method, const Url& url, const std::string* body,
                 std::vector<Header> headers) {
    const ContentPtr content = body == nullptr ? ContentPtr() : memory_content(*body);
    Scopes scopes = push_scopes(name_);
    if (method == "DELETE") {
      scopes = {"repository:" + name_ + ":pull,delete"};
    }
    return session_.send({.method = method,
                          .url = url,
                          .scopes = std::move(scopes),
                          .headers = std::move(headers),
                          .body = content.get()});
  }

  /// @param wanted the status that means yes. Returns whether it came.
  bool note(const std::string& name, const Answer& answer, int wanted, std::string detail = {},
            std::string advice = {}) {
    Finding finding{.name = name, .verdict = Verdict::no};
    if (!answer) {
      finding.detail = answer.error().message();
      finding.advice = answer.error().hint();
    } else if (answer->status == wanted) {
      finding.verdict = Verdict::ok;
      finding.detail = std::move(detail);
    } else {
      const std::string text = error_text(*answer);
      finding.detail = fmt::format("status {}{}{}", answer->status, text.empty() ? "" : ": ", text);
      finding.advice = std::move(advice);
    }
    diagnosis_.findings.push_back(finding);
    return finding.verdict == Verdict::ok;
  }

  void block(const Answer& answer, const std::string& what) {
    if (diagnosis_.problem) {
      return;
    }
    diagnosis_.problem = answer ? response_error(*answer, "PUT", what) : Error(answer.error());
  }

  Result<Url> next(const HttpResponse& response) {
    FNIMAGE_TRY(const Url from, session_.url("/v2/" + name_ + "/blobs/uploads/"));
    return session_.location(response, from, session_.is_insecure());
  }

  /// Where a 202 leads to.
  Result<Url> follow(const Answer& answer) {
    if (!answer) {
      return fail(Error(answer.error()));
    }
    if (answer->status != 202) {
      return fail(response_error(*answer, "POST", name_));
    }
    return next(*answer);
  }

  Answer open_upload(const std::string& query = {}) {
    return send("POST", "blobs/uploads/" + query, nullptr);
  }

  void cancel(const Answer& answer) {
    if (answer && answer->status == 202) {
      if (const auto location = next(*answer)) {
        static_cast<void>(send_to("DELETE", *location, nullptr, {}));
      }
    }
  }

  Answer close_upload(const HttpResponse& response, const std::string& digest,
                      const std::string& body) {
    FNIMAGE_TRY(const Url location, next(response));
    return send_to("PUT", location.with_query("digest", digest), &body,
                   {{"Content-Type", "application/octet-stream"}});
  }

  /// Into another repository, out of which the blob is removed again.
  Answer mount_into(const std::string& other, const std::string& digest) {
    FNIMAGE_TRY(const Url url, session_.url("/v2/" + other + "/blobs/uploads/?mount=" + digest +
                                            "&from=" + percent_encode(name_)));
    Scopes scopes = push_scopes(other);
    scopes.push_back(pull_scopes(name_).front());
    Answer answer = session_.send({.method = "POST", .url = url, .scopes = std::move(scopes)});
    if (answer && answer->status == 201) {
      FNIMAGE_TRY(const Url blob, session_.url("/v2/" + other + "/blobs/" + digest_of(config_)));
      const auto removed = session_.send(
          {.method = "DELETE", .url = blob, .scopes = {"repository:" + other + ":pull,delete"}});
      if (!removed || removed->status != 202) {
        left_.push_back(other);
      }
    }
    return answer;
  }

  bool monolithic() {
    Answer answer = open_upload();
    if (answer && answer->status == 202) {
      const auto location = next(*answer);
      const auto home = session_.url("/");
      if (location && home && location->origin() != home->origin()) {
        diagnosis_.findings.push_back(
            {.name = "upload target",
             .verdict = Verdict::ok,
             .detail = "another server: " + location->origin() + " (it gets no credentials)"});
      }
      answer = close_upload(*answer, digest_of(config_), config_);
    }
    const bool ok = note("blob upload", answer, 201);
    if (ok) {
      blobs_.push_back(digest_of(config_));
    } else {
      block(answer, "blob");
    }
    return ok;
  }

  void chunked() {
    const std::string blob = "chunked " + unique_;
    const std::string first = blob.substr(0, blob.size() / 2);
    const Answer opened = open_upload();
    if (!opened || opened->status != 202) {
      note("chunked upload", opened, 202);
      return;
    }
    const auto least = opened->header("OCI-Chunk-Min-Length");
    const auto location = next(*opened);
    if (!location) {
      note("chunked upload", tl::unexpected<Error>(location.error()), 202);
      return;
    }
    const Answer patched = send_to("PATCH", *location, &first,
                                   {{"Content-Type", "application/octet-stream"},
                                    {"Content-Range", fmt::format("0-{}", first.size() - 1)}});
    if (!patched || patched->status != 202) {
      note("chunked upload", patched, 202, "", "blobs go in one request, which is the default");
      cancel(opened);
      return;
    }
    const auto status_url = next(*patched);
    const Answer status = status_url ? send_to("GET", *status_url, nullptr, {})
                                     : Answer(tl::unexpected<Error>(status_url.error()));
    const bool has_moved = status && status->header("Location");  // an old one may be refused (F11)
    const Answer closed =
        close_upload(has_moved ? *status : *patched, digest_of(blob), blob.substr(first.size()));
    const std::string said = least ? "chunks of at least " + printable(*least) + " bytes" : "";
    if (note("chunked upload", closed, 201, said)) {
      blobs_.push_back(digest_of(blob));
    }
    note("upload status", status, 204, "broken uploads go on where they were");
  }

  /// A chunk that arrives, and one whose connection breaks in its middle.
  void cut() {
    const std::string first = "cut " + unique_;
    const Answer opened = open_upload();
    const auto start = follow(opened);
    const std::vector<Header> headers{{"Content-Type", "application/octet-stream"},
                                      {"Content-Range", fmt::format("0-{}", first.size() - 1)}};
    const Answer patched =
        start ? send_to("PATCH", *start, &first, headers) : Answer(tl::unexpected(start.error()));
    auto location = follow(patched);
    if (!location) {
      cancel(opened);
      return;  // nothing was acknowledged that could be gone on with: "chunked upload" says why
    }
    TornContent torn;
    static_cast<void>(
        session_.send({.method = "PATCH",
                       .url = *location,
                       .scopes = push_scopes(name_),
                       .headers = {{"Content-Type", "application/octet-stream"},
                                   {"Content-Range", fmt::format("{}-{}", first.size(),
                                                                 first.size() + torn.size() - 1)}},
                       .body = &torn,
                       .progress = &torn,
                       .retry = false}));
    note_cut(ask_after_cut(*location, first.size()), first.size());
    static_cast<void>(send_to("DELETE", *location, nullptr, {}));
  }

  /// How an upload stands. The registry may not have seen yet that the connection is gone.
  Answer ask_after_cut(Url& location, std::uint64_t acknowledged) {
    constexpr int questions = 10;
    constexpr std::chrono::milliseconds pause{100};
    const Clock& clock = session_.clock();
    for (int i = 1;; ++i) {
      const bool stopped = !clock.sleep_until(clock.now() + pause, session_.stop_token());
      Answer answer = ask_status(location);
      if (stopped || i == questions || stored_in(answer) != acknowledged) {
        return answer;
      }
    }
  }

  /// @param location is where the upload goes on after that.
  Answer ask_status(Url& location) {
    Answer answer = send_to("GET", location, nullptr, {});
    if (answer && answer->header("Location")) {
      FNIMAGE_TRY(location, next(*answer));
    }
    return answer;
  }

  static std::optional<std::uint64_t> stored_in(const Answer& answer) {
    const bool good = answer && answer->status >= 200 && answer->status <= 204;
    return good ? stored_bytes(answer->header("Range").value_or("")) : std::nullopt;
  }

  void note_cut(const Answer& answer, std::uint64_t acknowledged) {
    const auto stored = stored_in(answer);
    Finding finding{.name = "cut uploads", .verdict = Verdict::no};
    if (stored && *stored >= acknowledged) {
      finding.verdict = Verdict::ok;
      finding.detail = fmt::format("resumed at byte {}", *stored);
    } else if (!answer) {
      finding.detail = "begin again: " + answer.error().message();
    } else if (answer->status > 204) {
      finding.detail = fmt::format("begin again: status {}", answer->status);
    } else {
      finding.detail = "begin again: the registry does not tell what it has";
    }
    diagnosis_.findings.push_back(std::move(finding));
  }

  void mounts() {
    const std::string digest = percent_encode(digest_of(config_));
    const Answer anonymous = open_upload("?mount=" + digest);
    note("mount from anywhere", anonymous, 201);
    cancel(anonymous);
    const Answer mounted = mount_into(name_ + "-mount", digest);
    note("mount between repositories", mounted, 201);
    cancel(mounted);
  }

  Answer put_manifest(const std::string& bytes, std::string_view type, const std::string& reference,
                      std::vector<Header> headers = {}) {
    headers.push_back({"Content-Type", std::string(type)});
    Answer answer = send("PUT", "manifests/" + reference, &bytes, std::move(headers));
    if (answer && answer->status == 201) {
      manifests_.insert(manifests_.begin(), digest_of(bytes));  // lists before their images
    }
    return answer;
  }

  bool images() {
    namespace type = manifest::media_type;
    image_ = fmt::format(
        R"({{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}",)"
        R"("size":{}}},"layers":[]}})",
        type::oci_manifest, type::oci_config, digest_of(config_), config_.size());
    const Answer image = put_manifest(image_, type::oci_manifest, digest_of(image_));
    if (!note("OCI image", image, 201)) {
      block(image, "OCI image");
      return false;
    }
    const auto list = [&](std::string_view list_type) {
      return fmt::format(
          R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{}","digest":"{}",)"
          R"("size":{},"platform":{{"architecture":"amd64","os":"linux"}}}}]}})",
          list_type, type::oci_manifest, digest_of(image_), image_.size());
    };
    const std::string docker = list(type::docker_list);
    const Answer docker_answer = put_manifest(docker, type::docker_list, digest_of(docker));
    index_ = list(type::oci_index);
    const Answer index = put_manifest(index_, type::oci_index, probe_tag);
    const bool has_index = note("OCI index", index, 201, "", "build with --format docker");
    const bool has_docker = note("Docker manifest list", docker_answer, 201);
    if (!has_index && !has_docker) {
      block(index, "OCI index");
    }
    return has_index;
  }

  void tags() {
    const Answer list = send("GET", "tags/list");
    note("tag list", list, 200);
    const Answer several =
        put_manifest(index_, manifest::media_type::oci_index,
                     fmt::format("{0}?tag={1}&tag={1}-2", digest_of(index_), probe_tag));
    const bool counted = several && several->status == 201 && several->header("OCI-Tag");
    diagnosis_.findings.push_back({.name = "several tags at once",
                                   .verdict = counted ? Verdict::ok : Verdict::no,
                                   .detail = counted ? "" : "each tag takes a request"});
    const Answer conditional =
        put_manifest(index_, manifest::media_type::oci_index, probe_tag, {{"If-None-Match", "*"}});
    const bool honoured = conditional && conditional->status == 412;
    diagnosis_.findings.push_back(
        {.name = "conditional PUT",
         .verdict = honoured ? Verdict::ok : Verdict::no,
         .detail = honoured ? "" : "publishers of one list at the same time cannot be told apart"});
  }

  void referrers() {
    note("referrers API", send("GET", "referrers/" + digest_of(image_)), 200, "",
         "referrers are kept under tags instead, which works everywhere");
  }

  void removal() {
    const Answer tag = send("DELETE", std::string("manifests/") + probe_tag);
    static_cast<void>(send("DELETE", fmt::format("manifests/{}-2", probe_tag)));
    note("removal of tags", tag, 202, "",
         "`fnimage rm` puts a placeholder under the tag and deletes that, which works where "
         "manifests can be removed");
    remove_all("manifests/", manifests_, "removal of manifests");
    remove_all("blobs/", blobs_, "removal of blobs");
    if (!left_.empty()) {
      diagnosis_.findings.push_back(
          {.name = "cleaned up",
           .verdict = Verdict::no,
           .detail = fmt::format("{} small objects stay in {}", left_.size(), name_),
           .advice = "remove that repository on the registry's side"});
    }
  }

  void remove_all(const std::string& kind, const std::vector<std::string>& digests,
                  const std::string& name) {
    std::optional<Answer> told;
    std::vector<std::string> gone;
    for (const std::string& digest : digests) {
      if (std::find(gone.begin(), gone.end(), digest) != gone.end()) {
        continue;  // stored under several names, removed once
      }
      gone.push_back(digest);
      Answer answer = send("DELETE", kind + digest);
      const bool removed = answer && (answer->status == 202 || answer->status == 404);
      if (!removed) {
        left_.push_back(digest);
      }
      if (!told || !removed) {
        told = std::move(answer);
      }
    }
    if (told) {
      note(
          name, *told, 202, "",
          "the registry's settings forbid it; docker-registry: storage: {delete: {enabled: true}}");
    }
  }

  Session& session_;
  std::string name_;
  Diagnosis& diagnosis_;
  std::string unique_;
  std::string config_;
  std::string image_;
  std::string index_;
  std::vector<std::string> blobs_;
  std::vector<std::string> manifests_;
  std::vector<std::string> left_;  // what could not be removed
};

}  // namespace

void examine_repository(Session& session, const std::string& repository, Diagnosis& diagnosis) {
  RepositoryProbe(session, repository, diagnosis).run();
}

}  // namespace fnimage::registry
