// See transfer_plan.hpp.
#include "transfer_plan.hpp"

#include <fmt/format.h>

#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/image_parts.hpp>

namespace fnimage::registry {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

constexpr std::size_t max_depth = 8;

/// A child of a list on its way to one destination.
struct Visit {
  std::size_t target = 0;
  Descriptor child;
  bool is_platform = false;  ///< of the root, with a tag of its own
  bool present = false;      ///< at the destination, as far as a question tells
  bool at_source = true;
  std::optional<Document> document{};
};

/// Where a tag of a registry stands.
struct TagQuestion {
  std::size_t target = 0;
  std::string name;
  Digest wanted;
  bool stands = false;
  std::optional<Digest> found{};  ///< where it stands
};

std::string place_of(ImageStore& store) {
  const auto name = store.repository();
  return name ? name->registry + "/" + name->repository
              : fmt::format("{}", static_cast<const void*>(&store));
}

/// A layout takes any name; a registry does not, and must not say so only after half of the tags
/// have moved.
Result<void> check_tags(const Destination& destination) {
  for (const auto& tag : destination.tags) {
    if (destination.store->repository() && !manifest::is_valid_tag(tag)) {
      return fail(ErrorCode::invalid_argument, fmt::format("\"{}\" is not a valid tag", tag));
    }
  }
  return {};
}

class Planner {
 public:
  Planner(ImageStore& from, const std::vector<Destination>& destinations, WorkerPool& pool)
      : from_(from), pool_(pool) {
    for (const Destination& destination : destinations) {
      destination.store->expect_writes();
      plan_.targets.push_back({.destination = &destination, .place = place_of(*destination.store)});
    }
    seen_.resize(plan_.targets.size());
  }

  Result<Plan> run() {
    FNIMAGE_CHECK(read_roots());
    std::vector<Visit> level;
    for (std::size_t i = 0; i < plan_.targets.size(); ++i) {
      const Document root = *plan_.targets[i].root;
      FNIMAGE_CHECK(expand(i, root, "", level, true));
    }
    FNIMAGE_TRY(level, first_level(std::move(level)));
    for (std::size_t depth = 2; !level.empty(); ++depth) {
      if (depth > max_depth) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("lists are nested deeper than {} levels", max_depth));
      }
      FNIMAGE_CHECK(look_at(level));
      FNIMAGE_TRY(level, expand_level(level));
    }
    FNIMAGE_CHECK(plan_blobs());
    return std::move(plan_);
  }

 private:
  Result<void> read_roots() {
    TaskGroup group(pool_);
    for (Target& target : plan_.targets) {
      FNIMAGE_CHECK(check_tags(*target.destination));
      target.tags = target.destination->tags;
      group.run([this, &target]() -> Result<void> {
        FNIMAGE_TRY(target.root, from_.get_manifest(target.destination->selector));
        return {};
      });
    }
    return group.wait();
  }

  /// The root's own children and, in the same step, its tags.
  Result<std::vector<Visit>> first_level(std::vector<Visit> level) {
    std::vector<TagQuestion> questions = root_questions();
    FNIMAGE_CHECK(look_at(level, questions));
    FNIMAGE_CHECK(settle_tags(level, questions));
    return expand_level(level);
  }

  Result<void> look_at(std::vector<Visit>& level, std::vector<TagQuestion>& questions) {
    TaskGroup group(pool_);
    for (TagQuestion& question : questions) {
      group.run([this, &question] { return ask(question); });
    }
    for (Visit& visit : level) {
      group.run([this, &visit] { return look(visit); });
    }
    return group.wait();
  }

  Result<void> look_at(std::vector<Visit>& level) {
    std::vector<TagQuestion> none;
    return look_at(level, none);
  }

  [[nodiscard]] std::vector<TagQuestion> root_questions() const {
    std::vector<TagQuestion> questions;
    for (std::size_t i = 0; i < plan_.targets.size(); ++i) {
      const Target& target = plan_.targets[i];
      if (target.destination->store->repository()) {
        for (const std::string& name : target.tags) {
          questions.push_back({.target = i, .name = name, .wanted = target.root->digest()});
        }
      }
    }
    return questions;
  }

  Result<void> ask(TagQuestion& question) const {
    const auto found = plan_.targets[question.target].destination->store->resolve(question.name);
    if (found) {
      question.found = *found ? std::optional((*found)->digest) : std::nullopt;
      question.stands = question.found == question.wanted;
      return {};
    }
    // The answer saves work, nothing else: whatever stands there may be replaced.
    const Error& error = found.error();
    return error.is_retryable() || error.code() == ErrorCode::cancelled ? Result<void>(fail(error))
                                                                        : Result<void>();
  }

  /// Forgets the tags that need not move, and everything of the targets where none has to. The
  /// platforms' tags are asked for only where the root's stand: elsewhere they hardly do.
  Result<void> settle_tags(const std::vector<Visit>& level,
                           const std::vector<TagQuestion>& questions) {
    std::set<std::size_t> done;
    for (const TagQuestion& question : questions) {
      Target& target = plan_.targets[question.target];
      if (!question.stands) {
        target.moved.push_back({question.name, question.found});
      } else {
        std::erase(target.tags, question.name);
        target.manifests.at(target.root->digest()).present = true;
        if (target.tags.empty()) {
          done.insert(question.target);
        }
      }
    }
    for (const Visit& visit : level) {
      if (!visit.present) {
        done.erase(visit.target);  // the registry has lost an image of its list
      }
    }
    FNIMAGE_CHECK(settle_platform_tags(done));
    for (const std::size_t index : done) {
      Target& target = plan_.targets[index];
      target.stands = target.platform_tags.empty() && !target.destination->repair;
      if (target.stands) {
        note_holder(target, target.root->digest());
        target.manifests.clear();
      }
    }
    return {};
  }

  Result<void> settle_platform_tags(const std::set<std::size_t>& targets) {
    std::vector<TagQuestion> questions;
    for (const std::size_t index : targets) {
      for (const PlatformTag& tag : plan_.targets[index].platform_tags) {
        for (const std::string& name : tag.names) {
          questions.push_back({.target = index, .name = name, .wanted = tag.child});
        }
      }
    }
    std::vector<Visit> none;
    FNIMAGE_CHECK(look_at(none, questions));
    for (const TagQuestion& question : questions) {
      std::vector<PlatformTag>& tags = plan_.targets[question.target].platform_tags;
      for (PlatformTag& tag : tags) {
        if (question.stands && tag.child == question.wanted) {
          std::erase(tag.names, question.name);
        }
      }
      std::erase_if(tags, [](const PlatformTag& tag) { return tag.names.empty(); });
    }
    return {};
  }

  /// The next level: the children of what has to be sent or looked after.
  Result<std::vector<Visit>> expand_level(std::vector<Visit>& level) {
    FNIMAGE_CHECK(read_present(level));
    std::vector<Visit> below;
    for (Visit& visit : level) {
      Target& target = plan_.targets[visit.target];
      if (visit.present) {
        note_holder(target, visit.child.digest);
      }
      if (visit.is_platform && visit.document) {
        target.tagged.emplace(visit.child.digest, *visit.document);
      }
      if (visit.document && visit.at_source && !(visit.present && is_within(target))) {
        const std::string platform = visit.child.platform ? visit.child.platform->str() : "";
        FNIMAGE_CHECK(expand(visit.target, *visit.document, platform, below, false, visit.present));
      }
    }
    return below;
  }

  /// What children consist of that are at the destination already, where that matters.
  Result<void> read_present(std::vector<Visit>& level) {
    TaskGroup group(pool_);
    for (Visit& visit : level) {
      const Target& target = plan_.targets[visit.target];
      if (visit.present && !visit.document && !target.stands &&
          (visit.is_platform || !is_within(target))) {
        group.run([this, &visit] { return read(visit); });
      }
    }
    return group.wait();
  }

  /// Source and destination are one repository.
  [[nodiscard]] bool is_within(const Target& target) const {
    return target.place == place_of(from_);
  }

  /// Whether a child has to be sent, and if so its bytes.
  Result<void> look(Visit& visit) {
    ImageStore& to = *plan_.targets[visit.target].destination->store;
    FNIMAGE_TRY(const auto present, to.resolve(visit.child.digest));
    visit.present = present.has_value();
    if (visit.present && to.repository()) {
      return {};
    }
    // A layout may hold a manifest without what it needs, and finding out costs nothing there.
    FNIMAGE_CHECK(read(visit));
    visit.present = !visit.at_source;
    return {};
  }

  /// A child's bytes; those of the destination, if need be, when the source does not have it.
  Result<void> read(Visit& visit) {
    ImageStore& to = *plan_.targets[visit.target].destination->store;
    auto document = from_.get_manifest(visit.child.digest);
    if (!document && document.error().code() == ErrorCode::not_found) {
      if (!visit.present) {
        return fail(missing_child(visit.child, to));
      }
      visit.at_source = false;
      if (visit.is_platform) {
        FNIMAGE_TRY(visit.document, to.get_manifest(visit.child.digest));
      }
      return {};
    }
    if (!document) {
      return fail(std::move(document).error());
    }
    if (document->bytes().size() != visit.child.size) {
      return fail(ErrorCode::verification,
                  fmt::format("{} in {} has {} bytes, the list says {}", visit.child.digest.str(),
                              from_.describe(), document->bytes().size(), visit.child.size));
    }
    visit.document = std::move(*document);
    return {};
  }

  [[nodiscard]] Error missing_child(const Descriptor& child, const ImageStore& to) const {
    const std::string platform = child.platform ? child.platform->str() : "no platform";
    return Error(ErrorCode::not_found,
                 fmt::format("the list's image for {} ({}) is neither in {} nor in {}", platform,
                             child.digest.str(), from_.describe(), to.describe()))
        .with_hint("push that image first, or make the list again from images that exist");
  }

  /// Notes a manifest, what it needs, and its children for the next level.
  Result<void> expand(std::size_t index, const Document& document, const std::string& platform,
                      std::vector<Visit>& below, bool is_root, bool present = false) {
    Target& target = plan_.targets[index];
    const Digest& digest = document.digest();
    PlannedManifest planned{.document = document, .present = present};
    if (document.is_index()) {
      FNIMAGE_TRY(const auto list, document.index());
      for (const Descriptor& child : list.manifests) {
        const bool tagged = is_root && child.platform && child.platform->os != "unknown" &&
                            target.destination->tag_platforms;
        if (tagged) {
          PlatformTag& tag = target.platform_tags.emplace_back(PlatformTag{child.digest, {}});
          for (const std::string& name : target.destination->tags) {
            tag.names.push_back(name + "-" + child.platform->tag_suffix());
          }
        }
        planned.children.push_back(child.digest);
        if (seen_[index].insert(child.digest).second) {
          // By what the list says, before anything is read; what comes has to be as large.
          FNIMAGE_CHECK(budget_.take(child.size));
          below.push_back({.target = index, .child = child, .is_platform = tagged});
        }
      }
    }
    labels_.try_emplace(digest, platform);
    target.manifests.emplace(digest, std::move(planned));
    return {};
  }

  void note_holder(const Target& target, const Digest& digest) {
    if (const auto name = target.destination->store->repository()) {
      holders_.emplace(std::pair(name->registry, digest), *name);
    }
  }

  /// After all manifests, so that it is known which repositories have which images already.
  Result<void> plan_blobs() {
    for (std::size_t i = 0; i < plan_.targets.size(); ++i) {
      Target& target = plan_.targets[i];
      for (auto& [digest, planned] : target.manifests) {
        if (!planned.document.is_image()) {
          continue;
        }
        const std::string& platform = labels_.at(digest);
        FNIMAGE_TRY(const auto image, planned.document.image());
        FNIMAGE_CHECK(plan_blob(i, planned, image.config, "config", platform));
        for (const Descriptor& layer : image.layers) {
          FNIMAGE_CHECK(plan_blob(i, planned, layer, "layer", platform));
        }
      }
    }
    return {};
  }

  Result<void> plan_blob(std::size_t index, PlannedManifest& planned, const Descriptor& blob,
                         std::string_view kind, const std::string& platform) {
    const Target& target = plan_.targets[index];
    if (const auto known = blobs_.find({target.place, blob.digest}); known != blobs_.end()) {
      PlannedBlob& other = plan_.blobs[known->second];
      other.hardly_missing = other.hardly_missing || planned.present;
      planned.blobs.push_back(known->second);
      return {};
    }
    if (!blob.urls.empty()) {
      // Foreign layers live elsewhere by design and may be absent everywhere.
      FNIMAGE_TRY(const bool held, from_.has_blob(blob));
      if (!held) {
        return {};
      }
    }
    PlannedBlob result{.target = index,
                       .descriptor = blob,
                       .label = fmt::format("{} {}:{}{}", kind, blob.digest.algorithm(),
                                            blob.digest.hex().substr(0, 12),
                                            platform.empty() ? "" : fmt::format(" ({})", platform)),
                       .hardly_missing = planned.present};
    find_mount(result, planned.document.digest());
    const std::size_t id = plan_.blobs.size();
    plan_.blobs.push_back(std::move(result));
    blobs_.emplace(std::pair(target.place, blob.digest), id);
    planned.blobs.push_back(id);
    return {};
  }

  /// Where the same registry has the blob, or will have it first.
  void find_mount(PlannedBlob& blob, const Digest& image) {
    const auto to = plan_.targets[blob.target].destination->store->repository();
    if (!to) {
      return;
    }
    const auto source = from_.home_of(image);
    const auto holder = holders_.find({to->registry, image});
    if (source && source->registry == to->registry) {
      blob.mount_from = source;
    } else if (holder != holders_.end()) {
      blob.mount_from = holder->second;
    } else {
      const auto [first, is_new] = first_on_registry_.try_emplace(
          {to->registry, blob.descriptor.digest}, plan_.blobs.size());
      if (!is_new) {
        blob.after = first->second;
        blob.mount_from =
            plan_.targets[plan_.blobs[first->second].target].destination->store->repository();
      }
    }
  }

  ImageStore& from_;
  WorkerPool& pool_;
  Plan plan_;
  DocumentBudget budget_;
  std::vector<std::set<Digest>> seen_;    ///< by target
  std::map<Digest, std::string> labels_;  ///< the platform of an image, for messages
  std::map<std::pair<std::string, Digest>, RepositoryName> holders_;  ///< by registry and image
  std::map<std::pair<std::string, Digest>, std::size_t> blobs_;       ///< by place and blob
  std::map<std::pair<std::string, Digest>, std::size_t> first_on_registry_;
};

}  // namespace

Result<Plan> make_plan(ImageStore& from, const std::vector<Destination>& destinations,
                       WorkerPool& pool) {
  return Planner(from, destinations, pool).run();
}

}  // namespace fnimage::registry
