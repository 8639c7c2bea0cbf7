// Publishers of one list: every interleaving of their requests, with deaths, over a model of a
// registry that runs the real function; then the rules for what stands and what is left over.
#include <condition_variable>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <set>
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

#include "client_fixture.hpp"

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
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

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

/// What a registry holds: tags only; of manifests it is enough to know which are deleted.
using Tags = std::map<std::string, std::shared_ptr<const Document>>;

struct Request {
  enum class Kind { get, put, put_if, tags, resolve };
  Kind kind = Kind::get;
  std::string tag{};
  std::shared_ptr<const Document> document{};
  std::optional<Digest> expected{};

  [[nodiscard]] bool writes() const { return kind == Kind::put || kind == Kind::put_if; }
};

struct Answer {
  std::shared_ptr<const Document> document{};
  bool moved = true;
  bool refused = false;
  std::vector<std::string> tags{};

  [[nodiscard]] std::string text() const {
    std::string result = document ? document->digest().str() : "-";
    result += refused ? "r" : moved ? "m" : "n";
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
  std::set<Digest> deleted{};       ///< images; lists that name one are refused
};

bool names_any(const Document& list, const std::set<Digest>& digests) {
  const Index index = unwrap(list.index());
  return std::any_of(index.manifests.begin(), index.manifests.end(),
                     [&](const Descriptor& entry) { return digests.contains(entry.digest); });
}

Answer perform(const Request& request, Tags& tags, const Behaviour& behaviour) {
  Answer answer;
  const auto found = tags.find(request.tag);
  if (request.writes() && !behaviour.deleted.empty() &&
      names_any(*request.document, behaviour.deleted)) {
    answer.refused = true;
    return answer;
  }
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
    case Request::Kind::resolve:
      answer.moved = !behaviour.deleted.contains(*request.expected);
      break;
  }
  return answer;
}

std::chrono::system_clock::time_point at_minute(int minute) {
  return std::chrono::system_clock::time_point(std::chrono::minutes(1'000'000 + minute));
}

/// A store of manifests that makes a Request of everything it is asked.
class RequestStore : public ImageStore {
 public:
  [[nodiscard]] std::string describe() const override { return "model"; }
  Result<std::optional<Descriptor>> resolve(const Selector& selector) override {
    if (const auto* digest = std::get_if<Digest>(&selector)) {
      FNIMAGE_TRY(const Answer answer, ask({.kind = Request::Kind::resolve, .expected = *digest}));
      return answer.moved ? std::optional(Descriptor{.media_type = "", .digest = *digest})
                          : std::nullopt;
    }
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
    FNIMAGE_CHECK(written(ask({.kind = Request::Kind::put,
                               .tag = name.value_or(""),
                               .document = std::make_shared<const Document>(document)})));
    return {};
  }
  Result<bool> put_manifest_if(const Document& document, const std::string& name,
                               const std::optional<Digest>& expected) override {
    return written(ask({.kind = Request::Kind::put_if,
                        .tag = name,
                        .document = std::make_shared<const Document>(document),
                        .expected = expected}));
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

 protected:
  virtual Result<Answer> ask(Request request) = 0;

 private:
  static Result<bool> written(const Result<Answer>& answer) {
    if (answer && answer->refused) {
      return fail(Error(ErrorCode::invalid_input, "MANIFEST_BLOB_UNKNOWN").with_http_status(404));
    }
    return answer ? Result<bool>(answer->moved) : fail(answer.error());
  }
};

/// A store whose first requests are answered from a history; the one after ends the publisher with
/// `cancelled` and is remembered. So the real function becomes a machine that makes one step.
class SteppedStore final : public RequestStore {
 public:
  SteppedStore(const std::vector<Answer>& history, int minute)
      : history_(history), minute_(minute) {}

  [[nodiscard]] std::chrono::system_clock::time_point now() const override {
    return at_minute(minute_);
  }
  [[nodiscard]] const std::optional<Request>& pending() const { return pending_; }

 private:
  Result<Answer> ask(Request request) override {
    if (next_ < history_.size()) {
      return history_[next_++];
    }
    if (!pending_) {
      pending_ = std::move(request);
    }
    return fail(ErrorCode::cancelled, "stop here");
  }

  const std::vector<Answer>& history_;
  int minute_;
  std::size_t next_ = 0;
  std::optional<Request> pending_;
};

/// What a process does. `run` tells its runs apart: after a kill it may run again.
struct Program {
  std::function<Result<void>(ImageStore&, const std::string& run)> main;
  int minute = 0;  ///< by the clock that its requests see
};

PublishListOptions stepwise(const std::string& run) {
  return {.usual_platforms = false,
          .parallel = 1,
          .max_rounds = 12,
          .run_name = run,
          .sleep = [](std::chrono::milliseconds) {}};
}

Program publisher(ListChange change, const std::vector<std::string>& also = {}, int minute = 0) {
  const auto main = [change = std::move(change), also](ImageStore& store,
                                                       const std::string& run) -> Result<void> {
    PublishListOptions options = stepwise(run);
    for (const std::string& platform : also) {
      options.also.push_back(unwrap(Platform::parse(platform)));
    }
    FNIMAGE_CHECK(publish_list_change(store, tag, change, options, null_diagnostics()));
    return {};
  };
  return {main, minute};
}

/// What everybody else does: read, edit, write.
Program naive(Descriptor entry) {
  return {[entry = std::move(entry)](ImageStore& store, const std::string&) -> Result<void> {
    Index index;
    if (const auto standing = store.get_manifest(tag)) {
      FNIMAGE_TRY(index, standing->index());
    } else if (standing.error().code() != ErrorCode::not_found) {
      return fail(standing.error());
    }
    index.put(entry);
    return store.put_manifest(Document::of(index), tag);
  }};
}

/// A push that knows nothing of records.
Program pushes(const std::shared_ptr<const Document>& list) {
  return {[list](ImageStore& store, const std::string&) -> Result<void> {
    return store.put_manifest(*list, tag);
  }};
}

/// A publisher after some answers. What it asks next depends on nothing else, so it is run once.
struct Node {
  std::size_t parent = 0;
  Answer answer{};                   ///< that led here
  std::optional<Request> pending{};  ///< nullopt = ended
  bool failed = false;
  std::map<std::string, std::size_t> next{};
};

/// The tree of all that one run of a publisher can live through.
class Lives {
 public:
  Lives(Program program, std::string run) : program_(std::move(program)), run_(std::move(run)) {
    start({});
  }

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
    SteppedStore store(history, program_.minute);
    const Result<void> result = program_.main(store, run_);
    node.pending = store.pending();
    node.failed = !node.pending && !result;
    nodes_.push_back(std::move(node));
  }

  Program program_;
  std::string run_;
  std::vector<Node> nodes_;
};

constexpr int unbounded = -1;

/// What may happen while publishers run.
struct Course {
  Behaviour behaviour{};
  int kills = 0;
  bool reruns = false;       ///< who is killed runs again
  int switches = unbounded;  ///< how often a publisher may be interrupted by another
  int stale = 0;  ///< readings of a record that show what stood before the reader's own last write
};

struct Machine {
  std::size_t node = 0;
  int run = 0;
  bool died = false;             ///< and did not come back
  bool read_since_plain = true;  ///< the list, since somebody last replaced it without a record
};

struct State {
  Tags tags{};
  std::vector<Machine> machines{};
  int kills = 0;  ///< left for all
  /// Left, and who ran last. Unbounded exploration has no use for either.
  int switches = unbounded;
  std::size_t last = 0;
  int stale = 0;  ///< left
  /// With stale readings: what stood before each machine's last write of a record that is the
  /// record's last.
  std::map<std::pair<std::size_t, std::string>, std::shared_ptr<const Document>> before{};

  [[nodiscard]] std::string key() const {
    std::string text = std::to_string(kills) + "," + std::to_string(switches) + "," +
                       std::to_string(switches == unbounded ? 0 : last) + "," +
                       std::to_string(stale);
    for (const auto& [name, document] : tags) {
      text += name + "=" + document->digest().str().substr(0, 20) + ";";
    }
    for (const auto& [place, document] : before) {
      text += std::to_string(place.first) + place.second + "<" +
              (document ? document->digest().str().substr(0, 20) : "-");
    }
    for (const Machine& machine : machines) {
      text += (machine.died ? "|dead" : "|") + std::to_string(machine.node) + "." +
              std::to_string(machine.run) + (machine.read_since_plain ? "" : "p");
    }
    return text;
  }

  [[nodiscard]] std::vector<std::string> names() const {
    const auto list = tags.find(tag);
    return list == tags.end() ? std::vector<std::string>() : platforms(*list->second);
  }
  [[nodiscard]] bool has(const std::string& platform) const {
    const auto all = names();
    return std::find(all.begin(), all.end(), platform) != all.end();
  }
};

/// Visits every state that any order of requests leads to.
class Explorer {
 public:
  Explorer(const std::vector<Program>& programs, Course course) : course_(std::move(course)) {
    for (std::size_t i = 0; i < programs.size(); ++i) {
      lives_.emplace_back();
      for (int run = 0; run <= (course_.reruns ? course_.kills : 0); ++run) {
        lives_.back().emplace_back(programs[i], std::to_string(i) + "." + std::to_string(run));
      }
    }
  }

  void run(const Tags& tags, const std::function<void(const State&)>& at_end) {
    std::vector<State> open;
    const bool bounded = course_.switches != unbounded;
    for (std::size_t first = 0; first < (bounded ? lives_.size() : 1); ++first) {
      add(open, {.tags = tags,
                 .machines = std::vector<Machine>(lives_.size()),
                 .kills = course_.kills,
                 .switches = course_.switches,
                 .last = first,
                 .stale = course_.stale});
    }
    while (!open.empty()) {
      const State state = std::move(open.back());
      open.pop_back();
      bool ended = true;
      for (std::size_t i = 0; i < lives_.size(); ++i) {
        if (pending(state, i) != nullptr) {
          ended = false;
          go_on(open, state, i);
        }
      }
      if (ended) {
        at_end(state);
      }
    }
  }

  [[nodiscard]] bool failed(const State& state, std::size_t i) const {
    return node(state.machines[i], i).failed;
  }
  [[nodiscard]] bool any_failed(const State& state) const {
    for (std::size_t i = 0; i < lives_.size(); ++i) {
      if (failed(state, i)) {
        return true;
      }
    }
    return false;
  }
  [[nodiscard]] std::size_t states() const { return seen_.size(); }

 private:
  void add(std::vector<State>& open, State state) {
    if (seen_.insert(state.key()).second) {
      open.push_back(std::move(state));
    }
  }

  [[nodiscard]] const Node& node(const Machine& machine, std::size_t i) const {
    return lives_[i][static_cast<std::size_t>(machine.run)].at(machine.node);
  }

  [[nodiscard]] const Request* pending(const State& state, std::size_t i) const {
    const Node& at = node(state.machines[i], i);
    return state.machines[i].died || !at.pending ? nullptr : &*at.pending;
  }

  void go_on(std::vector<State>& open, const State& state, std::size_t i) {
    const bool interrupts =
        state.switches != unbounded && i != state.last && pending(state, state.last) != nullptr;
    if (interrupts && state.switches == 0) {
      return;
    }
    State next = state;
    next.switches -= interrupts ? 1 : 0;
    next.last = i;
    add(open, step(next, i));
    const Request& request = *pending(state, i);
    const auto before = state.before.find({i, request.tag});
    if (state.stale > 0 && request.kind == Request::Kind::get && before != state.before.end()) {
      --next.stale;
      answered(next, i, {.document = before->second});
      add(open, std::move(next));
    }
    if (state.kills > 0) {
      add(open, kill(state, i, false));
      add(open, kill(state, i, true));
    }
  }

  void answered(State& state, std::size_t i, Answer answer) {
    Machine& machine = state.machines[i];
    machine.node =
        lives_[i][static_cast<std::size_t>(machine.run)].after(machine.node, std::move(answer));
  }

  Answer perform_for(State& state, std::size_t i) const {
    const Request request = *pending(state, i);
    const auto standing = state.tags.find(request.tag);
    const auto before = standing == state.tags.end() ? nullptr : standing->second;
    Answer answer = perform(request, state.tags, course_.behaviour);
    if (state.stale > 0 && request.writes() && request.tag != tag) {
      std::erase_if(state.before,
                    [&](const auto& item) { return item.first.second == request.tag; });
      state.before[{i, request.tag}] = before;
    }
    if (request.tag == tag && request.kind == Request::Kind::put) {
      for (Machine& machine : state.machines) {
        machine.read_since_plain = false;
      }
    } else if (request.tag == tag && request.kind == Request::Kind::get) {
      state.machines[i].read_since_plain = true;
    }
    return answer;
  }

  [[nodiscard]] State step(State state, std::size_t i) {
    Answer answer = perform_for(state, i);
    answered(state, i, std::move(answer));
    return state;
  }

  /// Killed before the request goes out, or after it was performed but before its answer came.
  [[nodiscard]] State kill(State state, std::size_t i, bool performed) const {
    if (performed) {
      perform_for(state, i);
    }
    --state.kills;
    Machine& machine = state.machines[i];
    machine = {.node = 0, .run = machine.run + (course_.reruns ? 1 : 0), .died = !course_.reruns};
    return state;
  }

  std::vector<std::vector<Lives>> lives_;  ///< of each publisher, of each of its runs
  Course course_;
  std::unordered_set<std::string> seen_;
};

/// How many of the end states are not as they should be, or came with a failure.
struct Tally {
  std::size_t ends = 0;
  std::size_t wrong = 0;
  std::size_t failed = 0;
};

using Check = std::function<bool(const State&)>;

/// @param expected what every list at the end has to hold; publisher i's only if it did not die.
Check holds(const std::vector<std::string>& expected,
            const std::vector<std::string>& forbidden = {}) {
  return [expected, forbidden](const State& state) {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const bool dead = i < state.machines.size() && state.machines[i].died;
      if (!dead && !state.has(expected[i])) {
        return false;
      }
    }
    return std::none_of(forbidden.begin(), forbidden.end(),
                        [&](const std::string& name) { return state.has(name); });
  };
}

Tally explore(const std::vector<Program>& programs, const Tags& tags, const Course& course,
              const Check& check) {
  Tally tally;
  Explorer explorer(programs, course);
  explorer.run(tags, [&](const State& state) {
    ++tally.ends;
    tally.wrong += check(state) ? 0U : 1U;
    tally.failed += explorer.any_failed(state) ? 1U : 0U;
  });
  std::cout << "  " << explorer.states() << " states, " << tally.ends << " ends\n";
  return tally;
}

void never_wrong(const std::vector<Program>& programs, const Tags& tags, const Course& course,
                 const Check& check) {
  const Tally tally = explore(programs, tags, course, check);
  EXPECT_GT(tally.ends, 0U);
  EXPECT_EQ(tally.wrong, 0U);
  EXPECT_EQ(tally.failed, 0U);
}

Program adds(const std::string& platform, const std::vector<std::string>& also = {},
             int minute = 0) {
  return publisher({.add = {entry_of(platform)}}, also, minute);
}

std::shared_ptr<const Document> list_of(const std::vector<Descriptor>& entries) {
  Index index;
  for (const Descriptor& entry : entries) {
    index.put(entry);
  }
  return std::make_shared<const Document>(Document::of(index));
}

Tags with_list(const std::vector<std::string>& names) {
  std::vector<Descriptor> entries;
  for (const std::string& name : names) {
    entries.push_back(entry_of(name, "old"));
  }
  return {{tag, list_of(entries)}};
}

const std::string a = "linux/amd64";    // NOLINT(cert-err58-cpp)
const std::string p = "linux/ppc64le";  // NOLINT(cert-err58-cpp)
const std::string s = "linux/s390x";    // NOLINT(cert-err58-cpp)

/// Where every order is too many: every order in which publishers interrupt each other at most so
/// often; faults of such protocols need few.
constexpr int max_switches = 3;

TEST(ListRace, TheHarnessFindsWhatANaivePublisherLoses) {
  const Tally tally = explore({naive(entry_of(a)), naive(entry_of(p))}, {}, {}, holds({a, p}));
  EXPECT_GT(tally.wrong, 0U);
  EXPECT_EQ(tally.failed, 0U);
}

TEST(ListRace, TwoPublishersOfANewListLoseNothingInAnyOrder) {
  never_wrong({adds(a), adds(p)}, {}, {}, holds({a, p}));
}

TEST(ListRace, PlatformsThatAreExpectedAreFoundWithoutTheTagList) {
  never_wrong({adds(a, {a, p}), adds(p, {a, p})}, {}, {.behaviour = {.lists_tags = false}},
              holds({a, p}));
}

TEST(ListRace, KeepsWhatStandsWithoutRecords) {
  never_wrong({adds(a), adds(p)}, with_list({a, s}), {}, holds({a, p, s}));
}

TEST(ListRace, ClocksThatDifferByMinutesLoseNothing) {
  never_wrong({adds(a), adds(p, {}, 9)}, {}, {}, holds({a, p}));
}

TEST(ListRace, AKilledPublisherThatRunsAgainLosesNothing) {
  for (const bool honours : {false, true}) {
    never_wrong({adds(a), adds(p)}, {},
                {.behaviour = {.honours_conditions = honours},
                 .kills = 1,
                 .reruns = true,
                 .switches = max_switches},
                holds({a, p}));
  }
}

TEST(ListRace, TwoKillsLoseNothingWhenBothRunAgain) {
  never_wrong({adds(a), adds(p)}, {}, {.kills = 2, .reruns = true, .switches = 1}, holds({a, p}));
}

TEST(ListRace, ADeadPublisherTakesNobodyWithItWhereConditionsHold) {
  never_wrong({adds(a), adds(p)}, {},
              {.behaviour = {.honours_conditions = true}, .kills = 1, .switches = max_switches},
              holds({a, p}));
}

TEST(ListRace, ConditionsThatNeverHoldDoNotStopPublishers) {
  never_wrong({adds(a), adds(p)}, {}, {.behaviour = {.refuses_conditions = true}}, holds({a, p}));
}

TEST(ListRace, StaleReadingsOfOwnRecordsLoseNothing) {
  never_wrong({adds(a), adds(p)}, with_list({a, s}), {.switches = max_switches, .stale = 2},
              holds({a, p, s}));
}

TEST(ListRace, TheNextPublisherRepairsWhatADeadOneLeft) {
  const Check right = holds({a, p});
  std::size_t wrong_before = 0;
  std::size_t wrong_after = 0;
  std::set<std::string> seen;
  Explorer explorer({adds(a), adds(p)}, {.kills = 1, .switches = max_switches});
  explorer.run({}, [&](const State& state) {
    wrong_before += right(state) ? 0U : 1U;
    if (!seen.insert(State{.tags = state.tags, .machines = state.machines}.key()).second) {
      return;
    }
    Explorer next({adds(s)}, {});
    next.run(state.tags, [&](const State& after) {
      const State both{.tags = after.tags, .machines = state.machines};
      wrong_after += right(both) ? 0U : 1U;
    });
  });
  EXPECT_GT(wrong_before, 0U);  // the one gap, where the registry ignores conditions
  EXPECT_EQ(wrong_after, 0U);
}

TEST(ListRace, RemovingIsNotUndoneByAPublisherOfAnotherPlatform) {
  const Program remove = publisher({.remove = {unwrap(Platform::parse(p))}});
  never_wrong({remove, adds(s)}, with_list({a, p}), {}, holds({a, s}, {p}));
}

TEST(ListRace, TwoPublishersOfOnePlatformAgreeOnOne) {
  never_wrong({publisher({.add = {entry_of(p, "x")}}), publisher({.add = {entry_of(p, "y")}})},
              with_list({a}), {}, [](const State& state) {
                const Index index = unwrap(state.tags.at(tag)->index());
                return index.manifests.size() == 2U &&
                       index.manifests[1].digest != entry_of(p, "old").digest;
              });
}

TEST(ListRace, TwoValuesOfOneAnnotationEndInOneOfThem) {
  const auto has_one = [](const State& state) {
    const Index index = unwrap(state.tags.at(tag)->index());
    const auto version = index.annotations.find("v");
    return version != index.annotations.end() && (version->second == "1" || version->second == "2");
  };
  const Program annotates = publisher({.annotations = {{"v", "1"}}});
  const Program adds_too = publisher({.add = {entry_of(s)}, .annotations = {{"v", "2"}}});
  never_wrong({annotates, adds_too}, with_list({a}), {},
              [&](const State& state) { return has_one(state) && state.has(a) && state.has(s); });
  never_wrong({annotates, publisher({.annotations = {{"v", "2"}}})}, with_list({a}), {}, has_one);
}

TEST(ListRace, AnAnnotationThatIsRemovedAndSetEndsAsOneOfTheTwoWants) {
  Tags start = with_list({a});
  Index annotated = unwrap(start.at(tag)->index());
  annotated.annotations = {{"team", "x"}, {"v", "0"}};
  start.insert_or_assign(tag, std::make_shared<const Document>(Document::of(annotated)));
  const auto value = [](const State& state, const std::string& name) {
    const Index index = unwrap(state.tags.at(tag)->index());
    const auto found = index.annotations.find(name);
    return found == index.annotations.end() ? "none" : found->second;
  };
  const Program removes = publisher({.remove_annotations = {"v"}});
  const auto decided = [&](const State& state) {
    return value(state, "team") == "x" && (value(state, "v") == "none" || value(state, "v") == "1");
  };
  never_wrong({removes, publisher({.annotations = {{"v", "1"}}})}, start, {}, decided);
  never_wrong({removes, publisher({.add = {entry_of(s)}, .annotations = {{"v", "1"}}})}, start, {},
              [&](const State& state) { return decided(state) && state.has(a) && state.has(s); });
  never_wrong({removes, adds(p)}, start, {}, [&](const State& state) {
    return value(state, "v") == "none" && state.has(a) && state.has(p);
  });
}

/// A plain push replaces the list; who reads the list after it adds to it.
TEST(ListRace, APlainPushLosesNoPlatformThatIsAddedAfterIt) {
  const auto plain = list_of({entry_of(a, "plain"), entry_of(s, "plain")});
  never_wrong({adds(a), adds(p), pushes(plain)}, with_list({a}), {.switches = max_switches},
              [](const State& state) {
                return (!state.machines[0].read_since_plain || state.has(a)) &&
                       (!state.machines[1].read_since_plain || state.has(p));
              });
}

/// Also by what stood there before everything: nothing in the list tells a roll-back from a
/// publication that is still to come.
TEST(ListRace, APlainPushStandsForAllWhoBeginAfterIt) {
  const Tags start = with_list({a, p});
  std::set<std::string> seen;
  std::size_t wrong = 0;
  std::size_t ends = 0;
  Explorer first({adds(a), adds(p)}, {});
  first.run(start, [&](const State& state) {
    Tags tags = state.tags;
    tags.insert_or_assign(tag, start.at(tag));
    if (!seen.insert(State{.tags = tags}.key()).second) {
      return;
    }
    Explorer then({adds(s), adds("linux/riscv64")}, {.switches = 2});
    then.run(tags, [&](const State& after) {
      ++ends;
      const auto expected =
          list_of({entry_of(a, "old"), entry_of(p, "old"), entry_of(s), entry_of("linux/riscv64")});
      wrong += after.tags.at(tag)->digest() == expected->digest() ? 0U : 1U;
    });
  });
  EXPECT_GT(ends, 0U);
  EXPECT_EQ(wrong, 0U);
}

/// Of a publisher that died, and whose image somebody has deleted since.
TEST(ListRace, ADeletedImageBlocksNobody) {
  Explorer dying({adds(p)}, {.kills = 1});
  std::size_t ends = 0;
  dying.run({}, [&](const State& state) {
    if (state.has(p)) {
      return;  // then the list itself cannot be put any more
    }
    ++ends;
    never_wrong({adds(a), adds(s)}, state.tags,
                {.behaviour = {.deleted = {entry_of(p).digest}}, .switches = 2},
                [](const State& after) { return after.has(a) && after.has(s); });
  });
  EXPECT_GT(ends, 0U);
}

TEST(ListRace, ThreePublishersLoseNothing) {
  never_wrong({adds(a), adds(p), adds(s)}, {}, {.switches = 2}, holds({a, p, s}));
}

TEST(ListRace, ThreePublishersOfWhomOneIsKilledAndRunsAgainLoseNothing) {
  never_wrong({adds(a), adds(p), adds(s)}, {}, {.kills = 1, .reruns = true, .switches = 1},
              holds({a, p, s}));
}

// ---------------------------------------------------------------- what stands in the end

/// A registry's tags after one publisher that nobody disturbs, at a time of day.
class ListPublisher : public ::testing::Test {
 protected:
  Result<PublishedList> publish(const ListChange& change, int minute = 0,
                                Diagnostics& diagnostics = null_diagnostics()) {
    const PublishListOptions options = stepwise(std::to_string(++runs_));
    Result<PublishedList> result = fail(ErrorCode::internal, "not run");
    std::vector<Answer> history;
    while (true) {
      SteppedStore store(history, minute);
      result = publish_list_change(store, tag, change, options, null_diagnostics());
      if (!store.pending()) {
        SteppedStore again(history, minute);
        return publish_list_change(again, tag, change, options, diagnostics);
      }
      history.push_back(perform(*store.pending(), tags_, {}));
      writes_ += store.pending()->writes() ? 1U : 0U;
    }
  }
  /// A publisher that is killed as soon as it has announced what it wants.
  void announce_and_die(const ListChange& change, int minute = 0) {
    const PublishListOptions options = stepwise(std::to_string(++runs_));
    std::vector<Answer> history;
    for (bool announced = false; !announced;) {
      SteppedStore store(history, minute);
      EXPECT_FALSE(publish_list_change(store, tag, change, options, null_diagnostics()));
      ASSERT_TRUE(store.pending());
      history.push_back(perform(*store.pending(), tags_, {}));
      announced = store.pending()->writes();
    }
  }
  /// Somebody who knows nothing of records.
  void put_plainly(const std::vector<Descriptor>& entries) {
    tags_.insert_or_assign(tag, list_of(entries));
  }
  [[nodiscard]] Index list() const { return unwrap(tags_.at(tag)->index()); }
  [[nodiscard]] std::vector<std::string> names() const { return platforms(*tags_.at(tag)); }

  Tags tags_;
  std::size_t writes_ = 0;
  int runs_ = 0;
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
  put_plainly({entry_of(a)});
  announce_and_die({.add = {entry_of(s)}});
  unwrap(publish({.add = {entry_of(p)}}));
  EXPECT_THAT(names(), ElementsAre(a, p, s));
  put_plainly({entry_of(a), entry_of(s)});
  unwrap(publish({.add = {entry_of("linux/riscv64")}}, 1));
  EXPECT_THAT(names(), ElementsAre(a, p, "linux/riscv64", s));
}

TEST_F(ListPublisher, DoesNotUndoARollBack) {
  put_plainly({entry_of(a, "0"), entry_of(p, "0")});
  unwrap(publish({.add = {entry_of(a), entry_of(p)}}));
  unwrap(publish({.remove = {unwrap(Platform::parse(p))}}));
  put_plainly({entry_of(a, "0"), entry_of(p, "0")});
  unwrap(publish({.add = {entry_of(s)}}));
  EXPECT_THAT(list().manifests, ElementsAre(entry_of(a, "0"), entry_of(p, "0"), entry_of(s)));
}

TEST_F(ListPublisher, LastSetAnnotationStandsAndNothingIsPutTwice) {
  put_plainly({entry_of(a)});
  unwrap(publish({.annotations = {{"v", "1"}}}));
  writes_ = 0;
  const PublishedList changed =
      unwrap(publish({.add = {entry_of(p)}, .annotations = {{"v", "2"}}}));
  EXPECT_EQ(changed.rounds, 2);
  EXPECT_EQ(writes_, 3U);  // the record, the list, and that the record is finished
  EXPECT_EQ(list().annotations.at("v"), "2");
  unwrap(publish({.annotations = {{"v", "1"}}}));
  EXPECT_EQ(list().annotations.at("v"), "1");
}

TEST_F(ListPublisher, RemovesAnAnnotationAlsoForOneThatDied) {
  const std::string odd = "a name, of \"any\" text=\n";
  put_plainly({entry_of(a)});
  unwrap(publish({.annotations = {{odd, "1"}, {"v", "1"}}}));
  unwrap(publish({.remove_annotations = {"v"}}));
  EXPECT_THAT(list().annotations, ElementsAre(std::pair(odd, "1")));
  EXPECT_THAT(publish({.remove_annotations = {"v"}}),
              fails_with(ErrorCode::not_found, HasSubstr("has no annotation v")));
  announce_and_die({.remove_annotations = {odd}});
  RecordingDiagnostics reports;
  unwrap(publish({.add = {entry_of(p)}}, 0, reports));
  EXPECT_THAT(list().annotations, IsEmpty());
  EXPECT_THAT(reports.messages(), Contains(HasSubstr("removing annotations too")));
  EXPECT_THAT(names(), ElementsAre(a, p));
}

TEST_F(ListPublisher, ARemovedAnnotationThatWasPushedPlainlySinceStays) {
  put_plainly({entry_of(a)});
  unwrap(publish({.annotations = {{"v", "1"}}}));
  unwrap(publish({.remove_annotations = {"v"}}));
  Index again = list();
  again.annotations = {{"v", "1"}};
  tags_.insert_or_assign(tag, std::make_shared<const Document>(Document::of(again)));
  unwrap(publish({.add = {entry_of(p)}}));
  EXPECT_THAT(list().annotations, ElementsAre(std::pair("v", "1")));
}

TEST_F(ListPublisher, TheNewerOfTwoUnfinishedAnnotationsStands) {
  put_plainly({entry_of(a)});
  announce_and_die({.add = {entry_of(p)}, .annotations = {{"v", "newer"}}}, 2);
  ASSERT_THAT(names(), ElementsAre(a));
  unwrap(publish({.annotations = {{"v", "older"}}}, 1));
  EXPECT_EQ(list().annotations.at("v"), "newer");
  EXPECT_THAT(names(), ElementsAre(a, p));
}

TEST_F(ListPublisher, RecordsOfTheFutureAreLeftoversToo) {
  put_plainly({entry_of(a)});
  announce_and_die({.add = {entry_of(p)}}, 60);
  unwrap(publish({.add = {entry_of(s)}}));
  EXPECT_THAT(names(), ElementsAre(a, s));
}

TEST_F(ListPublisher, DoesNotReviveAListThatIsGone) {
  put_plainly({entry_of(a)});
  unwrap(publish({.add = {entry_of(p)}, .annotations = {{"v", "1"}}}));
  tags_.erase(tag);
  unwrap(publish({.add = {entry_of(s)}}, 1));
  EXPECT_THAT(names(), ElementsAre(s));
  EXPECT_THAT(list().annotations, IsEmpty());
}

TEST_F(ListPublisher, SaysWhatItDoesForOthersInWordsOfUsers) {
  put_plainly({entry_of(a), entry_of(p)});
  announce_and_die({.annotations = {{"v", "1"}}});
  announce_and_die({.remove = {unwrap(Platform::parse(p))}});
  RecordingDiagnostics reports;
  unwrap(publish({.add = {entry_of(s)}}, 0, reports));
  EXPECT_THAT(names(), ElementsAre(a, s));
  EXPECT_THAT(reports.messages(),
              Contains(HasSubstr("setting annotations too, as another publisher wants")));
  EXPECT_THAT(reports.messages(), Contains(HasSubstr("removing ppc64le too")));
  EXPECT_THAT(reports.messages(), Not(Contains(HasSubstr("_list"))));
}

TEST_F(ListPublisher, PutsNoListThatCannotBeUsed) {
  const auto with = [](const std::string& architecture) {
    Descriptor entry = entry_of(s);
    entry.platform->architecture = architecture;
    return entry;
  };
  put_plainly({entry_of(a)});
  EXPECT_THAT(publish({.add = {with("ppc64el")}}),
              fails_with(ErrorCode::invalid_input, HasSubstr("Debian's name")));
  EXPECT_THAT(publish({.add = {with("a b/c")}}), fails_with(ErrorCode::invalid_input));
  EXPECT_EQ(writes_, 0U);
  RecordingDiagnostics reports;
  unwrap(publish({.add = {with("loongson")}}, 0, reports));
  EXPECT_THAT(reports.messages(), Contains(HasSubstr("model:latest: \"loongson\" is not a known")));
}

TEST_F(ListPublisher, WhatOthersDidWrongIsNoReasonToRefuse) {
  Descriptor nameless = entry_of(s);
  nameless.platform.reset();
  put_plainly({entry_of(a), nameless});
  unwrap(publish({.add = {entry_of(p)}}));
  EXPECT_THAT(names(), ElementsAre(a, p, "none"));
}

TEST_F(ListPublisher, AnAttestationJoinsItsImageLater) {
  Descriptor attestation = entry_of(s, "attestation");
  attestation.platform = Platform{"unknown", "unknown", {}, {}, {}};
  attestation.annotations["vnd.docker.reference.digest"] = entry_of(p).digest.str();
  unwrap(publish({.add = {entry_of(a), entry_of(p)}}));
  unwrap(publish({.add = {entry_of(p), attestation}}));
  EXPECT_THAT(names(), ElementsAre(a, p, "unknown/unknown"));
  Descriptor annotated = entry_of(p);
  annotated.annotations["gpu"] = "no";
  unwrap(publish({.add = {annotated}}));
  EXPECT_THAT(list().manifests, ElementsAre(entry_of(a), annotated, attestation));
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

/// A registry that answers only when all requests of a step are waiting for their answers.
class StepwiseRegistry final : public RequestStore {
 public:
  /// @param widths how many requests each step has.
  explicit StepwiseRegistry(std::vector<std::size_t> widths) : widths_(std::move(widths)) {}

  [[nodiscard]] std::size_t steps() const { return step_; }
  [[nodiscard]] bool stuck() const { return stuck_; }

 private:
  Result<Answer> ask(Request request) override {
    std::unique_lock lock(mutex_);
    const std::size_t step = step_;
    if (stuck_ || step == widths_.size()) {
      stuck_ = true;
      return fail(ErrorCode::internal, "one request too many");
    }
    Answer answer = perform(request, tags_, {});
    if (++waiting_ == widths_[step]) {
      ++step_;
      waiting_ = 0;
      changed_.notify_all();
    } else if (!changed_.wait_for(lock, std::chrono::seconds(60), [&] { return step_ != step; })) {
      stuck_ = true;  // the others of the step never came
    }
    return answer;
  }

  std::vector<std::size_t> widths_;
  Tags tags_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t step_ = 0;
  std::size_t waiting_ = 0;
  bool stuck_ = false;
};

TEST(ListPublisherStores, ReadsEverythingAtTheSameTime) {
  // The list, the tag list, the usual platforms' records and that of annotations; then a write.
  StepwiseRegistry registry({12, 1, 12, 1, 12, 1});
  unwrap(publish_list_change(registry, tag, {.add = {entry_of(p)}}, {.parallel = 12},
                             null_diagnostics()));
  EXPECT_EQ(registry.steps(), 6U);
  EXPECT_FALSE(registry.stuck());
}

TEST(ListPublisherStores, TheTimeIsTheRegistrys) {
  test::ScriptedServer server;
  server
      .expect("GET /v2/action/manifests/latest",
              {.status = 404, .headers = {{"Date", "Tue, 15 Nov 1994 08:12:31 GMT"}}})
      .expect("GET /v2/action/manifests/latest",
              {.status = 404,
               .headers = {{"Date", "Tue, 15 Nov 1983 08:12:31 GMT"}, {"Age", "347155200"}}});
  TestClient client({.plain_http = true});
  const auto store = client.repository(server.address() + "/action:latest");
  for (int i = 0; i < 2; ++i) {  // the second answer is from a cache
    EXPECT_THAT(store->get_manifest(tag), fails_with(ErrorCode::not_found));
    const auto since = store->now() - std::chrono::system_clock::from_time_t(784'887'151);
    EXPECT_LT(std::chrono::abs(since), std::chrono::hours(1));
  }
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
  server.expect("PUT /v2/action/manifests/latest", {.status = 412})
      .expect("HEAD /v2/action/manifests/latest", {.status = 404})
      .expect("PUT /v2/action/manifests/latest", {.status = 201});
  Client client(unwrap(make_curl_transport({})), {}, {.plain_http = true}, null_diagnostics());
  const auto store = unwrap(
      client.repository(unwrap(manifest::Reference::parse(server.address() + "/action:latest"))));
  EXPECT_FALSE(unwrap(store->put_manifest_if(list, tag, list.digest())));
  EXPECT_TRUE(unwrap(store->put_manifest_if(list, tag, std::nullopt)));
  EXPECT_THAT(server.problems(), IsEmpty());
  EXPECT_EQ(server.requests()[0].header("If-Match"), "\"" + list.digest().str() + "\"");
  EXPECT_EQ(server.requests()[2].header("If-None-Match"), "*");
}

TEST(DryRun, ReadsButDoesNotWrite) {
  test::ScriptedServer server;
  const auto dry = std::make_shared<DryRunTransport>(unwrap(make_curl_transport({})));
  Client client(dry, fixed_credentials(server.address(), {}), {.plain_http = true},
                null_diagnostics());
  const auto store = unwrap(
      client.repository(unwrap(manifest::Reference::parse(server.address() + "/action:latest"))));
  const Document list = Document::of(Index{});
  unwrap(store->put_manifest(list, tag));
  EXPECT_EQ(unwrap(store->get_manifest(tag)).bytes(), list.bytes());
  EXPECT_EQ(unwrap(store->get_manifest(list.digest())).bytes(), list.bytes());
  EXPECT_THAT(server.requests(), IsEmpty());
  ASSERT_EQ(dry->writes().size(), 1U);
  EXPECT_EQ(dry->writes()[0].method, "PUT");
  EXPECT_EQ(dry->writes()[0].url, server.url("/v2/action/manifests/latest"));
  EXPECT_EQ(dry->writes()[0].bytes, list.bytes().size());
}

TEST(DryRun, TellsReadsAndTheRequestsOfARegistryThatTakesNoBlobWithItsPost) {
  test::ScriptedServer server(
      [](const test::SeenRequest&) { return test::Reply{.status = 404, .body = "{}"}; });
  const auto dry = std::make_shared<DryRunTransport>(unwrap(make_curl_transport({})));
  Client client(dry, {}, {.plain_http = true}, null_diagnostics());
  const auto store = unwrap(
      client.repository(unwrap(manifest::Reference::parse(server.address() + "/action:latest"))));
  const std::string bytes = "a small blob";
  const Descriptor blob{.media_type = std::string(manifest::media_type::oci_config),
                        .digest = Digest::of(bytes),
                        .size = bytes.size()};
  EXPECT_EQ(unwrap(store->put_blob(blob, *memory_content(bytes), {.probably_new = true})),
            BlobOutcome::uploaded);
  EXPECT_TRUE(unwrap(store->has_blob(blob)));
  const auto writes = dry->writes();
  ASSERT_EQ(writes.size(), 2U);
  EXPECT_EQ(writes[0].method + " " + writes[1].method, "POST PUT");
  EXPECT_EQ(writes[0].bytes, bytes.size());
  EXPECT_EQ(writes[1].bytes, bytes.size());
  EXPECT_THAT(store->get_manifest(std::string("absent")), fails_with(ErrorCode::not_found));
  const auto reads = dry->reads();
  ASSERT_EQ(reads.size(), 1U);
  EXPECT_EQ(reads.back().url, server.url("/v2/action/manifests/absent"));
  EXPECT_EQ(reads.back().bytes, 2U);
  for (const std::string& line : server.lines()) {
    EXPECT_THAT(line, ::testing::StartsWith("GET ")) << "nothing was written";
  }
}

}  // namespace
}  // namespace fnimage::registry
