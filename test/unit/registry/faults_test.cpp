// The faults of the reliability reference: every one ends in success with every byte right, or in
// an error with the tag where it stood. Most rows are met by each request of a whole push and pull
// in the matrix below; the others have tests beside what they are about:
//   F1  Ping.UnreachableIsRetriedThenToldWithContext, Transport.NobodyThere…, UnknownHost…
//   F2  Matrix (503, 500 page), Retry.StatusTable     F3  Matrix, Upload.LostSessionsAreReplaced
//   F4  Matrix, Retries.ManifestPutWithRetryAfter…, UnreasonableRetryAfter…, ClientRules.C30…
//   F5  HostGate.*                  F6  Matrix (request cut), UploadLadder.BreakIsFollowed…
//   F7  UploadLadder.LostSessions…  F8  Matrix (session lost)   F9  Matrix (416), Faults.F9…
//   F10 UploadLadder.StoredBytes…, RangesThatCannotBeTrusted…   F11 UploadLadder.ChunksGoInOrder…
//   F12 Url.Resolves…, Canary.*, Faults.F12…      F13 UploadLadder.SizeLimit…, RefusedPatch…
//   F14 Matrix (answer lost), Upload.LostAnswer…  F15 Matrix (answer lost)
//   F16 Transport.DeadKeptAliveConnection…        F17 Stalls.*, Transport.Stalled…, Dripping…
//   F18 Matrix (answer cut), Downloads.Resets…    F19 Downloads.Servers…, Ambiguous…
//   F20 Matrix (flipped byte), Downloads.AByteThatWasFlipped…, BytesThatAreAlwaysWrong…
//   F21 Matrix (401), UploadLadder.TokenThatExpires…            F22 Auth.EndlessChallengesEnd
//   F23 Auth.MissingScope…, Matrix (refused)      F24 Redirects.*, Matrix (redirect loop)
//   F25 AtomicFile.FullDisk…, OciLayoutTest.TornBlob…, test/cli/failures_test.py FullDisk
//   F26 OciLayoutTest.CreationThatWasInterrupted…, test/cli/stores_test.py (killed build)
//   F27 InterruptedPush.Killed…     F28 AtomicFile.*, SyncDirectory.*   F29 ListRace.*
//   F30 OciLayoutTest.ThreadsAndProcessesLoseNoTag  F31 Faults.F31…   F32 BestMatch.*,
//   ValidateIndex.* F33 Retry.RetryAfterInSecondsAndAsDate, Tokens.BothNamesAndLifetime F34
//   ErrorAnswers.*, Matrix (no space)  F35 Faults.F35…   F36 InterruptedPush.AskedToStop…
#include <atomic>
#include <map>
#include <mutex>
#include <ostream>
#include <thread>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/memory_registry.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "sample_image.hpp"
#include "scripted_repository.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::MemoryRegistry;
using test::Reply;
using test::SeenRequest;
using test::unwrap;
using ::testing::HasSubstr;

// --- every request of a push and a pull, with every fault ---

/// What goes wrong with one request.
struct Trouble {
  std::string name;
  bool passes = false;  ///< it must be survived when it happens once
  /// The answer instead of the registry's, which then does nothing.
  std::optional<Reply> instead{};
  /// What becomes of the registry's answer.
  std::function<void(Reply&)> spoil{};
  std::optional<std::size_t> cut_request{};    ///< the connection ends after so much of the body
  std::optional<std::size_t> stall_request{};  ///< the rest of the body is not read for good
  std::function<bool(const SeenRequest&)> fits = [](const SeenRequest&) { return true; };
  bool answer_lost = false;                ///< the registry may have done it although nobody knows
  std::chrono::seconds stall_timeout{10};  ///< the client's, as the next
  int attempts = 4;
};

void PrintTo(const Trouble& trouble, std::ostream* out) {
  *out << trouble.name;
}

bool in_session(const SeenRequest& request) {
  return request.target.starts_with("/up/");
}

bool has_answer_body(const SeenRequest& request) {
  return request.method == "GET";
}

void flip(Reply& reply) {
  if (!reply.body.empty()) {
    char& byte = reply.body[reply.body.size() / 2];
    byte = static_cast<char>(byte ^ 1);
  }
}

std::vector<Trouble> status_troubles() {
  const std::string page = "<html><body>Something went wrong</body></html>";
  return {
      {.name = "Unavailable", .passes = true, .instead = Reply{.status = 503}},
      {.name = "TooMany",
       .passes = true,
       .instead = Reply{.status = 429, .headers = {{"Retry-After", "0"}}}},
      {.name = "ErrorPage",
       .passes = true,
       .instead = Reply{.status = 500, .headers = {{"Content-Type", "text/html"}}, .body = page}},
      {.name = "Challenge",
       .passes = true,
       .instead = Reply{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}}},
      {.name = "SessionLost",
       .passes = true,
       .instead = Reply{.status = 404, .body = R"({"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]})"},
       .fits = in_session},
      {.name = "RangeRefused", .passes = true, .instead = Reply{.status = 416}, .fits = in_session},
      {.name = "TooManyForTooLong",
       .instead = Reply{.status = 429, .headers = {{"Retry-After", "86400"}}}},
      {.name = "Refused",
       .instead = Reply{.status = 403, .body = R"({"errors":[{"code":"DENIED"}]})"}},
      {.name = "NoSpace", .instead = Reply{.status = 507, .body = page}},
      {.name = "NotThere", .instead = Reply{.status = 404}},
      {.name = "RedirectLoop",
       .instead = Reply{.status = 307, .headers = {{"Location", "/v2/around"}}}},
      {.name = "Garbage", .instead = Reply{.raw = "\x16\x03nonsense\r\n\r\n"}},
  };
}

std::vector<Trouble> connection_troubles() {
  using How = Reply::Fault;
  return {
      {.name = "ResetBeforeTheAnswer", .passes = true, .instead = Reply{.fault = How::reset}},
      {.name = "ClosedBeforeTheAnswer", .passes = true, .instead = Reply{.fault = How::drop}},
      {.name = "AnswerLost",
       .passes = true,
       .spoil = [](Reply& reply) { reply.fault = How::reset; },
       .answer_lost = true},
      {.name = "AnswerReplacedByProxy",
       .passes = true,
       .spoil = [](Reply& reply) { reply = {.status = 504}; },
       .answer_lost = true},
      {.name = "ClosedAfterTheAnswer",
       .passes = true,
       .spoil = [](Reply& reply) { reply.fault = How::close_after; }},
      {.name = "AnswerCut",
       .passes = true,
       .spoil =
           [](Reply& reply) {
             reply.fault = How::cut;
             reply.cut_after = reply.body.size() / 2;
           },
       .fits = has_answer_body},
      {.name = "FlippedByte", .passes = true, .spoil = flip, .fits = has_answer_body},
      {.name = "RequestCutAtOnce",
       .passes = true,
       .cut_request = 0,
       .fits = [](const SeenRequest& request) { return request.method == "PUT"; }},
      {.name = "RequestCut",
       .passes = true,
       .cut_request = 70'000,
       .fits =
           [](const SeenRequest& request) {
             return request.header("Content-Length").value_or("").size() > 5;
           }},
  };
}

/// Nothing is refused or broken: the registry just does not go on (F17).
std::vector<Trouble> stall_troubles() {
  using How = Reply::Fault;
  constexpr std::chrono::seconds patience{1};
  return {
      {.name = "Stalled",
       .passes = true,
       .spoil = [](Reply& reply) { reply.fault = How::stall; },
       .fits = has_answer_body,
       .stall_timeout = patience,
       .attempts = 2},
      {.name = "StalledInTheHead",
       .passes = true,
       .spoil = [](Reply& reply) { reply.fault = How::stall_head; },
       .answer_lost = true,
       .stall_timeout = patience,
       .attempts = 2},
      {.name = "RequestStalled",
       .passes = true,
       .stall_request = 100,
       .fits = [](const SeenRequest& request) { return request.body.size() > 100; },
       .stall_timeout = patience,
       .attempts = 2},
  };
}

/// What a request is about, whatever upload session it belongs to.
std::string subject_of(const SeenRequest& request) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  std::string subject = request.method + " " + (in_session(request) ? "/up" : path);
  for (const std::string name : {"digest=", "mount="}) {
    const std::size_t at = request.target.find(name);
    if (at != std::string::npos) {
      subject += " " + request.target.substr(at, request.target.find('&', at) - at);
    }
  }
  return subject;
}

/// Two platforms with a layer for both, one of their own that is large enough to be resumed, and
/// their configs.
manifest::Document put_sample(ImageStore& store, const std::string& tag) {
  manifest::Index index;
  for (const std::string platform : {"linux/amd64", "linux/ppc64le"}) {
    manifest::ImageConfig config;
    config.platform = unwrap(manifest::Platform::parse(platform));
    config.diff_ids = {manifest::Digest::of("tar"), manifest::Digest::of(platform)};
    manifest::ImageManifest image{
        .config = test::put_bytes(store, emit(config), manifest::media_type::oci_config),
        .layers = {test::put_bytes(store, "for both", manifest::media_type::oci_layer_gzip),
                   test::put_bytes(store, random_bytes(150'000 + platform.size()),
                                   manifest::media_type::oci_layer_gzip)}};
    const auto document = manifest::Document::of(image);
    unwrap(store.put_manifest(document, std::nullopt));
    auto descriptor = document.descriptor();
    descriptor.platform = config.platform;
    index.put(descriptor);
  }
  auto document = manifest::Document::of(index);
  unwrap(store.put_manifest(document, tag));
  return document;
}

/// A registry in which one thing goes wrong, once or always.
class TroubledRegistry {
 public:
  explicit TroubledRegistry(std::chrono::seconds stall_timeout = std::chrono::seconds(10),
                            int attempts = 4)
      : stall_timeout_(stall_timeout),
        attempts_(attempts),
        registry_({.instead = [this](const SeenRequest& request) -> std::optional<Reply> {
                     const Trouble* trouble = strike(request, &Trouble::instead);
                     return trouble != nullptr ? trouble->instead : std::nullopt;
                   },
                   .spoil =
                       [this](const SeenRequest& request, Reply& reply) {
                         if (const Trouble* trouble = strike(request, &Trouble::spoil)) {
                           trouble->spoil(reply);
                         }
                       }}) {
    registry_.server().cut_bodies([this](const SeenRequest& request) {
      const Trouble* trouble = strike(request, &Trouble::cut_request);
      return trouble != nullptr ? trouble->cut_request : std::nullopt;
    });
    registry_.server().stall_bodies([this](const SeenRequest& request) {
      const Trouble* trouble = strike(request, &Trouble::stall_request);
      return trouble != nullptr ? trouble->stall_request : std::nullopt;
    });
  }

  /// Also while the server still looks at a request that its client has given up.
  void arm(const Trouble* trouble, std::string subject, bool always) {
    const std::lock_guard lock(mutex_);
    trouble_ = trouble;
    subject_ = std::move(subject);
    left_ = always ? 1'000'000 : 1;
  }
  void calm() { arm(nullptr, "", false); }

  [[nodiscard]] std::unique_ptr<TestClient> client() const {
    return std::make_unique<TestClient>(
        ClientOptions{.plain_http = true, .retry = {.attempts = attempts_}},
        fixed_credentials(registry_.address(), {.username = "ann", .password = "secret"}),
        std::stop_token(), stall_timeout_);
  }
  [[nodiscard]] std::string name() const { return registry_.address() + "/a"; }
  [[nodiscard]] std::string tag() const { return registry_.tag("a", "v1"); }
  [[nodiscard]] std::vector<SeenRequest> requests() { return registry_.server().requests(); }

  /// Lets the tag stand for something else.
  manifest::Document put_other() const {
    const auto uploader = client();
    auto document = manifest::Document::of(manifest::Index());
    EXPECT_THAT(uploader->repository(name())->put_manifest(document, "v1"), is_ok());
    return document;
  }
  [[nodiscard]] Result<TransferResult> push(ImageStore& from) const {
    const auto uploader = client();
    const auto store = uploader->repository(name());
    return transfer(from, "v1", *store, {.tags = {"v1"}}, null_diagnostics());
  }
  [[nodiscard]] Result<TransferResult> pull(ImageStore& to) const {
    const auto downloader = client();
    const auto store = downloader->repository(name());
    return transfer(*store, "v1", to, {.tags = {"v1"}}, null_diagnostics());
  }

 private:
  /// The trouble of this kind that befalls the request, or null.
  template <typename Kind>
  const Trouble* strike(const SeenRequest& request, Kind Trouble::*kind) {
    const std::lock_guard lock(mutex_);
    const bool strikes =
        trouble_ != nullptr && (trouble_->*kind) && subject_of(request) == subject_ && left_-- > 0;
    return strikes ? trouble_ : nullptr;
  }

  const std::chrono::seconds stall_timeout_;
  const int attempts_;
  std::mutex mutex_;
  const Trouble* trouble_ = nullptr;
  std::string subject_;
  int left_ = 0;
  MemoryRegistry registry_;  // after what its threads read
};

class Rehearsal : public ::testing::Test {
 protected:
  Rehearsal() : list_(put_sample(*source_, "v1")) {}

  /// The tag stands for the whole new image, as its bytes say.
  void expect_whole(const TroubledRegistry& registry) const {
    const auto copy = make_memory_store("mem");
    const auto pulled = registry.pull(*copy);
    ASSERT_THAT(pulled, is_ok());
    EXPECT_EQ(pulled->root.digest, list_.digest());
  }

  /// The first request of each subject in a run without trouble.
  static std::map<std::string, SeenRequest> subjects(const std::vector<SeenRequest>& requests,
                                                     std::size_t from) {
    std::map<std::string, SeenRequest> first;
    for (std::size_t i = from; i < requests.size(); ++i) {
      first.emplace(subject_of(requests[i]), requests[i]);
    }
    return first;
  }

  void push_once(const Trouble& trouble, const std::string& subject, bool always) {
    SCOPED_TRACE(subject + (always ? " always" : " once"));
    TroubledRegistry registry(trouble.stall_timeout, trouble.attempts);
    const manifest::Document old = registry.put_other();
    registry.arm(&trouble, subject, always);
    const auto pushed = registry.push(*source_);
    registry.calm();
    if (pushed) {
      EXPECT_EQ(registry.tag(), list_.digest().str());
    } else {
      EXPECT_FALSE(trouble.passes && !always) << pushed.error().describe();
      EXPECT_NE(pushed.error().message(), "");
      EXPECT_EQ(registry.tag(), old.digest().str());
    }
    if (registry.tag() == list_.digest().str()) {
      expect_whole(registry);
    }
    if (!pushed) {  // then the next run ends well
      ASSERT_THAT(registry.push(*source_), is_ok());
      expect_whole(registry);
    }
  }

  void pull_once(TroubledRegistry& registry, const Trouble& trouble, const std::string& subject,
                 bool always) {
    SCOPED_TRACE(subject + (always ? " always" : " once"));
    const test::TempDir directory;
    const auto target = unwrap(OciLayout::open(directory / "layout", OciLayout::Mode::create));
    const manifest::Document old = test::put_list(*target, "v1");
    registry.arm(&trouble, subject, always);
    const auto pulled = registry.pull(*target);
    registry.calm();
    const auto tagged = unwrap(target->resolve("v1"));
    ASSERT_TRUE(tagged.has_value());
    if (!pulled) {
      EXPECT_FALSE(trouble.passes && !always) << pulled.error().describe();
      EXPECT_EQ(tagged->digest, old.digest());
      ASSERT_THAT(registry.pull(*target), is_ok());
    }
    const auto copy = make_memory_store("mem");
    const auto copied = transfer(*target, "v1", *copy, {.tags = {"v1"}}, null_diagnostics());
    ASSERT_THAT(copied, is_ok());
    EXPECT_EQ(copied->root.digest, list_.digest());
  }

  std::unique_ptr<ImageStore> source_ = make_memory_store("mem");
  manifest::Document list_;
};

class Matrix : public Rehearsal, public ::testing::WithParamInterface<Trouble> {};

TEST_P(Matrix, PushIsWholeOrTheTagStaysWhereItStood) {
  TroubledRegistry clean;
  clean.put_other();
  const std::size_t asked = clean.requests().size();
  ASSERT_THAT(clean.push(*source_), is_ok());
  const auto all = subjects(clean.requests(), asked);
  ASSERT_GE(all.size(), 14U);  // five blobs of two requests, two images, the list, its tag
  for (const auto& [subject, request] : all) {
    if (GetParam().fits(request)) {
      push_once(GetParam(), subject, false);
      push_once(GetParam(), subject, true);
    }
  }
}

TEST_P(Matrix, PullIsWholeOrTheTagStaysWhereItStood) {
  TroubledRegistry registry;
  ASSERT_THAT(registry.push(*source_), is_ok());
  const std::size_t asked = registry.requests().size();
  const auto target = make_memory_store("mem");
  ASSERT_THAT(registry.pull(*target), is_ok());
  const auto all = subjects(registry.requests(), asked);
  ASSERT_GE(all.size(), 8U);  // the list, two images, five blobs
  for (const auto& [subject, request] : all) {
    if (GetParam().fits(request)) {
      pull_once(registry, GetParam(), subject, false);
      pull_once(registry, GetParam(), subject, true);
    }
  }
}

/// Straight from one registry to another: what is sent on is read with the same care.
TEST_P(Matrix, CopyIsWholeOrTheTagStaysWhereItStood) {
  TroubledRegistry from;
  ASSERT_THAT(from.push(*source_), is_ok());
  const std::size_t asked = from.requests().size();
  ASSERT_THAT(from.pull(*make_memory_store("mem")), is_ok());
  for (const auto& [subject, request] : subjects(from.requests(), asked)) {
    if (!GetParam().fits(request)) {
      continue;
    }
    SCOPED_TRACE(subject);
    const TroubledRegistry to;
    const manifest::Document old = to.put_other();
    const auto uploader = to.client();
    const auto target = uploader->repository(to.name());
    from.arm(&GetParam(), subject, false);
    const auto copied = from.pull(*target);
    from.calm();
    if (copied) {
      EXPECT_EQ(to.tag(), list_.digest().str());
      expect_whole(to);
    } else {
      EXPECT_FALSE(GetParam().passes) << copied.error().describe();
      EXPECT_EQ(to.tag(), old.digest().str());
    }
  }
}

std::string name_of(const ::testing::TestParamInfo<Trouble>& trouble) {
  return trouble.param.name;
}

INSTANTIATE_TEST_SUITE_P(Answers, Matrix, ::testing::ValuesIn(status_troubles()), name_of);
INSTANTIATE_TEST_SUITE_P(Connections, Matrix, ::testing::ValuesIn(connection_troubles()), name_of);

// --- the same with registries that do not go on ---

/// What waits costs no time beside others that wait.
void run_side_by_side(const std::vector<std::function<void()>>& jobs) {
  constexpr std::size_t workers = 32;
  std::atomic<std::size_t> next = 0;
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < workers; ++i) {
    threads.emplace_back([&] {
      for (std::size_t job = next++; job < jobs.size(); job = next++) {
        jobs[job]();
      }
    });
  }
}

/// Of all kinds at once, those that last longest first.
class Stalls : public Rehearsal {
 protected:
  using Job = std::function<void(const Trouble&, const std::string& subject, bool always)>;
  static void run_all(const std::map<std::string, SeenRequest>& all, const Job& job) {
    static const std::vector<Trouble> kinds = stall_troubles();
    std::vector<std::function<void()>> jobs;
    for (const bool always : {true, false}) {
      for (const Trouble& kind : kinds) {
        for (const auto& [subject, request] : all) {
          if (kind.fits(request)) {
            jobs.emplace_back([&, always, what = subject] { job(kind, what, always); });
          }
        }
      }
    }
    ASSERT_GE(jobs.size(), 20U);
    run_side_by_side(jobs);
  }
};

TEST_F(Stalls, PushIsWholeOrTheTagStaysWhereItStood) {
  TroubledRegistry clean;
  clean.put_other();
  const std::size_t asked = clean.requests().size();
  ASSERT_THAT(clean.push(*source_), is_ok());
  run_all(subjects(clean.requests(), asked),
          [this](const Trouble& kind, const std::string& subject, bool always) {
            push_once(kind, subject, always);
          });
}

TEST_F(Stalls, PullIsWholeOrTheTagStaysWhereItStood) {
  TroubledRegistry clean;
  ASSERT_THAT(clean.push(*source_), is_ok());
  const std::size_t asked = clean.requests().size();
  ASSERT_THAT(clean.pull(*make_memory_store("mem")), is_ok());
  run_all(subjects(clean.requests(), asked),
          [this](const Trouble& kind, const std::string& subject, bool always) {
            TroubledRegistry registry(kind.stall_timeout, kind.attempts);
            ASSERT_THAT(registry.push(*source_), is_ok());
            pull_once(registry, kind, subject, always);
          });
}

/// More than the connection itself takes: the sender gets stuck. The registry tells of nothing that
/// it has kept, so the upload is ended and begun again.
TEST(Faults, F17LargeBodyThatIsNotReadOnIsSentAgain) {
  MemoryRegistry registry;
  std::atomic<int> stalls = 1;
  registry.server().stall_bodies([&](const SeenRequest& request) -> std::optional<std::size_t> {
    const bool large = request.header("Content-Length").value_or("").size() > 5;
    return large && stalls-- > 0 ? std::optional<std::size_t>(3'000'000) : std::nullopt;
  });
  TestClient client({.plain_http = true}, {}, {}, std::chrono::seconds(1));
  const auto store = client.repository(registry.address() + "/a");
  const std::string bytes = random_bytes(24'000'000);
  EXPECT_THAT(store->put_blob(blob_of(bytes), *memory_content(bytes), {}), is_ok());
  EXPECT_TRUE(registry.blob(blob_of(bytes).digest.str()) == bytes);
  EXPECT_LT(stalls, 1);
  EXPECT_EQ(registry.open_uploads(), 0U);
}

// --- single rows ---

TEST(Faults, F9RangesRefusedForEverDoNotGoRoundForEver) {
  MemoryRegistry registry({.instead = [](const SeenRequest& request) -> std::optional<Reply> {
    return request.method == "PATCH" ? std::optional<Reply>({.status = 416}) : std::nullopt;
  }});
  registry.cut_next({50'000, 50'000});
  TestClient client({.plain_http = true});
  const std::string bytes = random_bytes(300'000);
  const auto store = client.repository(registry.address() + "/a");
  EXPECT_THAT(store->put_blob(blob_of(bytes), *memory_content(bytes), {}), is_ok());
  EXPECT_TRUE(registry.blob(blob_of(bytes).digest.str()) == bytes);
  EXPECT_LE(registry.count("P"), 15U);  // POST, PUT, PATCH
}

TEST(Faults, F12HttpsNeverLeadsToHttp) {
  for (const std::string method : {"POST", "GET"}) {
    const auto transport =
        std::make_shared<PlayedTransport>([&](const HttpRequest& request) -> Result<HttpResponse> {
          if (request.method != method) {
            return HttpResponse{.status = 404};
          }
          return HttpResponse{.status = method == "POST" ? 202 : 307,
                              .headers = {{"Location", "http://r.example/up?state=1"}}};
        });
    RecordingDiagnostics diagnostics;
    Client client(transport, {}, {}, diagnostics);
    const auto store = unwrap(client.repository(unwrap(manifest::Reference::parse("r.example/a"))));
    const std::string bytes = "some bytes";
    if (method == "POST") {
      EXPECT_THAT(store->put_blob(blob_of(bytes), *memory_content(bytes), {}),
                  fails_with(ErrorCode::protocol, HasSubstr("https to http")));
    } else {
      EXPECT_THAT(store->tags(), fails_with(ErrorCode::protocol, HasSubstr("https to http")));
    }
    for (const HttpRequest& request : transport->asked()) {
      EXPECT_TRUE(request.url.starts_with("https://")) << request.url;
    }
  }
}

TEST(Faults, F12InsecureLetsAnUploadGoFromHttpsToHttp) {
  for (const bool insecure : {true, false}) {
    const auto transport =
        std::make_shared<PlayedTransport>([](const HttpRequest& request) -> Result<HttpResponse> {
          if (request.method == "POST") {
            return HttpResponse{.status = 202,
                                .headers = {{"Location", "http://r.example/up?state=1"}}};
          }
          if (request.method == "PUT") {
            return HttpResponse{.status = 201};
          }
          return HttpResponse{.status = request.url.ends_with("/v2/") ? 200 : 404};
        });
    RecordingDiagnostics diagnostics;
    Client client(transport, {}, {.insecure = insecure}, diagnostics);
    const auto store = unwrap(client.repository(unwrap(manifest::Reference::parse("r.example/a"))));
    const std::string bytes = "some bytes";
    EXPECT_EQ(store->put_blob(blob_of(bytes), *memory_content(bytes), {}).has_value(), insecure);
    EXPECT_EQ(transport->asked().back().url.starts_with("http://r.example/up?state=1&digest="),
              insecure);
  }
}

TEST(Faults, F22RightThatIsNeverGivenIsNamed) {
  const auto transport =
      std::make_shared<PlayedTransport>([](const HttpRequest& request) -> Result<HttpResponse> {
        if (request.url.find("/token") != std::string::npos) {
          return HttpResponse{.status = 200, .body = R"({"token":"t"})"};
        }
        return HttpResponse{.status = 401,
                            .headers = {{"WWW-Authenticate",
                                         "Bearer realm=\"https://r.example/token\",service="
                                         "\"s\",scope=\"repository:a:pull\""}}};
      });
  RecordingDiagnostics diagnostics;
  Client client(transport, {}, {}, diagnostics);
  const auto store = unwrap(client.repository(unwrap(manifest::Reference::parse("r.example/a"))));
  EXPECT_THAT(store->tags(),
              fails_with(ErrorCode::unauthorized, HasSubstr("denied: scope repository:a:pull")));
}

/// A registry at port 80 only.
Result<HttpResponse> answers_by_http(const HttpRequest& request) {
  if (request.url.starts_with("https:")) {
    return fail(Error(ErrorCode::unavailable, "cannot connect to r.example:443: refused")
                    .with_hint("check that the server runs")
                    .retryable());
  }
  return HttpResponse{.status = 200, .body = R"({"tags":["t"]})"};
}

TEST(Faults, NobodyAtPort443MayMeanPort80) {
  const auto transport = std::make_shared<PlayedTransport>(answers_by_http);
  RecordingDiagnostics diagnostics;
  ClientOptions options{.retry = {.attempts = 2}, .clock = std::make_shared<ManualClock>()};
  {
    Client client(transport, {}, options, diagnostics);
    const auto refused = client.ping("r.example");
    ASSERT_THAT(refused, fails_with(ErrorCode::unavailable));
    EXPECT_THAT(refused.error().hint(), HasSubstr("server runs"));
    EXPECT_THAT(refused.error().hint(), HasSubstr("--plain-http or --insecure"));
    EXPECT_EQ(transport->asked().size(), 2U);
  }
  options.insecure = true;
  Client client(transport, {}, options, diagnostics);
  const auto store = unwrap(client.repository(unwrap(manifest::Reference::parse("r.example/a"))));
  EXPECT_TRUE(store->tags().has_value());
  EXPECT_EQ(transport->asked().back().url, "http://r.example/v2/a/tags/list?n=1000");
}

TEST(Faults, F31ATagThatMovesMeanwhileGivesOneImageOrTheOther) {
  const auto first = make_memory_store("mem");
  const auto second = make_memory_store("mem");
  const manifest::Document one = test::put_list(*first, "v1");
  const manifest::Document two = put_sample(*second, "v1");
  std::atomic<int> asked = 0;
  std::atomic<bool> moves = false;
  MemoryRegistry registry({.spoil = [&](const SeenRequest& request, Reply& reply) {
    if (moves && request.target.ends_with("/manifests/v1")) {
      const manifest::Document& document = asked++ % 2 == 0 ? one : two;
      reply = reply_with(document);
      reply.headers.emplace_back("Docker-Content-Digest", document.digest().str());
      reply.headers.emplace_back("Content-Length", std::to_string(document.bytes().size()));
    }
  }});
  TestClient client({.plain_http = true});
  const auto store = client.repository(registry.address() + "/a");
  for (ImageStore* from : {first.get(), second.get()}) {
    unwrap(transfer(*from, "v1", *store, {.tags = {"v1"}}, null_diagnostics()));
  }
  moves = true;
  for (int i = 0; i < 2; ++i) {
    const auto target = make_memory_store("mem");
    const auto pulled = transfer(*store, "v1", *target, {.tags = {"v1"}}, null_diagnostics());
    ASSERT_THAT(pulled, is_ok());
    const auto copy = make_memory_store("mem");
    const auto copied = transfer(*target, "v1", *copy, {.tags = {"v1"}}, null_diagnostics());
    ASSERT_THAT(copied, is_ok());
    EXPECT_EQ(copied->root.digest, pulled->root.digest);
  }
}

TEST(Faults, F35NoCookieIsKept) {
  MemoryRegistry registry({.spoil = [](const SeenRequest&, Reply& reply) {
    reply.headers.emplace_back("Set-Cookie", "sid=1; Path=/");
  }});
  TestClient client({.plain_http = true});
  const auto store = client.repository(registry.address() + "/a");
  test::put_list(*store, "v1");
  EXPECT_THAT(store->get_manifest("v1"), is_ok());
  for (const SeenRequest& request : registry.server().requests()) {
    EXPECT_EQ(request.header("Cookie"), std::nullopt) << request.line();
  }
}

}  // namespace
}  // namespace fnimage::registry
