// See list_placement.hpp.
#include "list_placement.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/validate.hpp>
#include <fnimage/registry/image_sources.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::build {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using registry::ImageStore;

/// Equal for targets that share what they hold.
std::string place_of(const ListTarget& target) {
  return target.is_local() ? "" : target.name.registry() + "/" + target.name.repository();
}

/// Whether the image is where the list will be looked for, so that it need not be copied.
bool is_at_home(const ListEntry& entry, const ListTarget& target) {
  if (entry.store.get() == target.store) {
    return true;
  }
  const auto repository = entry.store->repository();
  return repository && repository->registry == target.name.registry() &&
         repository->repository == target.name.repository();
}

/// A manifest that has to go somewhere.
struct Missing {
  std::shared_ptr<ImageStore> from;
  Digest digest;
  const ListTarget* target = nullptr;
  bool needed = true;
};

class Placer {
 public:
  Placer(const std::vector<Placement>& placements, const ListOptions& options,
         Diagnostics& diagnostics)
      : placements_(placements), options_(options), diagnostics_(diagnostics) {}

  Result<void> run() {
    for (const Placement& placement : placements_) {
      FNIMAGE_CHECK(collect(placement));
    }
    FNIMAGE_CHECK(look());
    FNIMAGE_CHECK(send());
    if (options_.referrers) {
      FNIMAGE_CHECK(send_referrers());
    }
    for (const Placement& placement : placements_) {
      for (ListEntry& entry : *placement.entries) {
        FNIMAGE_CHECK(convert(entry, placement));
      }
    }
    return {};
  }

 private:
  /// Notes what is not there yet.
  Result<void> collect(const Placement& placement) {
    const ListTarget& target = placement.target;
    for (ListEntry& entry : *placement.entries) {
      leave_attestations_out(entry, placement);
      if (is_at_home(entry, target)) {
        continue;
      }
      std::vector<Digest> digests{entry.descriptor.digest};
      for (const Descriptor& attestation : entry.attestations) {
        digests.push_back(attestation.digest);
      }
      for (Digest& digest : digests) {
        FNIMAGE_TRY(const bool referred, refer_to(entry, digest, target));
        if (!referred && seen_.emplace(place_of(target), digest).second) {
          missing_.push_back({entry.store, std::move(digest), &target});
        }
      }
    }
    return {};
  }

  void leave_attestations_out(ListEntry& entry, const Placement& placement) {
    const bool docker = placement.format == manifest::Format::docker;
    if (entry.attestations.empty() || (!docker && !changes(entry, placement))) {
      return;
    }
    // A Docker list cannot say what they belong to; and they speak of the digest that it had.
    diagnostics_.report(Severity::warning,
                        fmt::format("the attestations of {} ({}) are left out: {}", entry.from,
                                    entry.descriptor.platform->str(),
                                    docker ? "a Docker list cannot hold them"
                                           : "they speak of the image before its conversion"));
    entry.attestations.clear();
  }

  static bool changes(const ListEntry& entry, const Placement& placement) {
    const bool docker = entry.descriptor.media_type == manifest::media_type::docker_manifest;
    return docker != (placement.format == manifest::Format::docker);
  }

  /// Keeps manifest and config only, when the rest can be mounted later. False: it cannot.
  static Result<bool> refer_to(const ListEntry& entry, const Digest& digest,
                               const ListTarget& target) {
    if (!target.is_local() || target.name.registry().empty()) {
      return false;
    }
    FNIMAGE_TRY(const Document document, entry.store->get_manifest(digest));
    const auto home = entry.store->home_of(digest);
    if (!home || home->registry != target.name.registry() || !document.is_image()) {
      return false;
    }
    FNIMAGE_TRY(const bool noted, target.store->note_home(digest, *home));
    if (!noted) {
      return false;
    }
    FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
    FNIMAGE_TRY(const ContentPtr config, entry.store->blob(image.config));
    FNIMAGE_CHECK(target.store->put_blob(image.config, *config, {}));
    FNIMAGE_CHECK(target.store->put_manifest(document, std::nullopt));
    return true;
  }

  /// A registry takes a manifest only with its content, so what it has is whole. The local store
  /// may hold less.
  Result<void> look() {
    if (missing_.empty()) {
      return {};
    }
    WorkerPool pool(std::min(missing_.size(), options_.parallel));
    TaskGroup group(pool);
    for (Missing& image : missing_) {
      if (!image.target->is_local()) {
        group.run([&image]() -> Result<void> {
          FNIMAGE_TRY(const auto there, image.target->store->resolve(image.digest));
          image.needed = !there;
          return {};
        });
      }
    }
    return group.wait();
  }

  Result<void> send() {
    std::map<Digest, std::shared_ptr<ImageStore>> from;
    std::vector<registry::Destination> destinations;
    for (const Missing& image : missing_) {
      if (image.needed) {
        from.emplace(image.digest, image.from);
        destinations.push_back({.selector = image.digest, .store = image.target->store});
      }
    }
    if (destinations.empty()) {
      return {};
    }
    registry::ImageSources sources(
        from.begin()->second->describe(), nullptr,
        [&from](const Digest& image) -> Result<registry::ImageSources::Stores> {
          const auto found = from.find(image);
          return found == from.end() ? registry::ImageSources::Stores{}
                                     : registry::ImageSources::Stores{found->second};
        });
    FNIMAGE_CHECK(registry::transfer_all(sources, destinations, options_.parallel, diagnostics_));
    return {};
  }

  Result<void> send_referrers() {
    using Group = std::pair<std::vector<Digest>, const Missing*>;
    std::map<std::pair<ImageStore*, std::string>, Group> groups;
    for (const Missing& image : missing_) {
      Group& group = groups[{image.from.get(), place_of(*image.target)}];
      group.first.push_back(image.digest);
      group.second = &image;
    }
    for (const auto& [key, group] : groups) {
      const auto& [digests, image] = group;
      FNIMAGE_TRY(const registry::Companions found,
                  registry::find_companions(*image->from, digests));
      FNIMAGE_CHECK(registry::copy_companions(*image->from, found, *image->target->store,
                                              options_.parallel, diagnostics_));
    }
    return {};
  }

  /// A manifest in another family of media types, stored where the list goes.
  static Result<void> convert(ListEntry& entry, const Placement& placement) {
    if (!changes(entry, placement)) {
      return {};
    }
    const Digest before = entry.descriptor.digest;
    FNIMAGE_TRY(const Document document, entry.store->get_manifest(before));
    FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
    const manifest::ImageManifest converted = manifest::convert(image, placement.format);
    FNIMAGE_CHECK(manifest::require_valid(manifest::validate(converted), entry.from));
    const Document made = Document::of(converted);
    ImageStore& store = *placement.target.store;
    if (const auto home =
            placement.target.is_local() ? entry.store->home_of(before) : std::nullopt) {
      FNIMAGE_CHECK(store.note_home(made.digest(), *home));
    }
    FNIMAGE_CHECK(store.put_manifest(made, std::nullopt));
    entry.descriptor.media_type = made.media_type();
    entry.descriptor.digest = made.digest();
    entry.descriptor.size = made.bytes().size();
    return {};
  }

  const std::vector<Placement>& placements_;
  const ListOptions& options_;
  Diagnostics& diagnostics_;
  std::vector<Missing> missing_;
  std::set<std::pair<std::string, Digest>> seen_;
};

}  // namespace

Result<void> place_all(const std::vector<Placement>& placements, const ListOptions& options,
                       Diagnostics& diagnostics) {
  return Placer(placements, options, diagnostics).run();
}

}  // namespace fnimage::build
