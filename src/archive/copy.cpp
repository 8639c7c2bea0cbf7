// See copy.hpp.
#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/archive/copy.hpp>
#include <fnimage/archive/open.hpp>
#include <fnimage/archive/write.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/selection.hpp>
#include <fnimage/registry/tagging.hpp>

namespace fnimage::archive {

using manifest::Digest;
using manifest::Document;
using manifest::Reference;
using registry::ImageStore;
using registry::Location;
using registry::OpenedImage;
using Kind = Location::Kind;

namespace {

bool is_archive(const Location& location) {
  return location.kind == Kind::oci_archive || location.kind == Kind::docker_archive;
}

/// The tag that a copy gets where none is written.
std::string tag_of_source(const Location& from) {
  if (from.reference) {
    const std::string tag = from.reference->tag_or_latest();
    return tag.empty() ? "latest" : tag;
  }
  return from.kind == Kind::docker_archive || from.tag.empty() ? "latest" : from.tag;
}

/// The tags that the destination's store is to have, the first one from the location itself.
Result<std::vector<std::string>> tags_at(const Location& to, const Location& from,
                                         const std::vector<std::string>& further) {
  std::vector<std::string> tags;
  if (to.reference) {
    if (to.reference->digest()) {
      return fail(ErrorCode::invalid_argument, fmt::format("cannot copy to a digest: {}", to.str()),
                  "name a tag");
    }
    Reference named = *to.reference;
    if (!named.tag()) {
      auto tagged = named.with_tag(tag_of_source(from));
      named = tagged ? std::move(*tagged) : named;  // a layout's tag may be no tag of a registry
    }
    const bool local = to.kind == Kind::local;
    tags.push_back(local ? named.str() : named.tag_or_latest());
    for (const std::string& tag : further) {
      FNIMAGE_TRY(const Reference other, named.with_tag(tag));
      tags.push_back(local ? other.str() : tag);
    }
    return tags;
  }
  if (!to.tag.empty()) {
    tags.push_back(to.tag);
  } else if (to.kind != Kind::docker_archive) {
    tags.push_back(tag_of_source(from));
  } else if (from.reference && !from.reference->digest()) {
    tags.push_back(from.reference->str());
  }
  tags.insert(tags.end(), further.begin(), further.end());
  return tags;
}

Result<void> check_names(const Location& to, const std::vector<std::string>& tags) {
  for (const std::string& tag : tags) {
    if (to.kind == Kind::docker_archive) {
      FNIMAGE_TRY(const Reference reference, Reference::parse(tag));
      if (reference.digest()) {
        return fail(ErrorCode::invalid_argument,
                    fmt::format("{} is no name for a docker archive", printable(tag)),
                    "write docker-archive:FILE:NAME:TAG");
      }
    } else if (to.kind == Kind::registry && !manifest::is_valid_tag(tag)) {
      return fail(ErrorCode::invalid_argument, fmt::format("not a tag: {}", printable(tag)));
    }
  }
  return {};
}

std::vector<std::string> names_at(const Location& to, const std::vector<std::string>& tags) {
  std::vector<std::string> names;
  for (const std::string& tag : tags) {
    Location named = to;
    named.tag = tag;
    if (to.kind == Kind::registry) {
      names.push_back(fmt::format("{}:{}", to.reference->name(), tag));
    } else {
      names.push_back(to.kind == Kind::local ? tag : named.str());
    }
  }
  if (names.empty()) {
    names.push_back(to.str());
  }
  return names;
}

Result<std::unique_ptr<ImageStore>> open_store(const Location& to, const Places& places,
                                               registry::OciLayout::Mode mode) {
  if (to.kind == Kind::registry) {
    return places.client.repository(*to.reference);
  }
  FNIMAGE_TRY(auto layout, registry::OciLayout::open(
                               to.kind == Kind::local ? places.local_store : to.directory, mode));
  return layout;
}

/// The root and, of a list, its images: all that somebody may have signed.
Result<registry::ReferrerMap> referrers_of(ImageStore& from, const Document& root) {
  std::vector<Digest> subjects{root.digest()};
  if (root.is_index()) {
    FNIMAGE_TRY(const auto index, root.index());
    for (const auto& child : index.manifests) {
      subjects.push_back(child.digest);
    }
  }
  return registry::find_referrers(from, subjects);
}

std::size_t count_of(const registry::ReferrerMap& referrers) {
  std::set<Digest> all;
  for (const auto& [subject, entries] : referrers) {
    for (const auto& entry : entries) {
      all.insert(entry.digest);
    }
  }
  return all.size();
}

class Copy {
 public:
  Copy(const Location& from, const Location& to, const CopyOptions& options, const Places& places,
       Diagnostics& diagnostics)
      : from_(from), to_(to), options_(options), places_(places), diagnostics_(diagnostics) {}

  Result<CopyResult> run() {
    FNIMAGE_TRY(tags_, tags_at(to_, from_, options_.tags));
    FNIMAGE_CHECK(check_names(to_, tags_));
    FNIMAGE_TRY(OpenedImage opened, open_image(from_, places_.client, places_.local_store));
    FNIMAGE_TRY(const OpenedImage source,
                select_platforms(std::move(opened), options_.platforms, options_.keep_list));
    FNIMAGE_TRY(const Document root, source.store->get_manifest(source.selector));
    if (options_.referrers) {
      FNIMAGE_TRY(referrers_, referrers_of(*source.store, root));
    }
    CopyResult result{.root = root.descriptor(),
                      .names = names_at(to_, tags_),
                      .referrers = count_of(referrers_),
                      .transferred = {.root = root.descriptor()}};
    if (options_.dry_run) {
      FNIMAGE_TRY(result.plan, plan(*source.store, root));
    } else if (is_archive(to_)) {
      FNIMAGE_CHECK(write(*source.store, root, result.transferred));
    } else {
      FNIMAGE_TRY(result.transferred, send(*source.store, root));
    }
    return result;
  }

 private:
  Result<void> write(ImageStore& from, const Document& root, registry::TransferResult& sent) {
    WriteOptions options{
        .kind = to_.kind == Kind::docker_archive ? ArchiveKind::docker : ArchiveKind::oci,
        .names = tags_,
        .referrers = std::move(referrers_)};
    FNIMAGE_TRY(const WrittenArchive written,
                write_archive(from, root.digest(), to_.directory, options, diagnostics_));
    sent.blobs_uploaded = written.blobs;
    sent.bytes_uploaded = written.bytes;
    return {};
  }

  Result<registry::TransferResult> send(ImageStore& from, const Document& root) {
    FNIMAGE_TRY(const auto to, open_store(to_, places_, registry::OciLayout::Mode::create));
    if (from.repository() && from.repository() == to->repository() && referrers_.empty()) {
      FNIMAGE_TRY(const auto there, to->resolve(root.digest()));
      if (there) {  // all but a list that was only just made by choosing platforms
        FNIMAGE_TRY(const auto moved, retag(*to, root.digest(), tags_));
        return registry::TransferResult{.root = moved.root};
      }
    }
    // What refers to the image is there before a tag says that the image is.
    registry::TransferOptions options;
    if (referrers_.empty()) {
      options.tags = tags_;
      return transfer(from, root.digest(), *to, options, diagnostics_);
    }
    FNIMAGE_TRY(auto sent, transfer(from, root.digest(), *to, options, diagnostics_));
    FNIMAGE_CHECK(copy_referrers(from, referrers_, *to, diagnostics_));
    FNIMAGE_CHECK(retag(*to, root.digest(), tags_));
    return sent;
  }

  Result<std::vector<PlannedPart>> plan(ImageStore& from, const Document& root) {
    registry::ImageParts parts;
    FNIMAGE_CHECK(parts.add(from, root.digest()));
    for (const auto& [subject, entries] : referrers_) {
      for (const auto& entry : entries) {
        FNIMAGE_CHECK(parts.add(from, entry.digest));
      }
    }
    std::unique_ptr<ImageStore> to;
    if (!is_archive(to_)) {
      auto opened = open_store(to_, places_, registry::OciLayout::Mode::existing);
      if (opened) {
        to = std::move(*opened);
      } else if (opened.error().code() != ErrorCode::not_found) {
        return fail(std::move(opened).error());
      }
    }
    std::vector<PlannedPart> planned;
    for (const auto& blob : parts.blobs()) {
      FNIMAGE_TRY(const bool there, to ? to->has_blob(blob) : Result<bool>(false));
      planned.push_back({blob, there});
    }
    for (const Document& document : parts.documents()) {
      FNIMAGE_TRY(const auto there, to ? to->resolve(document.digest())
                                       : Result<std::optional<manifest::Descriptor>>());
      planned.push_back({document.descriptor(), there.has_value()});
    }
    return planned;
  }

  const Location& from_;
  const Location& to_;
  const CopyOptions& options_;
  const Places& places_;
  Diagnostics& diagnostics_;
  std::vector<std::string> tags_;
  registry::ReferrerMap referrers_;
};

}  // namespace

Result<CopyResult> copy(const Location& from, const Location& to, const CopyOptions& options,
                        const Places& places, Diagnostics& diagnostics) {
  auto copied = Copy(from, to, options, places, diagnostics).run();
  if (!copied) {
    return fail(std::move(copied).error().while_doing(
        fmt::format("copy {} to {}", printable(from.str()), printable(to.str()))));
  }
  return copied;
}

}  // namespace fnimage::archive
