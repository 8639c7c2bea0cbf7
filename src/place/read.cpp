// Reading what entries and images are annotated with.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/place/read.hpp>
#include <fnimage/registry/image_parts.hpp>

namespace fnimage::place {

namespace {

using manifest::Descriptor;
using manifest::Document;

Result<std::optional<manifest::Platform>> config_platform_of(registry::ImageStore& store,
                                                             const manifest::ImageManifest& image) {
  if (!manifest::is_config_type(image.config.media_type)) {
    return std::nullopt;
  }
  FNIMAGE_TRY(const manifest::ImageConfig config, registry::read_config(store, image.config));
  return config.has_platform() ? std::optional(config.platform) : std::nullopt;
}

bool is_statement(const Descriptor& entry) {
  return entry.platform && entry.platform->os == "unknown";
}

/// Nodes of other platforms are not looked at; what falls back to an image has its os.
bool is_asked(const Descriptor& entry, const Options& options) {
  return options.platforms.empty() || !entry.platform ||
         std::any_of(options.platforms.begin(), options.platforms.end(),
                     [&](const manifest::Platform& platform) {
                       const std::string& named = entry.platform->architecture;
                       const auto normal = manifest::normalize(*entry.platform).architecture;
                       const bool falls_back =
                           (platform.architecture == "amd64" && normal == "386") ||
                           (platform.architecture == "arm64" && normal == "arm");
                       return named == platform.architecture || falls_back ||
                              normal == platform.architecture;
                     });
}

/// The facts of an image whose manifest has to be read for them.
Result<void> read_image(registry::ImageStore& store, const Descriptor& entry,
                        bool wants_requirements, ImageFacts& facts) {
  auto document = store.get_manifest(entry.digest);
  if (!document && document.error().code() == ErrorCode::not_found) {
    return fail(ErrorCode::not_found,
                fmt::format("{}, an image of the list, is missing, and what it needs is not known",
                            entry.digest.str()),
                "leave its platform out: --platform names those that are wanted");
  }
  FNIMAGE_CHECK(document);
  if (!document->is_image()) {
    return {};  // what a node takes has to be an image: place() says so
  }
  FNIMAGE_TRY(const manifest::ImageManifest image, document->image());
  if (wants_requirements) {
    FNIMAGE_TRY(facts.requirements,
                require::requirements_of(image.annotations,
                                         fmt::format("manifest {}", entry.digest.str())));
  }
  if (!entry.platform || entry.platform->architecture.empty()) {
    FNIMAGE_TRY(facts.config_platform, config_platform_of(store, image));
  }
  return {};
}

Result<Placement> place_list(registry::ImageStore& store, const Document& document,
                             const Options& options, WorkerPool& pool) {
  FNIMAGE_TRY(const manifest::Index list, document.index());
  std::vector<ImageFacts> facts(list.manifests.size());
  TaskGroup group(pool);
  for (std::size_t i = 0; i < facts.size(); ++i) {
    const Descriptor& entry = list.manifests[i];
    if (is_statement(entry) || !is_asked(entry, options)) {
      continue;
    }
    const bool is_annotated = entry.annotations.contains(std::string(require::requires_annotation));
    if (is_annotated) {
      FNIMAGE_TRY(
          facts[i].requirements,
          require::requirements_of(entry.annotations, fmt::format("entry {}", entry.digest.str())));
    }
    if (!is_annotated || !entry.platform || entry.platform->architecture.empty()) {
      group.run([&store, &entry, is_annotated, &fact = facts[i]]() {
        return read_image(store, entry, !is_annotated, fact);
      });
    }
  }
  FNIMAGE_CHECK(group.wait());
  return place(list, facts, options);
}

}  // namespace

Result<Placement> place_document(registry::ImageStore& store, const Document& document,
                                 const Options& options, WorkerPool& pool) {
  if (document.is_index()) {
    return place_list(store, document, options, pool);
  }
  if (!document.is_image()) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} is no image, but of type {}", document.digest().str(),
                            printable(document.media_type(), 100)));
  }
  FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
  ImageFacts facts;
  FNIMAGE_TRY(facts.requirements,
              require::requirements_of(image.annotations,
                                       fmt::format("manifest {}", document.digest().str())));
  FNIMAGE_TRY(facts.config_platform, config_platform_of(store, image));
  return place(document.descriptor(), facts, options);
}

}  // namespace fnimage::place
