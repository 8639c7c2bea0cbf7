// Publishers of one list: every interleaving of their requests, with deaths, over a model of a
// registry that runs the real function; then the rules for what stands and what is left over.
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include <fnimage/registry/client.hpp>
#include <fnimage/registry/dry_run.hpp>
#include <fnimage/registry/list_publisher.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/scripted_server.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::registry {
namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::Format;
using manifest::Index;
using manifest::Platform;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* tag = "latest";

Descriptor entry_of(const std::string& platform, const std::string& content = "1",
                    std::string_view type = manifest::media_type::oci_manifest) {
  const std::string text = platform + content;
  return {.media_type = std::string(type),
          .digest = Digest::of(text),
          .size = text.size(),
          .platform = unwrap(Platform::parse(platform))};
}

std::vector<std::string> platforms(const Document& list) {
  std::vector<std::string> names;
  for (const Descriptor& entry : unwrap(list.index()).manifests) {
    names.push_back(entry.platform ? entry.platform->str() : "none");
  }
  return names;
}

// ---------------------------------------------------------------- the model

/// What a registry holds: tags only, since manifests are never taken away.
using Tags = std::map<std::string, std::shared_ptr<const Document>>;

struct Request {
  enum class Kind { get, put, put_if, tags };
  Kind kind = Kind::get;
  std::string tag{};
  std::shared_ptr<const Document> document{};
  std::optional<Digest> expected{};
};

struct Answer {
  std::shared_ptr<const Document> document{};
  bool moved = true;
  std::vector<std::string> tags{};

  [[nodiscard]] std::string text() const {
    std::string result = document ? document->digest().str() : "-";
    result += moved ? "m" : "n";
    for (const std::string& name : tags) {
      result += "," + name;
    }
    return result;
  }
};

struct Behaviour {
  bool honours_conditions = false;
  bool refuses_conditions = false;  ///< a peer that takes them for something else
  bool lists_tags = true;           ///< false: the tag list is stale for ever
};

Answer perform(const Request& request, Tags& tags, const Behaviour& behaviour) {
  Answer answer;
  const auto found = tags.find(request.tag);
  switch (request.kind) {
    case Request::Kind::get:
      if (found != tags.end()) {
        answer.document = found->second;
      }
      break;
    case Request::Kind::put_if: {
      const bool holds = request.expected
                             ? found != tags.end() && found->second->digest() == *request.expected
                             : found == tags.end();
      answer.moved = (holds || !behaviour.honours_conditions) && !behaviour.refuses_conditions;
      if (answer.moved) {
        tags.insert_or_assign(request.tag, request.document);
      }
      break;
    }
    case Request::Kind::put:
      tags.insert_or_assign(request.tag, request.document);
      break;
    case Request::Kind::tags:
      for (const auto& [name, document] : tags) {
        if (behaviour.lists_tags) {
          answer.tags.push_back(name);
        }
      }
      break;
  }
  return answer;
}

/// A store whose first requests are answered from a history; the one after ends the publisher with
/// `cancelled` and is remembered. So the real function becomes a machine that makes one step.
class SteppedStore final : public ImageStore {
 public:
  explicit SteppedStore(const std::vector<Answer>& history) : history_(history) {}

  [[nodiscard]] std::string describe() const override { return "model"; }
  Result<std::optional<Descriptor>> resolve(const Selector& selector) override {
    FNIMAGE_TRY(const Answer answer, ask({.tag = std::get<std::string>(selector)}));
    return answer.document ? std::optional(answer.document->descriptor()) : std::nullopt;
  }
  Result<Document> get_manifest(const Selector& selector) override {
    FNIMAGE_TRY(const Answer answer, ask({.tag = std::get<std::string>(selector)}));
    if (!answer.document) {
      return fail(ErrorCode::not_found, "no such tag");
    }
    return *answer.document;
  }
  Result<void> put_manifest(const Document& document,
                            const std::optional<std::string>& name) override {
    FNIMAGE_CHECK(ask({.kind = Request::Kind::put,
                       .tag = name.value_or(""),
                       .document = std::make_shared<const Document>(document)}));
    return {};
  }
  Result<bool> put_manifest_if(const Document& document, const std::string& name,
                               const std::optional<Digest>& expected) override {
    FNIMAGE_TRY(const Answer answer, ask({.kind = Request::Kind::put_if,
                                          .tag = name,
                                          .document = std::make_shared<const Document>(document),
                                          .expected = expected}));
    return answer.moved;
  }
  Result<std::vector<std::string>> tags() override {
    FNIMAGE_TRY(Answer answer, ask({.kind = Request::Kind::tags}));
    return std::move(answer.tags);
  }
  Result<bool> has_blob(const Descriptor&) override { return true; }
  Result<ContentPtr> blob(const Descriptor&) override { return fail(ErrorCode::not_found, ""); }
  Result<BlobOutcome> put_blob(const Descriptor&, const Content&, const PutBlobOptions&) override {
    return BlobOutcome::existed;
  }
  Result<void> remove_tag(const std::string&) override { return {}; }
  Result<std::vector<Descriptor>> referrers(const Digest&) override {
    return std::vector<Descriptor>();
  }

  [[nodiscard]] const std::optional<Request>& pending() const { return pending_; }

 private:
  Result<Answer> ask(Request request) {
    if (next_ < history_.size()) {
      return history_[next_++];
    }
    if (!pending_) {
      pending_ = std::move(request);
    }
    return fail(ErrorCode::cancelled, "stop here");
  }

  const std::vector<Answer>& history_;
  std::size_t next_ = 0;
  std::optional<Request> pending_;
};

using Program = std::function<Result<void>(ImageStore&)>;

PublishListOptions stepwise(bool usual_platforms = false) {
  return {.usual_platforms = usual_platforms,
          .parallel = 1,
          .max_rounds = 12,
          .now = [] { return std::chrono::system_clock::time_point(std::chrono::hours(400'000)); },
          .sleep = [](std::chrono::milliseconds) {}};
}

Program publisher(ListChange change, const std::vector<std::string>& also = {}) {
  PublishListOptions options = stepwise();
  for (const std::string& platform : also) {
    options.also.push_back(unwrap(Platform::parse(platform)));
  }
  return [change = std::move(change), options](ImageStore& store) -> Result<void> {
    FNIMAGE_CHECK(publish_list_change(store, tag, change, options, null_diagnostics()));
    return {};
  };
}

/// What everybody else does: read, edit, write.
Program naive(Descriptor entry) {
  return [entry = std::move(entry)](ImageStore& store) -> Result<void> {
    Index index;
    if (const auto standing = store.get_manifest(tag)) {
      FNIMAGE_TRY(index, standing->index());
    } else if (standing.error().code() != ErrorCode::not_found) {
      return fail(standing.error());
    }
    index.put(entry);
    return store.put_manifest(Document::of(index), tag);
  };
}

/// A publisher after some answers. What it asks next depends on nothing else, so it is run once.
struct Node {
  std::size_t parent = 0;
  Answer answer{};                   ///< that led here
  std::optional<Request> pending{};  ///< nullopt = ended
  bool failed = false;
  std::map<std::string, std::size_t> next{};
};

/// The tree of all that one publisher can live through.
class Lives {
 public:
  explicit Lives(Program program) : program_(std::move(program)) { start({}); }

  [[nodiscard]] const Node& at(std::size_t node) const { return nodes_[node]; }

  std::size_t after(std::size_t node, Answer answer) {
    const auto [place, fresh] = nodes_[node].next.try_emplace(answer.text(), nodes_.size());
    const std::size_t result = place->second;
    if (fresh) {
      start({.parent = node, .answer = std::move(answer)});
    }
    return result;
  }

 private:
  /// Runs the publisher from its beginning up to the request that has no answer yet.
  void start(Node node) {
    std::vector<Answer> history;
    if (!nodes_.empty()) {
      history.push_back(node.answer);
      for (std::size_t i = node.parent; i != 0; i = nodes_[i].parent) {
        history.insert(history.begin(), nodes_[i].answer);
      }
    }
    SteppedStore store(history);
    const Result<void> result = program_(store);
    node.pending = store.pending();
    node.failed = !node.pending && !result;
    nodes_.push_back(std::move(node));
  }

  Program program_;
  std::vector<Node> nodes_;
};

constexpr int unbounded = -1;

struct Machine {
  std::size_t node = 0;
  bool died = false;  ///< and did not come back
};

struct State {
  Tags tags{};
  std::vector<Machine> machines{};
  int kills = 0;  ///< left for all
  /// How often a publisher may still be interrupted by another, and who ran last. Unbounded
  /// exploration has no use for either.
  int switches = unbounded;
  std::size_t last = 0;

  [[nodiscard]] std::string key() const {
    std::string text = std::to_string(kills) + "," + std::to_string(switches) + "," +
                       std::to_string(switches == unbounded ? 0 : last);
    for (const auto& [name, document] : tags) {
      text += name + "=" + document->digest().str().substr(0, 20) + ";";
    }
    for (const Machine& machine : machines) {
      text += (machine.died ? "|dead" : "|") + std::to_string(machine.node);
    }
    return text;
  }
};

/// Visits every state that any order of requests leads to.
class Explorer {
 public:
  Explorer(const std::vector<Program>& programs, Behaviour behaviour, bool reruns)
      : lives_(programs.begin(), programs.end()), behaviour_(behaviour), reruns_(reruns) {}

  void run(const Tags& tags, int kills, const std::function<void(const State&)>& at_end,
           int switches = unbounded) {
    std::vector<State> open;
    for (std::size_t first = 0; first < (switches == unbounded ? 1 : lives_.size()); ++first) {
      add(open, {.tags = tags,
                 .machines = std::vector<Machine>(lives_.size()),
                 .kills = kills,
                 .switches = switches,
                 .last = first});
    }
    while (!open.empty()) {
      const State state = std::move(open.back());
      open.pop_back();
      bool ended = true;
      for (std::size_t i = 0; i < lives_.size(); ++i) {
        if (!pending(state, i)) {
          continue;
        }
        ended = false;
        const bool interrupts =
            state.switches != unbounded && i != state.last && pending(state, state.last) != nullptr;
        if (interrupts && state.switches == 0) {
          continue;
        }
        add(open, step(state, i, interrupts));
        if (state.kills > 0) {
          add(open, kill(state, i, false));
          add(open, kill(state, i, true));
        }
      }
      if (ended) {
        at_end(state);
      }
    }
  }

  [[nodiscard]] bool failed(const State& state, std::size_t i) const {
    return lives_[i].at(state.machines[i].node).failed;
  }
  [[nodiscard]] std::size_t states() const { return seen_.size(); }

 private:
  void add(std::vector<State>& open, State state) {
    if (seen_.insert(state.key()).second) {
      open.push_back(std::move(state));
    }
  }

  [[nodiscard]] const Request* pending(const State& state, std::size_t i) const {
    const Node& node = lives_[i].at(state.machines[i].node);
    return state.machines[i].died || !node.pending ? nullptr : &*node.pending;
  }

  [[nodiscard]] State step(State state, std::size_t i, bool interrupts) {
    state.switches -= interrupts ? 1 : 0;
    state.last = i;
    Answer answer = perform(*pending(state, i), state.tags, behaviour_);
    state.machines[i].node = lives_[i].after(state.machines[i].node, std::move(answer));
    return state;
  }

  /// Killed before the request goes out, or after it was performed but before its answer came.
  [[nodiscard]] State kill(State state, std::size_t i, bool performed) const {
    if (performed) {
      perform(*pending(state, i), state.tags, behaviour_);
    }
    --state.kills;
    state.machines[i] = {.node = 0, .died = !reruns_};
    return state;
  }

  std::vector<Lives> lives_;
  Behaviour behaviour_;
  bool reruns_;
  std::unordered_set<std::string> seen_;
};

/// How many of the end states lack one of the platforms, or came with a failure.
struct Tally {
  std::size_t ends = 0;
  std::size_t lost = 0;
  std::size_t failed = 0;
};

/// @param expected what every list at the end has to hold, of those who did not die.
Tally explore(const std::vector<Program>& programs, const Tags& tags, Behaviour behaviour,
              int kills, bool reruns, const std::vector<std::string>& expected,
              const std::vector<std::string>& forbidden = {}, int switches = unbounded) {
  Tally tally;
  Explorer explorer(programs, behaviour, reruns);
  const auto count = [&](const State& state) {
    ++tally.ends;
    const auto list = state.tags.find(tag);
    const auto names =
        list == state.tags.end() ? std::vector<std::string>() : platforms(*list->second);
    bool lost = false;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const bool dead = i < state.machines.size() && state.machines[i].died;
      const bool there = std::find(names.begin(), names.end(), expected[i]) != names.end();
      lost = lost || (!there && !dead);
    }
    for (const std::string& name : forbidden) {
      lost = lost || std::find(names.begin(), names.end(), name) != names.end();
    }
    tally.lost += lost ? 1U : 0U;
    for (std::size_t i = 0; i < state.machines.size(); ++i) {
      tally.failed += explorer.failed(state, i) ? 1U : 0U;
    }
  };
  explorer.run(tags, kills, count, switches);
  std::cout << "  " << explorer.states() << " states, " << tally.ends << " ends\n";
  return tally;
}

Program adds(const std::string& platform, const std::vector<std::string>& also = {}) {
  return publisher({.add = {entry_of(platform)}}, also);
}

Tags with_list(const std::vector<std::string>& names) {
  Index index;
  for (const std::string& name : names) {
    index.put(entry_of(name, "old"));
  }
  return {{tag, std::make_shared<const Document>(Document::of(index))}};
}

const std::string a = "linux/amd64";    // NOLINT(cert-err58-cpp)
const std::string p = "linux/ppc64le";  // NOLINT(cert-err58-cpp)
const std::string s = "linux/s390x";    // NOLINT(cert-err58-cpp)

TEST(ListRace, TheHarnessFindsWhatANaivePublisherLoses) {
  const Tally tally = explore({naive(entry_of(a)), naive(entry_of(p))}, {}, {}, 0, false, {a, p});
  EXPECT_GT(tally.lost, 0U);
  EXPECT_EQ(tally.failed, 0U);
}

TEST(ListRace, TwoPublishersOfANewListLoseNothingInAnyOrder) {
  const Tally tally = explore({adds(a), adds(p)}, {}, {}, 0, false, {a, p});
  EXPECT_GT(tally.ends, 10U);
  EXPECT_EQ(tally.lost, 0U);
  EXPECT_EQ(tally.failed, 0U);
}

TEST(ListRace, PlatformsThatAreExpectedAreFoundWithoutTheTagList) {
  const Tally tally =
      explore({adds(a, {a, p}), adds(p, {a, p})}, {}, {.lists_tags = false}, 0, false, {a, p});
  EXPECT_EQ(tally.lost, 0U);
  EXPECT_EQ(tally.failed, 0U);
}

TEST(ListRace, KeepsWhatStandsWithoutRecords) {
  const Tally tally = explore({adds(a), adds(p)}, with_list({a, s}), {}, 0, false, {a, p, s});
  EXPECT_EQ(tally.lost, 0U);
  EXPECT_EQ(tally.failed, 0U);
}

TEST(ListRace, AKilledPublisherThatRunsAgainLosesNothing) {
  for (const bool honours : {false, true}) {
    const Tally tally =
        explore({adds(a), adds(p)}, {}, {.honours_conditions = honours}, 1, true, {a, p});
    EXPECT_EQ(tally.lost, 0U);
    EXPECT_EQ(tally.failed, 0U);
  }
}

TEST(ListRace, ADeadPublisherTakesNobodyWithItWhereConditionsHold) {
  const Tally tally =
      explore({adds(a), adds(p)}, {}, {.honours_conditions = true}, 1, false, {a, p});
  EXPECT_EQ(tally.lost, 0U);
  EXPECT_EQ(tally.failed, 0U);
}

TEST(ListRace, ConditionsThatNeverHoldDoNotStopPublishers) {
  const Tally tally =
      explore({adds(a), adds(p)}, {}, {.refuses_conditions = true}, 0, false, {a, p});
  EXPECT_EQ(tally.lost, 0U);
  EXPECT_EQ(tally.failed, 0U);
}

TEST(ListRace, TheNextPublisherRepairsWhatADeadOneLeft) {
  std::size_t lost_before = 0;
  std::size_t lost_after = 0;
  Explorer explorer({adds(a), adds(p)}, {}, false);
  explorer.run({}, 1, [&](const State& state) {
    const auto missing = [](const Tags& tags, const State& ended) {
      const auto names = tags.contains(tag) ? platforms(*tags.at(tag)) : std::vector<std::string>();
      for (std::size_t i = 0; i < 2; ++i) {
        if (!ended.machines[i].died &&
            std::find(names.begin(), names.end(), i == 0 ? a : p) == names.end()) {
          return true;
        }
      }
      return false;
    };
    lost_before += missing(state.tags, state) ? 1U : 0U;
    Explorer next({adds(s)}, {}, false);
    next.run(state.tags, 0,
             [&](const State& after) { lost_after += missing(after.tags, state) ? 1U : 0U; });
  });
  EXPECT_GT(lost_before, 0U);  // the one gap, where the registry ignores conditions
  EXPECT_EQ(lost_after, 0U);
}

TEST(ListRace, RemovingIsNotUndoneByAPublisherOfAnotherPlatform) {
  const Program remove = publisher({.remove = {unwrap(Platform::parse(p))}});
  const Tally tally = explore({remove, adds(s)}, with_list({a, p}), {}, 0, false, {a, s}, {p});
  EXPECT_GT(tally.ends, 10U);
  EXPECT_EQ(tally.lost, 0U);
  EXPECT_EQ(tally.failed, 0U);
}

TEST(ListRace, TwoPublishersOfOnePlatformAgreeOnOne) {
  Explorer explorer(
      {publisher({.add = {entry_of(p, "x")}}), publisher({.add = {entry_of(p, "y")}})}, {}, false);
  explorer.run(with_list({a}), 0, [&](const State& state) {
    const Index index = unwrap(state.tags.at(tag)->index());
    ASSERT_EQ(index.manifests.size(), 2U);
    EXPECT_NE(index.manifests[1].digest, entry_of(p, "old").digest);
    EXPECT_FALSE(explorer.failed(state, 0) || explorer.failed(state, 1));
  });
}

/// Every order in which publishers interrupt each other at most so often; faults of such protocols
/// need few.
constexpr int max_switches = 3;

TEST(ListRace, ThreePublishersLoseNothing) {
  const Tally tally =
      explore({adds(a), adds(p), adds(s)}, {}, {}, 0, false, {a, p, s}, {}, max_switches);
  EXPECT_EQ(tally.lost, 0U);
  EXPECT_EQ(tally.failed, 0U);
}

// ---------------------------------------------------------------- what stands in the end

/// A registry's tags after one publisher that nobody disturbs, at a time of day.
class ListPublisher : public ::testing::Test {
 protected:
  Result<PublishedList> publish(const ListChange& change, int minute = 0) {
    PublishListOptions options = stepwise(true);
    options.now = [minute] {
      return std::chrono::system_clock::time_point(std::chrono::minutes(1'000'000 + minute));
    };
    Result<PublishedList> result = fail(ErrorCode::internal, "not run");
    std::vector<Answer> history;
    while (true) {
      SteppedStore store(history);
      result = publish_list_change(store, tag, change, options, null_diagnostics());
      if (!store.pending()) {
        return result;
      }
      history.push_back(perform(*store.pending(), tags_, {}));
      ++requests_;
    }
  }
  /// Somebody who knows nothing of records.
  void put_plainly(const std::vector<Descriptor>& entries) {
    Index index;
    for (const Descriptor& entry : entries) {
      index.put(entry);
    }
    tags_.insert_or_assign(tag, std::make_shared<const Document>(Document::of(index)));
  }
  [[nodiscard]] Index list() const { return unwrap(tags_.at(tag)->index()); }
  [[nodiscard]] std::vector<std::string> names() const { return platforms(*tags_.at(tag)); }

  Tags tags_;
  std::size_t requests_ = 0;
};

TEST_F(ListPublisher, SaysWhereTheTagStoodAndChangesNothingTwice) {
  const PublishedList first = unwrap(publish({.add = {entry_of(a)}}));
  EXPECT_FALSE(first.previous.has_value());
  EXPECT_EQ(first.rounds, 2);
  const PublishedList again = unwrap(publish({.add = {entry_of(a)}}));
  EXPECT_EQ(again.list, first.list);
  EXPECT_EQ(again.previous, first.list.digest);
  EXPECT_EQ(again.rounds, 1);
}

TEST_F(ListPublisher, TheOrderOfPublishersDoesNotChangeTheBytes) {
  unwrap(publish({.add = {entry_of(a)}}));
  const Descriptor list = unwrap(publish({.add = {entry_of(p)}})).list;
  tags_.clear();
  unwrap(publish({.add = {entry_of(p)}}));
  EXPECT_EQ(unwrap(publish({.add = {entry_of(a)}})).list, list);
}

TEST_F(ListPublisher, FollowsNoLeftovers) {
  unwrap(publish({.add = {entry_of(p)}}));
  put_plainly({entry_of(a)});
  unwrap(publish({.add = {entry_of(s)}}, 11));
  EXPECT_THAT(names(), ElementsAre(a, s));
}

TEST_F(ListPublisher, RespectsWhatWasPushedPlainlySince) {
  unwrap(publish({.add = {entry_of(p)}}));
  put_plainly({entry_of(a), entry_of(p, "2")});
  unwrap(publish({.add = {entry_of(s)}}, 1));
  EXPECT_THAT(names(), ElementsAre(a, p, s));
  EXPECT_EQ(list().manifests[1], entry_of(p, "2"));
}

TEST_F(ListPublisher, PutsBackWhatADeadPublisherUndid) {
  unwrap(publish({.add = {entry_of(a)}}));
  unwrap(publish({.add = {entry_of(p)}}));
  put_plainly({entry_of(a)});
  unwrap(publish({.add = {entry_of(s)}}, 1));
  EXPECT_THAT(names(), ElementsAre(a, p, s));
}

TEST_F(ListPublisher, KeepsAnnotationsAndEntriesWithoutPlatform) {
  Index index{.manifests = {}, .annotations = {{"team", "data"}}};
  Descriptor nameless = entry_of(s);
  nameless.platform.reset();
  index.put(nameless);
  tags_.emplace(tag, std::make_shared<const Document>(Document::of(index)));
  unwrap(publish({.add = {entry_of(a)}, .annotations = {{"stage", "test"}}}));
  EXPECT_THAT(names(), ElementsAre(a, "none"));
  EXPECT_EQ(list().annotations, (manifest::Annotations{{"stage", "test"}, {"team", "data"}}));
  unwrap(publish({.annotations = {{"stage", "live"}}}));
  EXPECT_EQ(list().annotations.at("stage"), "live");
}

TEST_F(ListPublisher, AttestationsComeAndGoWithTheirImage) {
  Descriptor attestation = entry_of(s, "attestation");
  attestation.platform = Platform{"unknown", "unknown", {}, {}, {}};
  attestation.annotations["vnd.docker.reference.digest"] = entry_of(p).digest.str();
  unwrap(publish({.add = {entry_of(p), attestation, entry_of(a)}}));
  EXPECT_THAT(names(), ElementsAre(a, p, "unknown/unknown"));
  unwrap(publish({.add = {entry_of(p, "2")}}));
  EXPECT_THAT(names(), ElementsAre(a, p));
  EXPECT_THAT(publish({.add = {attestation}}), fails_with(ErrorCode::invalid_argument));
}

TEST_F(ListPublisher, RemovesAPlatform) {
  EXPECT_THAT(publish({.remove = {unwrap(Platform::parse(p))}}), fails_with(ErrorCode::not_found));
  unwrap(publish({.add = {entry_of(a), entry_of(p)}}));
  unwrap(publish({.remove = {unwrap(Platform::parse(p))}}));
  EXPECT_THAT(names(), ElementsAre(a));
  EXPECT_THAT(publish({.remove = {unwrap(Platform::parse(p))}}),
              fails_with(ErrorCode::not_found, HasSubstr("no entry for linux/ppc64le")));
}

TEST_F(ListPublisher, NeverMixesFamilies) {
  unwrap(publish({.add = {entry_of(a, "", manifest::media_type::docker_manifest)}}));
  EXPECT_EQ(list().format, Format::docker);
  EXPECT_THAT(publish({.add = {entry_of(p)}}),
              fails_with(ErrorCode::invalid_input, HasSubstr("an OCI image (linux/ppc64le)")));
}

TEST_F(ListPublisher, RefusesATagThatIsAnImage) {
  manifest::ImageManifest image{.config = entry_of(a), .layers = {}};
  tags_.emplace(tag, std::make_shared<const Document>(Document::of(image)));
  EXPECT_THAT(publish({.add = {entry_of(p)}}), fails_with(ErrorCode::already_exists));
}

TEST(ListPublisherStores, GuardedTagsNeedNoRecords) {
  const auto store = make_memory_store("m");
  unwrap(publish_list_change(*store, tag, {.add = {entry_of(p)}}, {}, null_diagnostics()));
  unwrap(publish_list_change(*store, tag, {.add = {entry_of(a)}}, {}, null_diagnostics()));
  EXPECT_THAT(platforms(unwrap(store->get_manifest(tag))), ElementsAre(a, p));
  EXPECT_THAT(unwrap(store->tags()), ElementsAre(tag));
}

TEST(ListPublisherStores, ConditionsHoldOnEveryStore) {
  test::TempDir directory;
  const auto memory = make_memory_store("m");
  const auto layout = unwrap(OciLayout::open(directory / "layout", OciLayout::Mode::create));
  Index index;
  const Document empty = Document::of(index);
  index.put(entry_of(a));
  const Document full = Document::of(index);
  for (ImageStore* store : {memory.get(), static_cast<ImageStore*>(layout.get())}) {
    EXPECT_FALSE(unwrap(store->put_manifest_if(full, tag, empty.digest())));
    EXPECT_TRUE(unwrap(store->put_manifest_if(empty, tag, std::nullopt)));
    EXPECT_FALSE(unwrap(store->put_manifest_if(full, tag, std::nullopt)));
    EXPECT_FALSE(unwrap(store->put_manifest_if(full, tag, full.digest())));
    EXPECT_EQ(unwrap(store->get_manifest(tag)).digest(), empty.digest());
    EXPECT_TRUE(unwrap(store->put_manifest_if(full, tag, empty.digest())));
    EXPECT_EQ(unwrap(store->get_manifest(tag)).digest(), full.digest());
  }
}

TEST(ListPublisherStores, RegistriesAreToldTheCondition) {
  test::ScriptedServer server;
  const Document list = Document::of(Index{});
  server.expect("GET /v2/", {})
      .expect("PUT /v2/action/manifests/latest", {.status = 412})
      .expect("HEAD /v2/action/manifests/latest", {.status = 404})
      .expect("PUT /v2/action/manifests/latest", {.status = 201});
  Client client(unwrap(make_curl_transport({})), fixed_credentials(server.address(), {}),
                {.plain_http = true}, null_diagnostics());
  const auto store = unwrap(
      client.repository(unwrap(manifest::Reference::parse(server.address() + "/action:latest"))));
  EXPECT_FALSE(unwrap(store->put_manifest_if(list, tag, list.digest())));
  EXPECT_TRUE(unwrap(store->put_manifest_if(list, tag, std::nullopt)));
  EXPECT_THAT(server.problems(), IsEmpty());
  EXPECT_EQ(server.requests()[1].header("If-Match"), "\"" + list.digest().str() + "\"");
  EXPECT_EQ(server.requests()[3].header("If-None-Match"), "*");
}

TEST(DryRun, ReadsButDoesNotWrite) {
  test::ScriptedServer server;
  server.expect("GET /v2/", {});
  const auto dry = std::make_shared<DryRunTransport>(unwrap(make_curl_transport({})));
  Client client(dry, fixed_credentials(server.address(), {}), {.plain_http = true},
                null_diagnostics());
  const auto store = unwrap(
      client.repository(unwrap(manifest::Reference::parse(server.address() + "/action:latest"))));
  const Document list = Document::of(Index{});
  unwrap(store->put_manifest(list, tag));
  EXPECT_EQ(unwrap(store->get_manifest(tag)).bytes(), list.bytes());
  EXPECT_EQ(unwrap(store->get_manifest(list.digest())).bytes(), list.bytes());
  EXPECT_THAT(server.problems(), IsEmpty());
  ASSERT_EQ(dry->writes().size(), 1U);
  EXPECT_EQ(dry->writes()[0].method, "PUT");
  EXPECT_EQ(dry->writes()[0].url, server.url("/v2/action/manifests/latest"));
  EXPECT_EQ(dry->writes()[0].bytes, list.bytes().size());
}

}  // namespace
}  // namespace fnimage::registry
