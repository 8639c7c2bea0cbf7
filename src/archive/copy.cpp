// See copy.hpp.
#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <fnimage/archive/copy.hpp>
#include <fnimage/archive/open.hpp>
#include <fnimage/archive/write.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/selection.hpp>
#include <fnimage/registry/tagging.hpp>

#include "united_store.hpp"

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

/// image-spec's alphabet for org.opencontainers.image.ref.name.
bool is_ref_name(std::string_view tag) {
  return !tag.empty() && std::ranges::all_of(tag, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._-:@/+").find(c) != std::string_view::npos;
  });
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
    } else if (!is_ref_name(tag)) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("\"{}\" is no tag that other tools could read", printable(tag)),
                  "use letters, digits and . _ - : @ / + only");
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

/// One image on its way.
struct Job {
  const CopyItem* item = nullptr;
  std::vector<std::string> tags{};
  OpenedImage source{};
  std::optional<Document> root{};
  registry::Companions companions{};
  std::shared_ptr<ImageStore> to{};  ///< null for archives
  std::optional<CopyResult> result{};
};

class Copier {
 public:
  Copier(const CopyOptions& options, const Places& places, Diagnostics& diagnostics)
      : options_(options), places_(places), diagnostics_(diagnostics) {}

  Result<std::vector<CopyResult>> run(const std::vector<CopyItem>& items) {
    std::vector<Job> jobs(items.size());
    {
      WorkerPool pool(std::min(items.size(), std::max<std::size_t>(options_.parallel, 1)));
      TaskGroup group(pool);
      for (std::size_t i = 0; i < items.size(); ++i) {
        jobs[i].item = &items[i];
        group.run([this, &job = jobs[i]] { return prepare(job); });
      }
      FNIMAGE_CHECK(group.wait());
    }
    std::vector<Job*> transfers;
    for (Job& job : jobs) {
      FNIMAGE_TRY(const bool done, begin(job));
      if (!done) {
        transfers.push_back(&job);
      }
    }
    FNIMAGE_CHECK(send(transfers));
    std::vector<CopyResult> results;
    results.reserve(jobs.size());
    for (Job& job : jobs) {
      results.push_back(std::move(*job.result));
    }
    return results;
  }

 private:
  Result<void> prepare(Job& job) const {
    const CopyItem& item = *job.item;
    FNIMAGE_TRY(job.tags, tags_at(item.to, item.from, options_.tags));
    FNIMAGE_CHECK(check_names(item.to, job.tags));
    FNIMAGE_TRY(OpenedImage opened, open_image(item.from, places_.client, places_.local_store));
    FNIMAGE_CHECK(explain_missing(item.from, opened));
    FNIMAGE_TRY(job.source, shape_image(std::move(opened), options_.shape, diagnostics_));
    FNIMAGE_TRY(job.root, job.source.store->get_manifest(job.source.selector));
    if (options_.referrers) {
      FNIMAGE_TRY(job.companions, registry::find_companions_of(*job.source.store, *job.root));
    }
    job.result = CopyResult{.root = job.root->descriptor(),
                            .names = names_at(item.to, job.tags),
                            .referrers = job.companions.count(),
                            .transferred = {.root = job.root->descriptor()}};
    return {};
  }

  /// A name without registry is easily meant to be one of a registry.
  static Result<void> explain_missing(const Location& from, const OpenedImage& opened) {
    if (from.kind != Kind::local) {
      return {};
    }
    FNIMAGE_TRY(const auto found, opened.store->resolve(opened.selector));
    if (!found) {
      return fail(ErrorCode::not_found, fmt::format("no {} in the local store", from.str()),
                  "`fnimage images` lists what is there; an image of a registry is written "
                  "registry/name:tag");
    }
    return {};
  }

  /// All but what has to be transferred; false = that is left.
  Result<bool> begin(Job& job) {
    if (options_.dry_run) {
      FNIMAGE_TRY(job.result->plan, plan(job));
      return true;
    }
    if (is_archive(job.item->to)) {
      FNIMAGE_CHECK(write(job));
      return true;
    }
    FNIMAGE_TRY(job.to, open_for_writing(job.item->to));
    const auto home = job.source.store->repository();
    if (!home || home != job.to->repository() || !job.companions.empty()) {
      return false;
    }
    FNIMAGE_TRY(const auto there, job.to->resolve(job.root->digest()));
    if (!there) {  // a manifest that was only just made
      return false;
    }
    FNIMAGE_TRY(auto moved, retag(*job.to, job.root->digest(), job.tags));
    job.result->transferred.moved = std::move(moved.tags);
    return true;
  }

  /// One store for each place: then images share what is there.
  Result<std::shared_ptr<ImageStore>> open_for_writing(const Location& to) {
    const std::string place =
        to.kind == Kind::registry ? to.reference->name() : "/" + to.directory.string();
    std::shared_ptr<ImageStore>& store = stores_[place];
    if (!store) {
      FNIMAGE_TRY(store, open_store(to, places_, registry::OciLayout::Mode::create));
    }
    return store;
  }

  Result<void> write(Job& job) {
    const Location& to = job.item->to;
    WriteOptions options{
        .kind = to.kind == Kind::docker_archive ? ArchiveKind::docker : ArchiveKind::oci,
        .names = job.tags,
        .companions = std::move(job.companions)};
    FNIMAGE_TRY(const WrittenArchive written, write_archive(*job.source.store, job.root->digest(),
                                                            to.directory, options, diagnostics_));
    job.result->transferred.blobs_uploaded = written.blobs;
    job.result->transferred.bytes_uploaded = written.bytes;
    return {};
  }

  Result<void> send(const std::vector<Job*>& jobs) {
    if (jobs.empty()) {
      return {};
    }
    UnitedStore from;
    std::vector<registry::Destination> destinations;
    for (Job* job : jobs) {
      FNIMAGE_CHECK(from.add(*job->source.store, *job->root));
      destinations.push_back(
          {.selector = job->root->digest(), .store = job->to.get(), .repair = options_.repair});
      if (job->companions.empty()) {
        destinations.back().tags = job->tags;
      }
    }
    FNIMAGE_TRY(auto sent,
                registry::transfer_all(from, destinations, options_.parallel, diagnostics_));
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      jobs[i]->result->transferred = std::move(sent[i]);
      FNIMAGE_CHECK(send_companions(*jobs[i]));
    }
    return {};
  }

  /// What refers to the image is there before a tag says that the image is.
  Result<void> send_companions(Job& job) {
    if (job.companions.empty()) {
      return {};
    }
    FNIMAGE_TRY(const auto sent, copy_companions(*job.source.store, job.companions, *job.to,
                                                 options_.parallel, diagnostics_));
    for (const registry::TransferResult& one : sent) {
      job.result->transferred += one;
    }
    FNIMAGE_TRY(auto moved, retag(*job.to, job.root->digest(), job.tags));
    job.result->transferred.moved = std::move(moved.tags);
    return {};
  }

  Result<std::vector<PlannedPart>> plan(const Job& job) {
    ImageStore& from = *job.source.store;
    registry::ImageParts parts;
    FNIMAGE_CHECK(parts.add(from, job.root->digest()));
    for (const auto& [subject, entries] : job.companions.referrers) {
      for (const auto& entry : entries) {
        FNIMAGE_CHECK(parts.add(from, entry.digest));
      }
    }
    for (const auto& [tag, entry] : job.companions.tags) {
      FNIMAGE_CHECK(parts.add(from, entry.digest));
    }
    std::unique_ptr<ImageStore> to;
    if (!is_archive(job.item->to)) {
      auto opened = open_store(job.item->to, places_, registry::OciLayout::Mode::existing);
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

  const CopyOptions& options_;
  const Places& places_;
  Diagnostics& diagnostics_;
  std::map<std::string, std::shared_ptr<ImageStore>> stores_;
};

}  // namespace

Result<std::vector<CopyResult>> copy_all(const std::vector<CopyItem>& items,
                                         const CopyOptions& options, const Places& places,
                                         Diagnostics& diagnostics) {
  return Copier(options, places, diagnostics).run(items);
}

Result<CopyResult> copy(const Location& from, const Location& to, const CopyOptions& options,
                        const Places& places, Diagnostics& diagnostics) {
  auto copied = copy_all({{from, to}}, options, places, diagnostics);
  if (!copied) {
    return fail(std::move(copied).error().while_doing(
        fmt::format("copy {} to {}", printable(from.str()), printable(to.str()))));
  }
  return std::move(copied->front());
}

}  // namespace fnimage::archive
