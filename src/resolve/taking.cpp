// Level by level: all kinds of nodes choose, then what they chose is read at once.
#include "taking.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::resolve {

namespace {

constexpr std::size_t max_nesting = 8;

std::string shown_platform(const manifest::Descriptor& entry) {
  return entry.platform ? printable(entry.platform->str(), 100) : "an entry without platform";
}

/// Why a node gets nothing, by the entries that come nearest.
std::string reason_for_none(const manifest::Index& list, const manifest::RuntimeChoice& choice,
                            const Kind& kind) {
  constexpr std::size_t most = 3;
  const std::string wanted = kind.machine.platform.str();
  std::vector<std::string> reasons;
  std::size_t others = 0;
  for (std::size_t i = 0; i < list.manifests.size(); ++i) {
    const auto& platform = list.manifests[i].platform;
    if (platform && platform->os == "unknown") {
      continue;
    }
    if (reasons.size() == most) {
      ++others;
      continue;
    }
    reasons.push_back(
        fmt::format("{}: {}", shown_platform(list.manifests[i]), choice.verdicts.at(i).reason));
  }
  if (reasons.empty()) {
    return fmt::format("the list has no image for {}", wanted);
  }
  return fmt::format("nothing for {} in the list ({}{})", wanted, join(reasons, "; "),
                     others == 0 ? "" : fmt::format("; and {} more", others));
}

}  // namespace

Result<void> Follower::keep(const manifest::Document& document) {
  const manifest::Digest& digest = document.digest();
  if (document.is_index()) {
    FNIMAGE_TRY(manifest::Index index, document.index());
    lists_.emplace(digest, std::move(index));
  } else if (document.is_image()) {
    FNIMAGE_TRY(manifest::ImageManifest image, document.image());
    images_.emplace(digest, ReadImage{.manifest = std::move(image)});
  } else {
    problems_.emplace(
        digest, fmt::format("is no image, but of type {}", printable(document.media_type(), 100)));
  }
  return {};
}

Result<void> Follower::fetch(const std::set<manifest::Digest>& wanted) {
  std::vector<std::pair<manifest::Digest, std::optional<manifest::Document>>> documents;
  for (const manifest::Digest& digest : wanted) {
    if (!lists_.contains(digest) && !images_.contains(digest) && !problems_.contains(digest)) {
      documents.emplace_back(digest, std::nullopt);
    }
  }
  TaskGroup group(pool_);
  for (auto& [digest, document] : documents) {
    group.run([this, &digest = digest, &document = document]() -> Result<void> {
      auto read = store_.get_manifest(digest);
      if (!read && read.error().code() == ErrorCode::not_found) {
        return {};
      }
      FNIMAGE_CHECK(read);
      document = std::move(*read);
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  for (const auto& [digest, document] : documents) {
    if (!document) {
      problems_.emplace(digest, "is missing");
      continue;
    }
    FNIMAGE_CHECK(budget_.take(document->bytes().size()));
    if (const auto kept = keep(*document); !kept) {
      problems_.emplace(digest, "is broken: " + printable(kept.error().describe()));
    }
  }
  return {};
}

void Follower::choose(Step& step, const Kind& kind, Taking& taking) const {
  const manifest::Index& list = lists_.at(step.list);
  auto choice = std::make_shared<const manifest::RuntimeChoice>(
      manifest::choose_for(list, kind.runtime, kind.machine));
  step.next.reset();
  for (std::size_t i = 0; i < list.manifests.size(); ++i) {
    if (choice->verdicts.at(i).is_pulled) {
      taking.pulled.insert(list.manifests[i].digest);
    }
  }
  if (choice->taken) {
    const std::string& reason = choice->verdicts.at(*choice->taken).reason;
    step.next = list.manifests.at(*choice->taken);
    taking.pulled.insert(step.next->digest);
    if (!reason.empty()) {
      taking.warnings.push_back(reason);
    }
  } else {
    taking.reason = reason_for_none(list, *choice, kind);
  }
  if (!taking.choice) {
    taking.entry = step.next;
    taking.choice = std::move(choice);
  }
}

bool Follower::descend(Step& step, Taking& taking) const {
  if (!step.next) {
    return false;
  }
  const manifest::Digest& digest = step.next->digest;
  if (lists_.contains(digest)) {
    step.list = digest;
    return true;
  }
  if (const auto problem = problems_.find(digest); problem != problems_.end()) {
    taking.reason = fmt::format("it takes {}, which {}", digest.str(), problem->second);
  } else {
    taking.taken = step.next;
  }
  return false;
}

Result<std::vector<Taking>> Follower::follow(const manifest::Document& root,
                                             const std::vector<Kind>& kinds) {
  FNIMAGE_CHECK(keep(root));
  if (const auto problem = problems_.find(root.digest()); problem != problems_.end()) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} {}", root.digest().str(), problem->second));
  }
  std::vector<Taking> takings(kinds.size());
  std::vector<Step> steps;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (root.is_index()) {
      steps.push_back({.kind = i, .list = root.digest()});
    } else {
      takings[i].taken = root.descriptor();
      takings[i].pulled.insert(root.digest());
    }
  }
  for (std::size_t depth = 0; !steps.empty() && depth < max_nesting; ++depth) {
    std::set<manifest::Digest> wanted;
    for (Step& step : steps) {
      choose(step, kinds[step.kind], takings[step.kind]);
      const auto& pulled = takings[step.kind].pulled;
      wanted.insert(pulled.begin(), pulled.end());
    }
    FNIMAGE_CHECK(fetch(wanted));
    std::erase_if(steps, [&](Step& step) { return !descend(step, takings[step.kind]); });
  }
  for (const Step& step : steps) {
    takings[step.kind].reason = "lists within lists are nested too deep";
  }
  return takings;
}

Result<void> Follower::read_configs() {
  TaskGroup group(pool_);
  for (auto& [digest, image] : images_) {
    const manifest::Descriptor& config = image.manifest.config;
    if (!manifest::is_config_type(config.media_type) || image.config) {
      continue;
    }
    group.run([this, &image = image]() -> Result<void> {
      FNIMAGE_TRY(image.config, registry::read_config(store_, image.manifest.config));
      return {};
    });
  }
  return group.wait();
}

const ReadImage* Follower::image(const manifest::Digest& digest) const {
  const auto found = images_.find(digest);
  return found == images_.end() ? nullptr : &found->second;
}

}  // namespace fnimage::resolve
