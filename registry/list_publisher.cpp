// The protocol's rounds. What one round reads is a Standing; what should stand is a pure function
// of it, so publishers that have read the same want the same bytes.
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/lint.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/list_publisher.hpp>
#include <fnimage/registry/tagging.hpp>

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

constexpr std::size_t max_shown_name = 100;

std::string random_name() {
  std::random_device device;
  const std::array<std::uint32_t, 2> words{device(), device()};
  return to_hex(std::as_bytes(std::span(words)));
}

/// Keeps the first of each, and no more than so many.
void keep_first(std::vector<std::string>& names, std::size_t most) {
  std::vector<std::string> once;
  for (std::string& name : names) {
    if (once.size() < most && std::find(once.begin(), once.end(), name) == once.end()) {
      once.push_back(std::move(name));
    }
  }
  names = std::move(once);
}

class Publisher {
 public:
  Publisher(ImageStore& store, const std::string& tag, const ListChange& change,
            const PublishListOptions& options, Diagnostics& diagnostics)
      : store_(store), tag_(tag), change_(change), options_(options), diagnostics_(diagnostics) {}

  Result<PublishedList> run() {
    FNIMAGE_CHECK(sort_out_change());
    if (!store_.guards_tags()) {
      FNIMAGE_CHECK(choose_keys());
    }
    FNIMAGE_TRY(const Standing first, read_all());
    FNIMAGE_CHECK(check_removals(first));
    result_.previous = first.digest();
    begin(first);
    FNIMAGE_CHECK(check_own(first));
    if (!store_.guards_tags()) {
      FNIMAGE_CHECK(for_each(own_, [&](auto& own) {
        return write_record(own.first, [&] {
          return store_.put_manifest(to_document(own.second), record_prefix(tag_) + own.first);
        });
      }));
    }
    return converge();
  }

 private:
  [[nodiscard]] std::string what() const { return store_.describe() + ":" + tag_; }

  /// What this run wants of one platform.
  [[nodiscard]] ListRecord record_of(std::vector<Descriptor> entries) const {
    return {.entries = std::move(entries),
            .annotations = change_.annotations,
            .removed = {change_.remove_annotations.begin(), change_.remove_annotations.end()}};
  }

  /// The change as records, one per platform.
  Result<void> sort_out_change() {
    for (const manifest::Platform& platform : change_.remove) {
      own_[platform_key(platform)] = record_of({});
      names_[platform_key(platform)] = platform;
    }
    for (const Descriptor& entry : change_.add) {
      const std::string key = platform_key(entry);
      if (key.empty()) {
        FNIMAGE_CHECK(require_image_of(entry));
        continue;
      }
      own_[key] = record_of({entry});
      names_[key] = *entry.platform;
      for (const Descriptor& other : change_.add) {
        if (platform_key(other).empty() && attests(other, entry.digest)) {
          own_[key].entries.push_back(other);
        }
      }
    }
    if (own_.empty() && !(change_.annotations.empty() && change_.remove_annotations.empty())) {
      own_[list_key] = record_of({});
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

  Result<void> check_removals(const Standing& standing) const {
    if (!standing.list && !(change_.remove.empty() && change_.remove_annotations.empty())) {
      return fail(ErrorCode::not_found, fmt::format("there is no list {}", what()),
                  "check registry, repository and tag");
    }
    for (const manifest::Platform& platform : change_.remove) {
      if (!entry_digest(standing.index, platform_key(platform))) {
        return has_no("entry for " + platform.str());
      }
    }
    for (const std::string& name : change_.remove_annotations) {
      if (!standing.index.annotations.contains(name)) {
        return has_no("annotation " + printable(name, max_shown_name));
      }
    }
    return {};
  }

  [[nodiscard]] tl::unexpected<Error> has_no(const std::string& thing) const {
    return fail(ErrorCode::not_found, fmt::format("{} has no {}", what(), thing),
                fmt::format("`fnimage manifest inspect {}` shows what it has", what()));
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

  /// What the run found decides what it follows; its records say so to others.
  void begin(const Standing& first) {
    const auto now = options_.now ? options_.now() : store_.now();
    beginning_.time =
        std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    beginning_.leftover_after = options_.leftover_after;
    std::vector<std::string> finished;
    for (const auto& [key, record] : first.records) {
      const bool leftover = beginning_.is_leftover(record.record);
      if (leftover || record.record.finished) {
        beginning_.ended.insert(record.digest);
      }
      if (!leftover && record.record.finished) {
        finished.push_back(record.digest.str());
      }
    }
    const std::string run = options_.run_name.empty() ? random_name() : options_.run_name;
    for (auto& [key, record] : own_) {
      record.time = beginning_.time;
      record.run = run;
      record.after = finished;
      record.replaces = {value_of(first.index, key, record)};
      take_over(first, key, record);
      keep_first(record.replaces, max_replaced);
      keep_first(record.after, max_after);
    }
  }

  /// From the record that this one replaces. A publisher that read the list before the platform's
  /// last publication may yet put what stood before that. And what a run that has not finished may
  /// have undone is for this one to put back.
  void take_over(const Standing& first, const std::string& key, ListRecord& record) {
    const auto before = first.records.find(key);
    if (before == first.records.end()) {
      return;
    }
    replaced_.emplace(key, before->second.digest);
    const ListRecord& old = before->second.record;
    if (beginning_.is_leftover(old)) {
      return;
    }
    if (key != list_key) {
      record.replaces.push_back(old.entries.empty() ? "none" : old.entries.front().digest.str());
    }
    record.replaces.insert(record.replaces.end(), old.replaces.begin(), old.replaces.end());
    if (!old.finished) {
      record.after = old.after;
    }
  }

  /// The change by itself, before anybody can see it.
  Result<void> check_own(const Standing& first) const {
    Index index = first.index;
    if (!first.list) {
      index.format = format_of_new(own_);
    }
    const Index before = index;
    for (const auto& [key, record] : own_) {
      apply_record(key, record, index);
    }
    FNIMAGE_CHECK(check_change(before, index, what()));
    const auto found_in = [this](const Index& list) {
      return options_.lint ? manifest::lint(list) : manifest::validate(list);
    };
    const std::vector<manifest::Finding> findings =
        manifest::new_findings(found_in(index), found_in(before));
    FNIMAGE_CHECK(options_.lint ? manifest::require_publishable(findings, what()) : Result<void>());
    for (const manifest::Finding& finding : findings) {
      if (!finding.fatal) {
        diagnostics_.report(Severity::warning,
                            fmt::format("{}: {}; {}", what(), finding.message, finding.fix));
      }
    }
    return {};
  }

  [[nodiscard]] Format format_of_new(const std::map<std::string, ListRecord>& records) const {
    const bool docker = std::all_of(records.begin(), records.end(), [](const auto& item) {
      return item.second.entries.empty() || is_docker_image(item.second.entries.front());
    });
    return change_.format.value_or(docker ? Format::docker : Format::oci);
  }

  Result<void> write_record(const std::string& key,
                            const std::function<Result<void>()>& write) const {
    auto written = write();
    return written ? std::move(written)
                   : fail(std::move(written).error().while_doing(
                         fmt::format("announce {} in {}", shown(key), what())));
  }

  /// Of a key, for people.
  static std::string shown(const std::string& key) { return key == list_key ? "annotations" : key; }

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

  /// The platforms whose records are asked for before anything else is known.
  Result<void> choose_keys() {
    for (const auto& [key, record] : own_) {
      if (!manifest::is_valid_tag(record_prefix(tag_) + key)) {
        return fail(ErrorCode::invalid_argument,
                    fmt::format("the tag {} is too long to add platforms to", printable(tag_)),
                    "use a tag of at most 80 characters");
      }
      keys_.insert(key);
    }
    for (const manifest::Platform& platform : options_.also) {
      add_key(keys_, platform_key(platform));
    }
    if (options_.usual_platforms) {
      add_key(keys_, list_key);
      for (const char* name : usual_platform_names) {
        FNIMAGE_TRY(const manifest::Platform platform, manifest::Platform::parse(name));
        add_key(keys_, platform_key(platform));
      }
    }
    return {};
  }

  void add_key(std::set<std::string>& keys, const std::string& key) const {
    if (!key.empty() && manifest::is_valid_tag(record_prefix(tag_) + key)) {
      keys.insert(key);
    }
  }

  /// Rare platforms are found by the tag list. Registries may not offer it, or it may be stale:
  /// then only those are not seen.
  Result<void> list_records(std::set<std::string>& keys) {
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

  using Found = std::map<std::string, std::optional<StandingRecord>>;
  using Tasks = std::vector<std::function<Result<void>()>>;

  void add_reading(Tasks& tasks, Found& found, const std::set<std::string>& keys) {
    for (const std::string& key : keys) {
      std::optional<StandingRecord>& place = found[key];
      tasks.emplace_back([this, key, &place]() -> Result<void> {
        FNIMAGE_TRY(place, read_record(key));
        return {};
      });
    }
  }

  Result<void> run_tasks(Tasks& tasks) {
    return for_each(tasks, [](const auto& task) { return task(); });
  }

  /// The list and all records, at the same time: no order among them is needed, since whoever
  /// writes one of them while they are read has not finished before.
  Result<Standing> read_all() {
    Standing standing;
    if (store_.guards_tags()) {
      FNIMAGE_CHECK(read_list(standing));
      return standing;
    }
    Found found;
    std::set<std::string> listed;
    Tasks tasks;
    tasks.emplace_back([&] { return read_list(standing); });
    tasks.emplace_back([&] { return list_records(listed); });
    add_reading(tasks, found, keys_);
    FNIMAGE_CHECK(run_tasks(tasks));
    for (const Descriptor& entry : standing.index.manifests) {
      add_key(listed, platform_key(entry));
    }
    std::erase_if(listed, [&](const std::string& key) { return keys_.contains(key); });
    if (!listed.empty()) {
      Tasks more;
      add_reading(more, found, listed);
      FNIMAGE_CHECK(run_tasks(more));
      keys_.merge(listed);
    }
    for (auto& [key, record] : found) {
      if (record) {
        standing.records.emplace(key, std::move(*record));
      }
    }
    return standing;
  }

  /// As read_all(), with this run's records where the store does not show them yet.
  Result<Standing> read_round() {
    FNIMAGE_TRY(Standing standing, read_all());
    for (const auto& [key, record] : own_) {
      const auto found = standing.records.find(key);
      const auto old = replaced_.find(key);
      if (found == standing.records.end() ||
          (old != replaced_.end() && found->second.digest == old->second)) {
        standing.records.insert_or_assign(key,
                                          StandingRecord{to_document(record).digest(), record});
      }
    }
    return standing;
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

  /// What should stand; nullopt when that is what stands.
  Result<std::optional<Index>> wanted(const Standing& standing) {
    const std::vector<std::string> keys = followed(standing, own_, beginning_);
    Index index = standing.index;
    if (!standing.list) {
      std::map<std::string, ListRecord> records;
      for (const std::string& key : keys) {
        records.emplace(key, standing.records.at(key).record);
      }
      index.format = format_of_new(records);
    }
    const Index before = index;
    for (const std::string& key : keys) {
      FNIMAGE_CHECK(apply(key, standing.records.at(key), index));
    }
    if (standing.list && Document::of(index).digest() == Document::of(before).digest()) {
      return std::nullopt;
    }
    FNIMAGE_CHECK(check_change(before, index, what()));
    return index;
  }

  /// Another's change that would make the list wrong is left out; its own publisher is told why.
  Result<void> apply(const std::string& key, const StandingRecord& record, Index& index) {
    if (own_.contains(key)) {
      apply_record(key, record.record, index);
      return {};
    }
    if (left_out_.contains(record.digest)) {
      return {};
    }
    Index changed = index;
    const Applied applied = apply_record(key, record.record, changed);
    if (!applied.entries && !applied.annotations) {
      return {};
    }
    if (auto possible = check_change(index, changed, what()); !possible) {
      leave_out(key, record.digest, possible.error().message());
      return {};
    }
    index = std::move(changed);
    if (told_.insert(record.digest).second) {
      diagnostics_.report(Severity::info, fmt::format("{}: {} too, as another publisher wants",
                                                      what(), deed(key, record.record, applied)));
    }
    return {};
  }

  static std::string deed(const std::string& key, const ListRecord& record,
                          const Applied& applied) {
    if (!applied.entries) {
      return record.annotations.empty() ? "removing annotations" : "setting annotations";
    }
    return record.entries.empty() ? "removing " + key
                                  : "adding " + record.entries.front().platform->str();
  }

  void leave_out(const std::string& key, const Digest& digest, const std::string& why) {
    left_out_.insert(digest);
    diagnostics_.report(Severity::warning,
                        fmt::format("{}: left out what another publisher wants of {}: {}", what(),
                                    shown(key), why));
  }

  /// A registry takes no list with an image that has been deleted since its publisher announced it.
  /// True when one of those who are followed is such a publisher.
  Result<bool> leave_out_deleted(const Standing& standing) {
    bool any = false;
    for (const std::string& key : followed(standing, own_, beginning_)) {
      const StandingRecord& record = standing.records.at(key);
      if (own_.contains(key) || left_out_.contains(record.digest)) {
        continue;
      }
      for (const Descriptor& entry : record.record.entries) {
        FNIMAGE_TRY(const auto there, store_.resolve(entry.digest));
        if (!there) {
          leave_out(key, record.digest, entry.digest.str() + " is not there any more");
          any = true;
          break;
        }
      }
    }
    return any;
  }

  Result<PublishedList> converge() {
    RetryOptions pause;
    pause.first_delay = std::chrono::milliseconds(30);
    pause.max_delay = std::chrono::milliseconds(2000);
    for (int puts = 0; result_.rounds < options_.max_rounds; ++puts) {
      if (puts > 1) {
        wait(backoff(pause, puts, jitter()));  // before reading: what is put must be fresh
      }
      FNIMAGE_TRY(Standing standing, read_round());
      ++result_.rounds;
      FNIMAGE_TRY(const std::optional<Index> index, wanted(standing));
      if (!index) {
        return finish(standing);
      }
      const Document document = Document::of(*index);
      auto moved = put(document, standing.digest());
      if (!moved) {
        FNIMAGE_TRY(const bool less, without_deleted(standing, moved.error()));
        if (!less) {
          return fail(std::move(moved).error());
        }
        continue;
      }
      if (*moved && store_.guards_tags()) {
        standing.list = document;
        return finish(standing);
      }
      diagnostics_.report(Severity::debug, fmt::format("{}: round {}{}", what(), result_.rounds,
                                                       *moved ? "" : ", changed meanwhile"));
    }
    return fail(
        Error(ErrorCode::unavailable,
              fmt::format("{}: others kept changing the list, {} times", what(), result_.rounds))
            .with_hint("run the command again")
            .retryable());
  }

  /// After a put that failed: whether it is worth another try.
  Result<bool> without_deleted(const Standing& standing, const Error& error) {
    const bool refused = error.http_status() == 400 || error.http_status() == 404 ||
                         error.code() == ErrorCode::not_found;
    return refused ? leave_out_deleted(standing) : Result<bool>(false);
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
    std::map<std::string, ListRecord> standing_own;
    for (const auto& [key, record] : own_) {
      const auto found = standing.records.find(key);
      const bool stands =
          found == standing.records.end() || found->second.digest == to_document(record).digest();
      const auto name = names_.find(key);
      if (stands) {
        standing_own.emplace(key, record);
      } else if (name != names_.end()) {
        superseded.push_back(name->second);
      }
    }
    if (!store_.guards_tags()) {
      FNIMAGE_CHECK(
          for_each(standing_own, [&](auto& own) { return write_finished(own.first, own.second); }));
    }
    return PublishedList{.list = standing.list->descriptor(),
                         .previous = result_.previous,
                         .superseded = std::move(superseded),
                         .rounds = result_.rounds};
  }

  /// The list is right; only what is done to it until the record is a leftover may suffer when this
  /// fails.
  Result<void> write_finished(const std::string& key, const ListRecord& record) {
    ListRecord finished = record;
    finished.finished = true;
    const std::string tag = record_prefix(tag_) + key;
    const Document document = to_document(finished);
    const Digest expected = to_document(record).digest();
    auto written = store_.put_manifest_if(document, tag, expected);
    if (written && !*written) {
      FNIMAGE_TRY(const auto now, read_record(key));
      if (now && now->digest == expected) {  // see put()
        const auto put = store_.put_manifest(document, tag);
        written = put ? Result<bool>(true) : fail(put.error());
      }
    }
    if (!written && written.error().code() == ErrorCode::cancelled) {
      return fail(std::move(written).error());
    }
    if (!written) {
      diagnostics_.report(
          Severity::warning,
          fmt::format("{}: {} is published, but others may take it for unfinished: {}", what(),
                      shown(key), written.error().describe()));
    }
    return {};
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
  Beginning beginning_;
  std::map<std::string, Digest> replaced_;  ///< records that stood where own ones stand now
  std::set<std::string> keys_;              ///< of records to be asked for
  std::set<Digest> left_out_;               ///< others' records that cannot be followed
  std::set<Digest> told_;                   ///< others' records that were reported
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

Result<void> remove_list_records(ImageStore& store, const std::string& tag) {
  const auto tags = store.tags();
  if (!tags) {
    // Nobody can look for them there.
    return tags.error().code() == ErrorCode::cancelled ? fail(tags.error()) : Result<void>();
  }
  for (const std::string& name : *tags) {
    if (!name.starts_with(record_prefix(tag))) {
      continue;
    }
    auto removed = remove_single_tag(store, name);
    if (!removed && removed.error().code() != ErrorCode::not_found) {
      return fail(std::move(removed).error());
    }
  }
  return {};
}

bool is_list_record_tag(std::string_view tag) noexcept {
  return tag.find(".fnimage.") != std::string_view::npos;
}

}  // namespace fnimage::registry
