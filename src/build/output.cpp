// See the header.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/archive/write.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/output.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::build {

using manifest::Reference;
using registry::Location;
using registry::OciLayout;

namespace {

bool is_docker_archive(const Location& location) noexcept {
  return location.kind == Location::Kind::docker_archive;
}

Result<void> check_docker_archive(const BuildSpec& spec, const BuildOptions& options) {
  if (!options.sboms.empty()) {
    return fail(ErrorCode::unsupported,
                "a docker archive holds nothing that is attached to its image",
                "write -o oci-archive:FILE, or leave out --sbom");
  }
  const std::size_t platforms =
      options.platforms.empty() ? spec.platforms.size() : options.platforms.size();
  if (platforms != 1) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("a docker archive holds one platform's image, not {}", platforms),
                "choose one with --platform, or write -o oci-archive:FILE, which holds lists");
  }
  return {};
}

}  // namespace

Result<Output> Output::open(std::string_view location, const std::vector<Reference>& references,
                            const BuildSpec& spec, const BuildOptions& options,
                            const Environment& environment) {
  Output output;
  if (location.empty()) {
    FNIMAGE_CHECK(output.open_local(spec, references, environment));
    return output;
  }
  FNIMAGE_TRY(const Location place, registry::parse_location(location));
  if (place.kind == Location::Kind::layout) {
    FNIMAGE_CHECK(output.open_layout(place, references));
    return output;
  }
  if (!place.is_path()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("cannot build into '{}'", printable(location)),
                "write -o oci:DIR[:tag], oci-archive:FILE or docker-archive:FILE; for a registry "
                "use --push and -t");
  }
  FNIMAGE_CHECK(output.open_archive(place, references, spec, options, environment));
  return output;
}

Result<void> Output::open_local(const BuildSpec& spec, const std::vector<Reference>& references,
                                const Environment& environment) {
  FNIMAGE_TRY(store_, OciLayout::open(environment.local_store, OciLayout::Mode::create));
  for (const Reference& reference : references) {
    tags_.push_back(reference.str());
  }
  if (references.empty()) {
    FNIMAGE_TRY(const Reference own, Reference::parse(spec.name));
    tags_.push_back(own.str());
  }
  names_ = tags_;
  return {};
}

Result<void> Output::open_layout(const Location& location,
                                 const std::vector<Reference>& references) {
  is_layout_ = true;
  FNIMAGE_TRY(store_, OciLayout::open(location.directory, OciLayout::Mode::create));
  if (!location.tag.empty()) {
    tags_ = {location.tag};
  } else if (references.empty()) {
    tags_ = {"latest"};
  } else {
    for (const Reference& reference : references) {
      if (std::ranges::find(tags_, reference.tag_or_latest()) == tags_.end()) {
        tags_.push_back(reference.tag_or_latest());
      }
    }
  }
  for (const std::string& tag : tags_) {
    names_.push_back(fmt::format("oci:{}:{}", location.directory.string(), tag));
  }
  return {};
}

/// The scratch layout lies beside the layer cache, so that layers are linked into it, not copied.
Result<void> Output::open_archive(const Location& location,
                                  const std::vector<Reference>& references, const BuildSpec& spec,
                                  const BuildOptions& options, const Environment& environment) {
  const bool docker = is_docker_archive(location);
  if (docker) {
    FNIMAGE_CHECK(check_docker_archive(spec, options));
  }
  archive_ = location;
  remove_stale_temporaries(environment.cache_directory);
  FNIMAGE_TRY(auto scratch, TemporaryDirectory::create_in(environment.cache_directory));
  scratch_.emplace(std::move(scratch));
  FNIMAGE_TRY(store_, OciLayout::open(scratch_->path() / "layout", OciLayout::Mode::create));
  if (!location.tag.empty()) {
    tags_ = {location.tag};
  } else {
    for (const Reference& reference : references) {
      tags_.push_back(docker ? reference.str() : reference.tag_or_latest());
    }
  }
  if (tags_.empty()) {
    tags_ = {docker ? spec.name + ":latest" : std::string("latest")};
  }
  Location named = location;
  for (const std::string& tag : tags_) {
    named.tag = tag;
    names_.push_back(named.str());
  }
  return {};
}

Result<void> Output::complete(const BuildResult& result, Diagnostics& diagnostics) const {
  if (is_layout_) {
    // Tools that cannot choose from a list find each platform under a tag of its own.
    registry::TransferOptions tagging;
    tagging.tags = tags_;
    tagging.tag_platforms = true;
    FNIMAGE_CHECK(
        registry::transfer(*store_, result.list.digest, *store_, tagging, null_diagnostics()));
  }
  return archive_ ? write_archive(result, diagnostics) : Result<void>();
}

Result<void> Output::write_archive(const BuildResult& result, Diagnostics& diagnostics) const {
  const bool docker = is_docker_archive(*archive_);
  archive::WriteOptions options{
      .kind = docker ? archive::ArchiveKind::docker : archive::ArchiveKind::oci, .names = tags_};
  if (!docker) {
    FNIMAGE_TRY(const manifest::Document list, store_->get_manifest(result.list.digest));
    FNIMAGE_TRY(options.companions, registry::find_companions_of(*store_, list));
  }
  const manifest::Digest root =
      docker ? result.platforms.front().manifest.digest : result.list.digest;
  FNIMAGE_CHECK(archive::write_archive(*store_, root, archive_->directory, options, diagnostics));
  return {};
}

}  // namespace fnimage::build
