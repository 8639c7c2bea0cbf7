// Reasons, in the words of those who look after the nodes. All text of a list is cut and made
// printable.
#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/media_types.hpp>

#include "runtime_rules.hpp"

namespace fnimage::manifest {

namespace {

constexpr std::size_t longest_word = 40;

std::string shown(std::string_view word) {
  return printable(word, longest_word);
}

std::string shown(const PlatformWords& words) {
  std::string text = shown(words.os) + "/" + shown(words.architecture);
  return words.variant.empty() ? text : text + "/" + shown(words.variant);
}

PlatformWords words_of(const Platform& platform) noexcept {
  return {platform.os, platform.architecture, platform.variant};
}

PlatformWords normal_words_of(const PlatformWords& words) noexcept {
  return normal_words(words.os, words.architecture, words.variant);
}

/// "ppc64le", "arm/v7": what exactly is wanted.
std::string wanted_architecture(const Demand& demand) {
  const PlatformWords& words = demand.words;
  return words.variant.empty() ? shown(words.architecture)
                               : shown(words.architecture) + "/" + shown(words.variant);
}

/// The first few.
std::string shown_features(const std::vector<std::string>& features) {
  constexpr std::size_t most = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(features.size(), most); ++i) {
    text += (i == 0 ? "" : ", ") + shown(features[i]);
  }
  return features.size() > most ? text + ", …" : text;
}

std::string not_understood(std::string_view what, std::string_view word, std::string_view wanted,
                           const Demand& demand) {
  return fmt::format("{} {} is not understood by {}: it compares {} letter by letter", what,
                     shown(word), demand.runtime, shown(wanted));
}

std::string reason_of_other_platform(const Demand& demand, const Platform& platform) {
  const PlatformWords wanted = normal_words_of(demand.words);
  const PlatformWords meant = normal_words_of(words_of(platform));
  const bool is_same = equals_ignoring_case(meant.os, wanted.os) &&
                       equals_ignoring_case(meant.architecture, wanted.architecture);
  if (demand.is_literal && is_same) {
    return platform.architecture == demand.words.architecture
               ? not_understood("os", platform.os, demand.words.os, demand)
               : not_understood("architecture", platform.architecture, demand.words.architecture,
                                demand);
  }
  const std::string_view right =
      suggestion_for(to_lower(std::string_view(platform.architecture).substr(0, longest_word)));
  if (!right.empty() && right.substr(0, right.find('/')) == wanted.architecture) {
    return fmt::format("architecture {} is not understood by {}: Go's name is {}",
                       shown(platform.architecture), demand.runtime, right);
  }
  return "is for " + shown(words_of(platform));
}

/// The entry's variant is a later one of those that include each other.
bool is_above_node(const Demand& demand, const PlatformWords& entry) noexcept {
  const bool is_level = entry.architecture == "arm" || demand.level > 1;
  const int level = level_of(entry.variant);
  return !demand.is_literal && is_level && demand.level != 0 && level > demand.level;
}

std::string reason_of_other_variant(const Demand& demand, const Platform& platform) {
  const std::string wanted = wanted_architecture(demand);
  if (platform.variant.empty()) {
    return fmt::format("has no variant: {} wants exactly {}", demand.runtime, wanted);
  }
  if (is_above_node(demand, normal_words_of(words_of(platform)))) {
    return fmt::format("variant {} is more than the node's {}", shown(platform.variant),
                       shown(demand.words.variant));
  }
  return fmt::format("variant {}: {} wants exactly {}", shown(platform.variant), demand.runtime,
                     wanted);
}

std::string reason_of_missing_platform(const Demand& demand) {
  switch (demand.kind) {
    case RuntimeKind::go_containerregistry:
      return "says no platform: go-containerregistry reads that as linux/amd64";
    case RuntimeKind::crio:
      return "says no platform: CRI-O passes it over in Docker's lists";
    default:
      return "says no platform: Docker passes it over before 23.0";
  }
}

std::string reason_of_attestation(const Platform& platform) {
  std::string text = "is for " + shown(words_of(platform));
  const bool is_unknown = equals_ignoring_case(platform.os, "unknown") ||
                          equals_ignoring_case(platform.architecture, "unknown");
  return is_unknown ? text + ": an attestation, nothing that runs" : text;
}

std::string reason_of_refusal(const Demand& demand, const Descriptor& entry, Cause cause) {
  if (cause == Cause::no_platform || !entry.platform) {
    return reason_of_missing_platform(demand);
  }
  const Platform& platform = *entry.platform;
  switch (cause) {
    case Cause::attestation:
      return reason_of_attestation(platform);
    case Cause::variant:
      return reason_of_other_variant(demand, platform);
    case Cause::os_version:
      return fmt::format("is for os.version {}: {} is asked for", shown(platform.os_version),
                         shown(demand.os_version));
    case Cause::features:
      return demand.is_literal ? "does not have all os.features that are asked for"
                               : fmt::format("needs os.features {}: not all are the node's",
                                             shown_features(platform.os_features));
    default:
      return reason_of_other_platform(demand, platform);
  }
}

/// What a candidate lost by.
std::string reason_of_loss(const Demand& demand, const Standing& standing, const Standing& best,
                           const std::string& best_platform) {
  const std::string_view fate =
      demand.fetches_all && standing.is_fetched ? "downloaded too, never run" : "never run";
  if (demand.kind == RuntimeKind::go_containerregistry) {
    return "comes after another that fits: go-containerregistry takes the first";
  }
  if (standing.rank != best.rank) {
    return standing.rank == rank_without_platform
               ? fmt::format("says no platform, and those that do come first: {}", fate)
               : fmt::format("would run, but {} is better", best_platform);
  }
  if (standing.preference != best.preference) {
    return demand.kind == RuntimeKind::crio
               ? fmt::format("a second entry of this platform, without zstd's mark: {}", fate)
               : fmt::format("a second entry of this platform, with fewer os.features: {}", fate);
  }
  return fmt::format(
      "a second entry {}: {}",
      standing.rank == rank_without_platform ? "that says no platform" : "of this platform", fate);
}

std::string reason_of_loser(const Demand& demand, const Standing& standing, const Standing& best,
                            const std::string& best_platform) {
  if (best.is_fetched) {
    return reason_of_loss(demand, standing, best, best_platform);
  }
  return standing.is_fetched
             ? fmt::format("says no platform: downloaded, but {} is what then is looked for",
                           best_platform)
             : fmt::format("is a fallback: {} does not download those", demand.runtime);
}

std::string caveat_without_platform(const Demand& demand) {
  switch (demand.kind) {
    case RuntimeKind::go_containerregistry:
      return "says no platform: read as linux/amd64";
    case RuntimeKind::crio:
    case RuntimeKind::docker:
      return "says no platform: taken for want of a better one, may not run";
    default:
      return fmt::format("says no platform: runs only if its config says {}", shown(demand.words));
  }
}

/// Why what is taken may not work after all.
std::string caveat_of(const Demand& demand, const Descriptor& entry, const Standing& standing) {
  if (!entry.platform || standing.rank == rank_without_platform) {
    return caveat_without_platform(demand);
  }
  const Platform& platform = *entry.platform;
  if (!standing.is_fetched) {
    return fmt::format("is for {}: {} would run it, but does not download fallbacks",
                       shown(words_of(platform)), demand.runtime);
  }
  if (standing.rank == rank_of_any_arm) {
    return fmt::format("variant {}: taken for want of a better one, may not run",
                       platform.variant.empty() ? "v7" : shown(platform.variant));
  }
  const PlatformWords words = normal_words_of(words_of(platform));
  const PlatformWords wanted = normal_words_of(demand.words);
  if (demand.kind == RuntimeKind::go_containerregistry && demand.words.variant.empty() &&
      words.variant != wanted.variant) {
    return fmt::format("variant {} is not looked at by {}: may not run", shown(platform.variant),
                       demand.runtime);
  }
  const bool ignores_features = !demand.compares_features || demand.is_literal;
  if (ignores_features && platform.os_features.size() > demand.features.size()) {
    return fmt::format("os.features {} not looked at by {}: may not run",
                       shown_features(platform.os_features), demand.runtime);
  }
  if (words.architecture != wanted.architecture && standing.rank != 0) {
    return fmt::format("is for {}: a fallback", shown(words_of(platform)));
  }
  return is_index_type(entry.media_type) ? "is a list itself: what runs is chosen in it" : "";
}

}  // namespace

std::string reason_of(const Demand& demand, const Index& list, const Outcome& outcome,
                      std::size_t entry) {
  const Descriptor& descriptor = list.manifests[entry];
  const Standing standing = standing_of(demand, descriptor);
  if (!standing.is_candidate()) {
    return reason_of_refusal(demand, descriptor, standing.cause);
  }
  if (outcome.best == entry) {
    return caveat_of(demand, descriptor, standing);
  }
  const auto& best = list.manifests[*outcome.best].platform;
  return reason_of_loser(demand, standing, outcome.standing,
                         best ? shown(words_of(*best)) : std::string());
}

}  // namespace fnimage::manifest
