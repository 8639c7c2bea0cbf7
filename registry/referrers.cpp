// See referrers.hpp.
#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/transfer.hpp>

#include "fallback_tag.hpp"

namespace fnimage::registry {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

namespace {

constexpr std::size_t max_referrer_depth = 8;
constexpr std::size_t max_referrers = 10'000;

bool lists(const std::vector<Descriptor>& listed, const Digest& digest) {
  return std::ranges::any_of(listed,
                             [&](const Descriptor& entry) { return entry.digest == digest; });
}

/// Adds to the fallback list what the destination does not list by itself.
Result<void> list_in(ImageStore& to, const Digest& subject,
                     const std::vector<Descriptor>& referrers) {
  FNIMAGE_TRY(std::vector<Descriptor> listed, to.referrers(subject));
  const std::size_t before = listed.size();
  for (const Descriptor& referrer : referrers) {
    if (!lists(listed, referrer.digest)) {
      listed.push_back(referrer);
    }
  }
  if (listed.size() == before) {
    return {};
  }
  const FallbackList fallback = fallback_list(subject, listed);
  return to.put_manifest(fallback.document, fallback.tag);
}

}  // namespace

FallbackList fallback_list(const Digest& subject, const std::vector<Descriptor>& referrers) {
  manifest::Index index;
  index.manifests = referrers;
  return {.tag = referrers_tag(subject), .document = Document::of(index)};
}

Result<ReferrerMap> find_referrers(ImageStore& from, const std::vector<Digest>& subjects) {
  ReferrerMap found;
  std::set<Digest> seen(subjects.begin(), subjects.end());
  std::vector<Digest> level(seen.begin(), seen.end());
  std::size_t count = 0;
  for (std::size_t depth = 0; !level.empty(); ++depth) {
    std::vector<Digest> next;
    for (const Digest& subject : level) {
      FNIMAGE_TRY(std::vector<Descriptor> referrers, from.referrers(subject));
      count += referrers.size();
      if (!referrers.empty() && (depth >= max_referrer_depth || count > max_referrers)) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("{} has more than {} referrers, or chains of more than {}",
                                from.describe(), max_referrers, max_referrer_depth),
                    "copy without --referrers");
      }
      for (const Descriptor& referrer : referrers) {
        if (seen.insert(referrer.digest).second) {
          next.push_back(referrer.digest);
        }
      }
      if (!referrers.empty()) {
        found.emplace(subject, std::move(referrers));
      }
    }
    level = std::move(next);
  }
  return found;
}

Result<void> copy_referrers(ImageStore& from, const ReferrerMap& referrers, ImageStore& to,
                            Diagnostics& diagnostics) {
  for (const auto& [subject, entries] : referrers) {
    for (const Descriptor& referrer : entries) {
      auto copied = transfer(from, referrer.digest, to, {}, diagnostics);
      if (!copied) {
        return fail(std::move(copied).error().while_doing(
            fmt::format("copy {}, which refers to {}", referrer.digest.str(), subject.str())));
      }
    }
  }
  for (const auto& [subject, entries] : referrers) {
    FNIMAGE_CHECK(list_in(to, subject, entries));
  }
  return {};
}

}  // namespace fnimage::registry
