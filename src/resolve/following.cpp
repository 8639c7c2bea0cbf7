// Level by level: all kinds of nodes choose, then what they chose is read at once.
#include "following.hpp"

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::resolve {

namespace {

using manifest::Digest;
using manifest::Index;
using manifest::RuntimeChoice;

std::string shown_platform(const manifest::Descriptor& entry) {
  return entry.platform ? printable(entry.platform->str(), 100) : "an entry without platform";
}

/// Why a node gets nothing, by the entries that come nearest.
std::string reason_for_none(const Index& list, const RuntimeChoice& choice, const Kind& kind) {
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

/// The choices of kinds in lists, each made once.
class Choices {
 public:
  explicit Choices(const std::vector<Kind>& kinds) : kinds_(kinds) {}

  const std::shared_ptr<const RuntimeChoice>& of(std::size_t kind, const ListPart& list) {
    auto& choice = made_[{kind, &list}];
    if (!choice) {
      choice = std::make_shared<const RuntimeChoice>(
          manifest::choose_for(list.index, kinds_[kind].runtime, kinds_[kind].machine));
    }
    return choice;
  }

 private:
  const std::vector<Kind>& kinds_;
  std::map<std::pair<std::size_t, const ListPart*>, std::shared_ptr<const RuntimeChoice>> made_;
};

/// All that one kind downloads of the lists that it came to, and what it came to.
std::set<Digest> pulled_by(const Found& found, std::size_t kind, Choices& choices) {
  std::set<Digest> pulled{found.taken->digest};
  for (std::size_t i = 0; i < found.depth; ++i) {
    const ListPart& list = *found.steps[i].list;
    const RuntimeChoice& choice = *choices.of(kind, list);
    for (std::size_t entry = 0; entry < list.index.manifests.size(); ++entry) {
      if (choice.verdicts.at(entry).is_pulled || choice.taken == entry) {
        pulled.insert(list.index.manifests[entry].digest);
      }
    }
  }
  return pulled;
}

std::string config_platform(const Found& found) {
  return fmt::format("its config says {}", printable(found.part->image->platform->str(), 100));
}

std::string reason_of(const Found& found, const RuntimeChoice* last, const Kind& kind) {
  switch (found.trouble) {
    case Found::Trouble::none:
      return {};
    case Found::Trouble::no_match:
      return reason_for_none(found.steps[found.depth - 1].list->index, *last, kind);
    case Found::Trouble::nested_too_deep:
      return "lists within lists are nested too deep";
    case Found::Trouble::other_platform:
      return fmt::format("{} names no platform, and {}", found.taken->digest.str(),
                         config_platform(found));
    case Found::Trouble::unread:
    case Found::Trouble::broken:
      break;
  }
  return fmt::format("it takes {}, which {}", found.taken->digest.str(),
                     found.part == nullptr ? "was not read" : found.part->problem);
}

/// What else there is to say of an image that is taken.
void warn_of(const Found& found, const Kind& kind, std::vector<std::string>& warnings) {
  const ImagePart& image = *found.part->image;
  if (found.depth == 0) {
    warnings.emplace_back("it is no list: pulled whatever platform the node has");
  }
  if (!image.artifact_type.empty()) {
    warnings.push_back(
        fmt::format("it is an artifact of type {}, which does not run", image.artifact_type));
  } else if (!image.platform) {
    warnings.emplace_back("its config names no platform");
  } else if (found.is_foreign && found.depth == 0) {
    warnings.push_back(
        fmt::format("{}, and the node is {}: it is pulled and does not start (exec format error)",
                    config_platform(found), kind.machine.platform.str()));
  } else if (found.is_foreign) {
    warnings.push_back(config_platform(found));
  }
}

Taking taking_of(const Found& found, std::size_t number, const Kind& kind, Choices& choices) {
  Taking taking{.found = found, .pulled = pulled_by(found, number, choices)};
  const RuntimeChoice* last = nullptr;
  for (std::size_t i = 0; i < found.depth; ++i) {
    const auto& choice = choices.of(number, *found.steps[i].list);
    last = choice.get();
    if (choice->taken && !choice->verdicts.at(*choice->taken).reason.empty()) {
      taking.warnings.push_back(choice->verdicts.at(*choice->taken).reason);
    }
    if (i == 0) {
      taking.choice = choice;
    }
  }
  taking.reason = reason_of(found, last, kind);
  if (found.is_taken()) {
    warn_of(found, kind, taking.warnings);
  }
  return taking;
}

}  // namespace

Result<Followed> follow(registry::ImageStore& store, PartPtr root, const std::vector<Kind>& kinds,
                        WorkerPool& pool) {
  FNIMAGE_CHECK(check_root(*root));
  TreeBuilder builder(
      std::move(root), [&store](const Digest& digest) { return read_part(store, digest); }, pool);
  Choices choices(kinds);
  std::vector<Found> found(kinds.size());
  for (std::size_t depth = 0; depth <= Found::max_nesting; ++depth) {
    std::set<Digest> wanted;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      found[i] = builder.tree().find_for(kinds[i].runtime, kinds[i].machine);
      wanted.merge(pulled_by(found[i], i, choices));
    }
    std::erase_if(wanted,
                  [&](const Digest& digest) { return builder.tree().find(digest) != nullptr; });
    if (wanted.empty()) {
      break;
    }
    FNIMAGE_CHECK(builder.read(wanted));
  }
  Followed followed;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    followed.takings.push_back(taking_of(found[i], i, kinds[i], choices));
  }
  followed.tree = std::move(builder).share();
  for (Taking& taking : followed.takings) {
    if (const ListPart* list = followed.tree->list()) {
      taking.list = {followed.tree, &list->index};
    }
  }
  return followed;
}

}  // namespace fnimage::resolve
