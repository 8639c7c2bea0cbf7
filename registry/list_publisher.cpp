// The protocol's rounds. What one round reads is a Standing; what should stand is a pure function
// of it, so publishers that have read the same want the same bytes.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/list_publisher.hpp>

#include "list_standing.hpp"
#include "retry.hpp"

namespace fnimage::registry {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::Format;
using manifest::Index;

constexpr std::array<const char*, 9> usual_platform_names{
    "linux/amd64",  "linux/arm64",  "linux/ppc64le", "linux/s390x",  "linux/riscv64",
    "linux/arm/v7", "linux/arm/v6", "linux/386",     "windows/amd64"};

/// Of the record that changes annotations of the list alone.
constexpr const char* list_key = "_list";

class Publisher {
 public:
  Publisher(ImageStore& store, const std::string& tag, const ListChange& change,
            const PublishListOptions& options, Diagnostics& diagnostics)
      : store_(store), tag_(tag), change_(change), options_(options), diagnostics_(diagnostics) {}

  Result<PublishedList> run() {
    FNIMAGE_CHECK(sort_out_change());
    Standing first;
    FNIMAGE_CHECK(read_list(first));
    FNIMAGE_CHECK(check_removals(first));
    result_.previous = first.digest();
    if (!store_.guards_tags()) {
      FNIMAGE_CHECK(write_records(first.index));
    }
    return converge();
  }

 private:
  [[nodiscard]] std::string what() const { return store_.describe() + ":" + tag_; }

  /// The change as records, one per platform.
  Result<void> sort_out_change() {
    const std::int64_t time =
        std::chrono::duration_cast<std::chrono::seconds>(options_.now().time_since_epoch()).count();
    for (const manifest::Platform& platform : change_.remove) {
      own_[platform_key(platform)] = {.annotations = change_.annotations, .time = time};
      names_[platform_key(platform)] = platform;
    }
    for (const Descriptor& entry : change_.add) {
      const std::string key = platform_key(entry);
      if (key.empty()) {
        FNIMAGE_CHECK(require_image_of(entry));
        continue;
      }
      own_[key] = {.entries = {entry}, .annotations = change_.annotations, .time = time};
      names_[key] = *entry.platform;
      for (const Descriptor& other : change_.add) {
        if (platform_key(other).empty() && attests(other, entry.digest)) {
          own_[key].entries.push_back(other);
        }
      }
    }
    if (own_.empty() && !change_.annotations.empty()) {
      own_[list_key] = {.annotations = change_.annotations, .time = time};
    }
    if (own_.empty()) {
      return fail(ErrorCode::invalid_argument, "nothing to change in " + what());
    }
    return {};
  }

  Result<void> require_image_of(const Descriptor& attestation) const {
    const bool belongs =
        std::any_of(change_.add.begin(), change_.add.end(), [&](const Descriptor& image) {
          return !platform_key(image).empty() && attests(attestation, image.digest);
        });
    if (!belongs) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("{} has no platform", attestation.digest.str()),
                  "say which: --platform os/arch");
    }
    return {};
  }

  Result<void> check_removals(Standing& standing) const {
    for (const manifest::Platform& platform : change_.remove) {
      if (!standing.list) {
        return fail(ErrorCode::not_found, fmt::format("there is no list {}", what()),
                    "check registry, repository and tag");
      }
      const std::string key = platform_key(platform);
      if (!entry_digest(standing.index, key)) {
        return fail(ErrorCode::not_found,
                    fmt::format("{} has no entry for {}", what(), platform.str()),
                    fmt::format("`fnimage manifest inspect {}` shows what it has", what()));
      }
    }
    return {};
  }

  /// Runs a task for every item, several at a time unless one is all that is wanted.
  template <class Items, class Task>
  Result<void> for_each(Items& items, Task task) {
    if (options_.parallel <= 1) {
      for (auto& item : items) {
        FNIMAGE_CHECK(task(item));
      }
      return {};
    }
    if (!pool_) {
      pool_.emplace(options_.parallel);
    }
    TaskGroup group(*pool_);
    for (auto& item : items) {
      group.run([&item, &task] { return task(item); });
    }
    return group.wait();
  }

  Result<void> write_records(const Index& index) {
    for (const auto& [key, record] : own_) {
      if (!manifest::is_valid_tag(record_prefix(tag_) + key)) {
        return fail(ErrorCode::invalid_argument,
                    fmt::format("the tag {} is too long to add platforms to", printable(tag_)),
                    "use a tag of at most 80 characters");
      }
    }
    return for_each(own_, [&](auto& own) -> Result<void> {
      auto written = write_record(own.first, own.second, index);
      if (!written) {
        return fail(
            std::move(written).error().while_doing("announce " + own.first + " in " + what()));
      }
      return {};
    });
  }

  /// A publisher that read before the platform's last publication may yet put what stood before
  /// that, so the record says all that it replaces.
  Result<void> write_record(const std::string& key, ListRecord& record, const Index& index) {
    FNIMAGE_TRY(const auto before, read_record(key));
    record.replaces = {standing_name(entry_digest(index, key))};
    if (before && !is_leftover(before->record)) {
      const auto& entries = before->record.entries;
      record.replaces.push_back(
          standing_name(entries.empty() ? std::nullopt : std::optional(entries.front().digest)));
      record.replaces.insert(record.replaces.end(), before->record.replaces.begin(),
                             before->record.replaces.end());
    }
    std::vector<std::string> once;
    for (std::string& name : record.replaces) {
      if (std::find(once.begin(), once.end(), name) == once.end() && once.size() < max_replaced) {
        once.push_back(std::move(name));
      }
    }
    record.replaces = std::move(once);
    return store_.put_manifest(to_document(record), record_prefix(tag_) + key);
  }

  Result<void> read_list(Standing& standing) {
    auto document = store_.get_manifest(tag_);
    if (!document) {
      if (document.error().code() == ErrorCode::not_found) {
        return {};
      }
      return fail(std::move(document).error());
    }
    if (!document->is_index()) {
      return fail(ErrorCode::already_exists,
                  fmt::format("{} is a single image, not a list", what()),
                  "choose another tag for the list, or make a list of it with `manifest create`");
    }
    FNIMAGE_TRY(standing.index, document->index());
    standing.list = std::move(*document);
    return {};
  }

  /// Every platform whose record may stand.
  Result<std::set<std::string>> candidates(const Standing& standing) {
    std::set<std::string> keys;
    for (const auto& [key, record] : own_) {
      keys.insert(key);
    }
    for (const Descriptor& entry : standing.index.manifests) {
      keys.insert(platform_key(entry));
    }
    for (const manifest::Platform& platform : options_.also) {
      keys.insert(platform_key(platform));
    }
    if (options_.usual_platforms) {
      keys.insert(list_key);
      for (const char* name : usual_platform_names) {
        FNIMAGE_TRY(const manifest::Platform platform, manifest::Platform::parse(name));
        keys.insert(platform_key(platform));
      }
    }
    FNIMAGE_CHECK(add_listed(keys));
    std::erase_if(keys, [&](const std::string& key) {
      return key.empty() || !manifest::is_valid_tag(record_prefix(tag_) + key);
    });
    return keys;
  }

  /// Rare platforms are found by the tag list. Registries may not offer it, or it may be stale:
  /// then only those are not seen.
  Result<void> add_listed(std::set<std::string>& keys) {
    auto tags = store_.tags();
    if (!tags) {
      if (tags.error().code() == ErrorCode::cancelled) {
        return fail(std::move(tags).error());
      }
      return {};
    }
    const std::string prefix = record_prefix(tag_);
    for (const std::string& tag : *tags) {
      if (tag.starts_with(prefix)) {
        keys.insert(tag.substr(prefix.size()));
      }
    }
    return {};
  }

  Result<Standing> read_all() {
    Standing standing;
    FNIMAGE_CHECK(read_list(standing));
    if (!store_.guards_tags()) {
      FNIMAGE_CHECK(read_records(standing));
    }
    for (const auto& [key, record] : own_) {
      standing.records.emplace(key, StandingRecord{to_document(record).digest(), record});
    }
    return standing;
  }

  Result<void> read_records(Standing& standing) {
    FNIMAGE_TRY(const std::set<std::string> keys, candidates(standing));
    std::map<std::string, std::optional<StandingRecord>> found;
    for (const std::string& key : keys) {
      found[key];
    }
    FNIMAGE_CHECK(for_each(keys, [&](const std::string& key) -> Result<void> {
      FNIMAGE_TRY(found.at(key), read_record(key));
      return {};
    }));
    for (auto& [key, record] : found) {
      if (record) {
        standing.records.emplace(key, std::move(*record));
      }
    }
    return {};
  }

  Result<std::optional<StandingRecord>> read_record(const std::string& key) {
    auto document = store_.get_manifest(record_prefix(tag_) + key);
    if (!document) {
      if (document.error().code() == ErrorCode::not_found) {
        return std::nullopt;
      }
      return fail(std::move(document).error());
    }
    auto record = parse_record(*document);
    if (!record) {
      return std::nullopt;
    }
    return StandingRecord{document->digest(), std::move(*record)};
  }

  /// Whether a record is still to be followed, or of a run that ended before this one began.
  [[nodiscard]] bool is_live(const std::string& key, const StandingRecord& standing,
                             const Index& index) const {
    if (own_.contains(key)) {
      return true;
    }
    const auto before = seen_first_.find(key);
    if (before == seen_first_.end() || before->second != standing.digest) {
      return true;  // written while this one runs
    }
    // Its writer may be about to put it, or somebody slow has just undone it. Where something else
    // stands, a later publication that wrote no record has replaced it.
    const auto& replaces = standing.record.replaces;
    return !is_leftover(standing.record) &&
           std::find(replaces.begin(), replaces.end(), standing_name(entry_digest(index, key))) !=
               replaces.end();
  }

  [[nodiscard]] bool is_leftover(const ListRecord& record) const {
    return options_.now().time_since_epoch() - std::chrono::seconds(record.time) >
           options_.leftover_after;
  }

  /// What should stand; nullopt when that is what stands.
  [[nodiscard]] Result<std::optional<Index>> wanted(const Standing& standing) const {
    Index index = standing.index;
    std::vector<std::pair<std::string, const ListRecord*>> live;
    for (const auto& [key, record] : standing.records) {
      if (is_live(key, record, standing.index)) {
        live.emplace_back(key, &record.record);
      }
    }
    if (!standing.list) {
      index.format = change_.format.value_or(std::all_of(live.begin(), live.end(),
                                                         [](const auto& item) {
                                                           return item.second->entries.empty() ||
                                                                  is_docker_image(
                                                                      item.second->entries.front());
                                                         })
                                                 ? Format::docker
                                                 : Format::oci);
    }
    bool changed = !standing.list.has_value();
    for (const auto& [key, record] : live) {
      const bool applied = apply_record(key, *record, index);
      changed = changed || applied;
      if (applied && !own_.contains(key)) {
        diagnostics_.report(Severity::info,
                            fmt::format("{}: {} {} too, as another publisher wants", what(),
                                        record->entries.empty() ? "removing" : "adding", key));
      }
    }
    if (!changed) {
      return std::nullopt;
    }
    FNIMAGE_CHECK(refuse_mixture(index, what()));
    return index;
  }

  Result<PublishedList> converge() {
    RetryOptions pause;
    pause.first_delay = std::chrono::milliseconds(30);
    pause.max_delay = std::chrono::milliseconds(2000);
    for (int puts = 0; result_.rounds < options_.max_rounds; ++puts) {
      if (puts > 1) {
        wait(backoff(pause, puts, jitter()));  // before reading: what is put must be fresh
      }
      FNIMAGE_TRY(Standing standing, read_all());
      if (++result_.rounds == 1) {
        for (const auto& [key, record] : standing.records) {
          seen_first_.emplace(key, record.digest);
        }
      }
      FNIMAGE_TRY(const std::optional<Index> index, wanted(standing));
      if (!index) {
        return finish(standing);
      }
      const Document document = Document::of(*index);
      FNIMAGE_TRY(const bool moved, put(document, standing.digest()));
      if (moved && store_.guards_tags()) {
        standing.list = document;
        return finish(standing);
      }
      diagnostics_.report(Severity::debug, fmt::format("{}: round {}{}", what(), result_.rounds,
                                                       moved ? "" : ", changed meanwhile"));
    }
    return fail(
        Error(ErrorCode::unavailable,
              fmt::format("{}: others kept changing the list, {} times", what(), result_.rounds))
            .with_hint("run the command again")
            .retryable());
  }

  /// Some peers compare If-Match with tags of their own and refuse what nobody has changed: after
  /// two refusals with the list standing where it stood, the reading again has to do alone.
  Result<bool> put(const Document& document, const std::optional<Digest>& expected) {
    if (refusals_ > 1 && refused_at_ == expected) {
      FNIMAGE_CHECK(store_.put_manifest(document, tag_));
      return true;
    }
    FNIMAGE_TRY(const bool moved, store_.put_manifest_if(document, tag_, expected));
    refusals_ = moved ? 0 : refused_at_ == expected ? refusals_ + 1 : 1;
    refused_at_ = expected;
    return moved;
  }

  Result<PublishedList> finish(const Standing& standing) {
    std::vector<manifest::Platform> superseded;
    for (const auto& [key, record] : own_) {
      const auto found = standing.records.find(key);
      const auto name = names_.find(key);
      if (name != names_.end() && found->second.digest != to_document(record).digest()) {
        superseded.push_back(name->second);
      }
    }
    return PublishedList{.list = standing.list->descriptor(),
                         .previous = result_.previous,
                         .superseded = std::move(superseded),
                         .rounds = result_.rounds};
  }

  void wait(std::chrono::milliseconds duration) const {
    if (options_.sleep) {
      options_.sleep(duration);
    } else {
      std::this_thread::sleep_for(duration);
    }
  }

  struct Progress {
    std::optional<Digest> previous;
    int rounds = 0;
  };

  ImageStore& store_;
  const std::string& tag_;
  const ListChange& change_;
  const PublishListOptions& options_;
  Diagnostics& diagnostics_;
  std::map<std::string, ListRecord> own_;  ///< by platform key
  std::map<std::string, manifest::Platform> names_;
  std::map<std::string, Digest> seen_first_;  ///< records of the first round
  std::optional<WorkerPool> pool_;
  int refusals_ = 0;  ///< of puts in a row, each with the list at refused_at_
  std::optional<Digest> refused_at_;
  Progress result_;
};

}  // namespace

Result<PublishedList> publish_list_change(ImageStore& store, const std::string& tag,
                                          const ListChange& change,
                                          const PublishListOptions& options,
                                          Diagnostics& diagnostics) {
  return Publisher(store, tag, change, options, diagnostics).run();
}

bool is_list_record_tag(std::string_view tag) noexcept {
  return tag.find(".fnimage.") != std::string_view::npos;
}

}  // namespace fnimage::registry
