// See referrers.hpp.
#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/registry/fallback_tag.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/transfer.hpp>

#include "referrer_listing.hpp"

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

/// What the destination does not list or hold yet: the rest is there, and need not be sent again.
Result<std::vector<Descriptor>> missing_in(ImageStore& to, const Digest& subject,
                                           const std::vector<Descriptor>& referrers) {
  FNIMAGE_TRY(const std::vector<Descriptor> listed, to.referrers(subject));
  std::vector<Descriptor> missing;
  for (const Descriptor& referrer : referrers) {
    if (lists(listed, referrer.digest)) {
      FNIMAGE_TRY(const auto standing, to.resolve(referrer.digest));
      if (standing) {
        continue;
      }
    }
    missing.push_back(referrer);
  }
  return missing;
}

/// Adds to the fallback list what the destination does not list by itself; false = somebody else
/// has changed that list meanwhile.
Result<bool> try_to_list_in(ImageStore& to, const Digest& subject,
                            const std::vector<Descriptor>& referrers) {
  FNIMAGE_TRY(const auto standing, to.resolve(referrers_tag(subject)));
  FNIMAGE_TRY(std::vector<Descriptor> listed, to.referrers(subject));
  const std::size_t before = listed.size();
  for (const Descriptor& referrer : referrers) {
    if (!lists(listed, referrer.digest)) {
      listed.push_back(referrer);
    }
  }
  if (listed.size() == before) {
    return true;
  }
  const FallbackList fallback = fallback_list(subject, listed);
  return to.put_manifest_if(fallback.document, fallback.tag,
                            standing ? std::optional(standing->digest) : std::nullopt);
}

/// Two that attach to the same image at once must not lose each other's.
Result<void> list_in(ImageStore& to, const Digest& subject,
                     const std::vector<Descriptor>& referrers) {
  constexpr int tries = 16;
  for (int i = 0; i < tries; ++i) {
    FNIMAGE_TRY(const bool listed, try_to_list_in(to, subject, referrers));
    if (listed) {
      return {};
    }
  }
  return fail(
      ErrorCode::io,
      fmt::format("{} in {} is changed all the time", referrers_tag(subject), to.describe()),
      "try again");
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

Result<DigestTags> find_digest_tags(ImageStore& from, const std::vector<Digest>& subjects) {
  const auto tags = from.tags();
  DigestTags found;
  std::vector<Digest> open = subjects;
  while (!open.empty()) {
    const std::string prefix = referrers_tag(open.back()) + ".";
    open.pop_back();
    std::vector<std::string> names;
    if (tags) {
      std::ranges::copy_if(*tags, std::back_inserter(names),
                           [&](const std::string& tag) { return tag.starts_with(prefix); });
    } else {
      names = {prefix + "sig", prefix + "att", prefix + "sbom"};
    }
    for (const std::string& name : names) {
      FNIMAGE_TRY(auto standing, from.resolve(name));
      if (!standing || found.contains(name)) {
        continue;
      }
      if (found.size() >= max_referrers) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("{} has more than {} signatures and the like", from.describe(),
                                max_referrers),
                    "copy without --referrers");
      }
      open.push_back(standing->digest);
      found.emplace(name, std::move(*standing));
    }
  }
  return found;
}

std::size_t Companions::count() const {
  std::set<Digest> all;
  for (const auto& [subject, entries] : referrers) {
    for (const Descriptor& entry : entries) {
      all.insert(entry.digest);
    }
  }
  for (const auto& [tag, entry] : tags) {
    all.insert(entry.digest);
  }
  return all.size();
}

Result<Companions> find_companions(ImageStore& from, const std::vector<Digest>& subjects) {
  Companions found;
  FNIMAGE_TRY(found.referrers, find_referrers(from, subjects));
  FNIMAGE_TRY(found.tags, find_digest_tags(from, subjects));
  return found;
}

Result<Companions> find_companions_of(ImageStore& from, const Document& root) {
  std::vector<Digest> subjects{root.digest()};
  if (root.is_index()) {
    FNIMAGE_TRY(const manifest::Index index, root.index());
    for (const Descriptor& child : index.manifests) {
      subjects.push_back(child.digest);
    }
  }
  return find_companions(from, subjects);
}

Result<void> put_referrer(ImageStore& to, const Document& referrer) {
  FNIMAGE_TRY(auto described, referrer_of(referrer));
  if (!described) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} refers to no image", referrer.digest().str()));
  }
  FNIMAGE_CHECK(to.put_manifest(referrer, std::nullopt));
  return list_in(to, described->subject, {described->descriptor});
}

bool is_companion_tag(std::string_view tag) {
  return is_referrers_tag(tag);
}

Result<std::vector<TransferResult>> copy_companions(ImageStore& from, const Companions& companions,
                                                    ImageStore& to, std::size_t parallel,
                                                    Diagnostics& diagnostics) {
  std::vector<Destination> destinations;
  ReferrerMap missing;
  for (const auto& [subject, entries] : companions.referrers) {
    FNIMAGE_TRY(missing[subject], missing_in(to, subject, entries));
    for (const Descriptor& referrer : missing[subject]) {
      destinations.push_back({.selector = referrer.digest, .store = &to});
    }
  }
  for (const auto& [tag, entry] : companions.tags) {
    destinations.push_back({.selector = entry.digest, .store = &to, .tags = {tag}});
  }
  auto copied = transfer_all(from, destinations, parallel, diagnostics);
  if (!copied) {
    return fail(std::move(copied).error().while_doing("copy what refers to the image"));
  }
  for (const auto& [subject, entries] : missing) {
    FNIMAGE_CHECK(entries.empty() ? Result<void>() : list_in(to, subject, entries));
  }
  return copied;
}

}  // namespace fnimage::registry
