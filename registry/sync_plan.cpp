// See sync_plan.hpp.
#include "sync_plan.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/pattern.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/fallback_tag.hpp>
#include <fnimage/registry/list_publisher.hpp>

namespace fnimage::registry {

using manifest::Descriptor;
using manifest::Digest;

namespace {

/// Longer listings may be cut.
constexpr std::size_t most_tags = 1'000'000;

/// Under which referrers are listed, whose list each place makes for itself.
bool is_list_of_referrers(const std::string& tag, const Descriptor& standing) {
  return is_referrers_tag(tag) && tag.find('.') == std::string::npos &&
         manifest::is_index_type(standing.media_type);
}

std::optional<Digest> subject_of(std::string tag) {
  tag[tag.find('-')] = ':';
  const auto digest = Digest::parse(tag);
  return digest ? std::optional(*digest) : std::nullopt;  // of sha512 only a part is told
}

class SyncPlanner {
 public:
  SyncPlanner(const SyncItem& item, OpenRepository& from, OpenRepository& to,
              const SyncOptions& options, WorkerPool& pool)
      : item_(item), from_(from), to_(to), options_(options), pool_(pool) {}

  Result<SyncPlan> run() {
    FNIMAGE_CHECK(list_source());
    FNIMAGE_CHECK(list_destination());
    std::vector<std::string> wanted;
    for (const auto& [tag, standing] : listed_) {
      if (is_wanted(tag)) {
        wanted.push_back(tag);
      }
    }
    FNIMAGE_CHECK(add_tags(wanted));
    FNIMAGE_CHECK(add_attached_tags());
    FNIMAGE_CHECK(add_referrers());
    FNIMAGE_CHECK(add_untagged());
    plan_removals();
    for (auto& [digest, root] : roots_) {
      plan_.roots.push_back(std::move(root));
    }
    return std::move(plan_);
  }

 private:
  Result<void> list_source() {
    if (!item_.only.empty()) {
      for (const Selector& one : item_.only) {
        if (const auto* tag = std::get_if<std::string>(&one)) {
          listed_.emplace(*tag, std::nullopt);
        }
      }
      return {};
    }
    auto tags = from_.tags();
    if (!tags && tags.error().code() == ErrorCode::not_found && item_.is_listed) {
      return {};
    }
    FNIMAGE_TRY(listed_, std::move(tags));
    return {};
  }

  /// A registry may hide what nobody has pushed to yet in many ways.
  Result<void> list_destination() {
    auto tags = to_.tags();
    if (tags) {
      there_ = std::move(*tags);
      is_listed_there_ = true;
      return {};
    }
    const Error& error = tags.error();
    is_listed_there_ = error.code() == ErrorCode::not_found;
    return error.is_retryable() || error.code() == ErrorCode::cancelled ? Result<void>(fail(error))
                                                                        : Result<void>();
  }

  [[nodiscard]] bool is_chosen(const std::string& tag) const {
    const auto matches = [&](const std::string& pattern) { return matches_pattern(pattern, tag); };
    return (options_.tags.empty() || std::ranges::any_of(options_.tags, matches)) &&
           std::ranges::none_of(options_.exclude, matches) && !is_list_record_tag(tag);
  }
  [[nodiscard]] bool is_wanted(const std::string& tag) const {
    return is_chosen(tag) && (options_.referrers || !is_companion_tag(tag));
  }
  /// Not all of the repository is asked for.
  [[nodiscard]] bool is_partial() const {
    return !item_.only.empty() || !options_.tags.empty() || !options_.exclude.empty();
  }

  /// Asks for what listings do not tell, all at once.
  Result<void> resolve(OpenRepository& side, TagListing& listing,
                       const std::vector<std::string>& tags, bool adds) {
    std::vector<std::string> open;
    for (const std::string& tag : tags) {
      const auto known = listing.find(tag);
      if (known == listing.end() ? adds : !known->second.has_value()) {
        open.push_back(tag);
      }
    }
    std::mutex mutex;
    TaskGroup group(pool_);
    for (const std::string& tag : open) {
      group.run([&, this]() -> Result<void> {
        auto found = side.store().resolve(tag);
        const std::lock_guard lock(mutex);
        if (found && *found) {
          listing[tag] = std::move(*found);
        } else if (found) {
          listing.erase(tag);
        } else {
          return note_unresolved(side, listing, tag, found.error());
        }
        return {};
      });
    }
    return group.wait();
  }

  Result<void> note_unresolved(OpenRepository& side, TagListing& listing, const std::string& tag,
                               const Error& error) {
    if (error.code() == ErrorCode::cancelled) {
      return fail(error);
    }
    const bool matters = &side == &from_ || error.is_retryable();
    if (matters) {
      plan_.failures.push_back({fmt::format("{}:{}", item_.from_name, tag), error});
      listed_.erase(tag);
    } else {
      listing.erase(tag);  // whatever stands there may be replaced
    }
    return {};
  }

  Result<void> add_tags(const std::vector<std::string>& tags) {
    FNIMAGE_CHECK(resolve(from_, listed_, tags, false));
    FNIMAGE_CHECK(require_named(tags));
    std::vector<std::string> left;
    for (const std::string& tag : tags) {
      const auto found = listed_.find(tag);
      if (found == listed_.end() || !found->second) {
        continue;  // it has gone meanwhile
      }
      if (is_list_of_referrers(tag, *found->second)) {
        const auto subject = subject_of(tag);
        subjects_.insert(subject ? *subject : found->second->digest);
      } else {
        left.push_back(tag);
      }
    }
    FNIMAGE_CHECK(resolve(to_, there_, left, !is_listed_there_));
    for (const std::string& tag : left) {
      if (listed_.contains(tag)) {
        compare(tag, *listed_.at(tag));
      }
    }
    return {};
  }

  /// What was asked for by its name is there, or that is an error.
  Result<void> require_named(const std::vector<std::string>& tags) {
    for (const std::string& tag : item_.only.empty() ? std::vector<std::string>() : tags) {
      const std::string what = fmt::format("{}:{}", item_.from_name, tag);
      const bool has_failed = std::ranges::any_of(
          plan_.failures, [&](const SyncFailure& failure) { return failure.what == what; });
      if (!listed_.contains(tag) && !has_failed) {
        plan_.failures.push_back(
            {what, Error(ErrorCode::not_found, fmt::format("no tag {} in {}", printable(tag),
                                                           from_.store().describe()))});
      }
    }
    return {};
  }

  void compare(const std::string& tag, const Descriptor& wanted) {
    const auto found = there_.find(tag);
    const bool exists = found != there_.end() && found->second;
    SyncedTag change{.tag = tag, .digest = wanted.digest};
    if (exists) {
      change.previous = found->second->digest;
    }
    if (exists && !options_.overwrite && change.previous != wanted.digest) {
      plan_.kept.push_back(std::move(change));
      return;
    }
    SyncRoot& root =
        roots_.try_emplace(wanted.digest, SyncRoot{.descriptor = wanted}).first->second;
    if (change.previous == wanted.digest) {
      root.same.push_back(tag);
      ++plan_.same;
    } else {
      root.moved.push_back(std::move(change));
    }
  }

  /// The root and, of a list, its images: all that somebody may have signed or described.
  Result<std::vector<Digest>> subjects_of(const Descriptor& root) {
    std::vector<Digest> subjects{root.digest};
    if (manifest::is_index_type(root.media_type)) {
      FNIMAGE_TRY(const auto document, from_.store().get_manifest(root.digest));
      FNIMAGE_TRY(const auto list, document.index());
      for (const Descriptor& child : list.manifests) {
        subjects.push_back(child.digest);
      }
    }
    return subjects;
  }

  /// Runs for all roots. Those where it fails stay away: a tag without what belongs to it says too
  /// much.
  Result<void> for_each_root(const std::function<Result<void>(SyncRoot&)>& work) {
    std::mutex mutex;
    std::set<Digest> failed;
    TaskGroup group(pool_);
    for (auto& entry : roots_) {
      group.run([&, one = &entry.second]() -> Result<void> {
        auto done = work(*one);
        if (done || done.error().code() == ErrorCode::cancelled) {
          return done;
        }
        const std::lock_guard lock(mutex);
        failed.insert(one->descriptor.digest);
        plan_.failures.push_back({name_of(*one), done.error()});
        return {};
      });
    }
    FNIMAGE_CHECK(group.wait());
    std::erase_if(roots_, [&](const auto& entry) { return failed.contains(entry.first); });
    return {};
  }

  [[nodiscard]] std::string name_of(const SyncRoot& root) const {
    return sync_name(item_.from_name, root);
  }

  /// Where only some tags are asked for: what cosign keeps beside their images under tags of its
  /// own.
  Result<void> add_attached_tags() {
    if (!options_.referrers || !is_partial()) {
      return {};
    }
    TagListing all;
    if (item_.only.empty()) {
      all = listed_;
    } else if (auto listed = from_.tags()) {
      all = std::move(*listed);
    }
    std::mutex mutex;
    std::set<std::string> found;
    FNIMAGE_CHECK(for_each_root([&](SyncRoot& root) -> Result<void> {
      FNIMAGE_TRY(const std::vector<Digest> subjects, subjects_of(root.descriptor));
      for (const Digest& subject : subjects) {
        const std::string prefix = referrers_tag(subject) + ".";
        const std::lock_guard lock(mutex);
        for (auto tag = all.lower_bound(prefix); tag != all.end() && tag->first.starts_with(prefix);
             ++tag) {
          found.insert(tag->first);
        }
      }
      return {};
    }));
    std::vector<std::string> tags;
    for (const std::string& tag : found) {
      if (listed_.try_emplace(tag, all.at(tag)).second || !is_wanted(tag)) {
        tags.push_back(tag);
      }
    }
    return add_tags(tags);
  }

  Result<void> add_referrers() {
    if (!options_.referrers) {
      return {};
    }
    // Of what is not among the images any more: listed under an image that is not.
    for (const Digest& subject : is_partial() ? std::set<Digest>() : subjects_) {
      roots_.try_emplace(subject, SyncRoot{.descriptor = {.media_type = {}, .digest = subject}});
    }
    return for_each_root([&](SyncRoot& root) -> Result<void> {
      FNIMAGE_TRY(const std::vector<Digest> subjects, subjects_of(root.descriptor));
      FNIMAGE_TRY(const ReferrerMap found, find_referrers(from_.store(), subjects));
      for (const auto& [subject, referrers] : found) {
        FNIMAGE_TRY(auto missing, missing_there(subject, referrers));
        if (!missing.empty()) {
          root.referrers.emplace(subject, std::move(missing));
        }
        const std::lock_guard lock(mutex_);
        for (const Descriptor& referrer : referrers) {
          referring_.insert(referrer.digest);
        }
      }
      return {};
    });
  }

  Result<std::vector<Descriptor>> missing_there(const Digest& subject,
                                                std::vector<Descriptor> referrers) {
    auto listed = to_.store().referrers(subject);
    if (!listed) {
      const Error& error = listed.error();
      return error.is_retryable() || error.code() == ErrorCode::cancelled
                 ? Result<std::vector<Descriptor>>(fail(error))
                 : std::move(referrers);
    }
    std::erase_if(referrers, [&](const Descriptor& one) {
      return std::ranges::any_of(
          *listed, [&](const Descriptor& other) { return other.digest == one.digest; });
    });
    return referrers;
  }

  Result<void> add_untagged() {
    std::vector<Descriptor> candidates;
    if (!is_partial()) {
      FNIMAGE_TRY(candidates, from_.untagged());
    }
    for (const Selector& one : item_.only) {
      if (const auto* digest = std::get_if<Digest>(&one)) {
        FNIMAGE_CHECK(add_named(*digest, candidates));
      }
    }
    std::mutex mutex;
    TaskGroup group(pool_);
    for (const Descriptor& one : candidates) {
      if (roots_.contains(one.digest) || referring_.contains(one.digest)) {
        continue;
      }
      group.run([&, this]() -> Result<void> {
        FNIMAGE_TRY(const bool stands, to_.stands(one.digest));
        const std::lock_guard lock(mutex);
        if (!stands) {
          missing_.push_back({.descriptor = one, .is_untagged = true});
        }
        return {};
      });
    }
    FNIMAGE_CHECK(group.wait());
    std::move(missing_.begin(), missing_.end(), std::back_inserter(plan_.roots));
    return {};
  }

  Result<void> add_named(const Digest& digest, std::vector<Descriptor>& candidates) {
    FNIMAGE_TRY(auto found, from_.store().resolve(digest));
    if (found) {
      candidates.push_back(std::move(*found));
    } else {
      plan_.failures.push_back(
          {fmt::format("{}@{}", item_.from_name, digest.str()),
           Error(ErrorCode::not_found,
                 fmt::format("no {} in {}", digest.str(), from_.store().describe()))});
    }
    return {};
  }

  void plan_removals() {
    if (!options_.remove || !item_.only.empty() || !plan_.failures.empty()) {
      return;
    }
    for (const auto& [tag, standing] : there_) {
      if (is_chosen(tag) && !listed_.contains(tag) &&
          !(is_referrers_tag(tag) && tag.find('.') == std::string::npos)) {
        plan_.removed.push_back(tag);
      }
    }
    if (!plan_.removed.empty() && (listed_.empty() || listed_.size() >= most_tags)) {
      plan_.removed.clear();
      plan_.failures.push_back(
          {item_.from_name,
           Error(ErrorCode::invalid_argument,
                 fmt::format("no tag of {} is removed: {} {}", to_.store().describe(),
                             from_.store().describe(),
                             listed_.empty() ? "lists no tags at all" : "lists too many tags"))
               .with_hint("if that is right, remove the repository at the destination")});
    }
  }

  const SyncItem& item_;
  OpenRepository& from_;
  OpenRepository& to_;
  const SyncOptions& options_;
  WorkerPool& pool_;
  TagListing listed_;             ///< at the source
  TagListing there_;              ///< at the destination
  bool is_listed_there_ = false;  ///< what is not in there_ is not there
  std::map<Digest, SyncRoot> roots_;
  std::vector<SyncRoot> missing_;
  std::set<Digest> subjects_;  ///< of lists of referrers
  std::mutex mutex_;
  std::set<Digest> referring_;  // guarded by mutex_
  SyncPlan plan_;
};

}  // namespace

std::string sync_name(const std::string& repository, const SyncRoot& root) {
  std::vector<std::string> tags = root.same;
  for (const SyncedTag& one : root.moved) {
    tags.push_back(one.tag);
  }
  return tags.empty() ? fmt::format("{}@{}", repository, root.descriptor.digest.str())
                      : fmt::format("{}:{}", repository, printable(join(tags, ", ")));
}

Result<SyncPlan> make_sync_plan(const SyncItem& item, OpenRepository& from, OpenRepository& to,
                                const SyncOptions& options, WorkerPool& pool) {
  return SyncPlanner(item, from, to, options, pool).run();
}

}  // namespace fnimage::registry
