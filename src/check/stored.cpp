// Images of a store: from a reference to files, see check.hpp.
#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/check/check.hpp>
#include <fnimage/layer/archive.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/manifest/validate.hpp>

namespace fnimage::check {

namespace {

constexpr std::size_t max_nesting = 8;
constexpr std::size_t max_images = 10'000;

struct Candidate {
  manifest::Descriptor descriptor;
  manifest::ImageManifest image;
  manifest::ImageConfig config;
  manifest::Platform platform{};
};

bool is_attestation(const manifest::Descriptor& entry) {
  return entry.platform && entry.platform->os == "unknown" &&
         entry.platform->architecture == "unknown";
}

/// The images below a document, those of lists within the list too.
class Collector {
 public:
  Collector(registry::ImageStore& store, const std::vector<manifest::Platform>& wanted)
      : store_(store), wanted_(wanted) {}

  Result<void> add(const manifest::Document& document, const manifest::Descriptor& descriptor,
                   std::size_t depth) {
    if (!document.is_index()) {
      return add_image(document, descriptor);
    }
    if (depth >= max_nesting) {
      return fail(ErrorCode::invalid_input, "lists within lists are nested too deep");
    }
    FNIMAGE_TRY(const manifest::Index index, document.index());
    for (const manifest::Descriptor& entry : index.manifests) {
      if (is_attestation(entry) || (entry.platform && !is_wanted(*entry.platform))) {
        continue;
      }
      FNIMAGE_TRY(const manifest::Document child, store_.get_manifest(entry.digest));
      FNIMAGE_CHECK(add(child, entry, depth + 1));
    }
    return {};
  }

  [[nodiscard]] std::vector<Candidate> take() && { return std::move(images_); }

 private:
  [[nodiscard]] bool is_wanted(const manifest::Platform& platform) const {
    return wanted_.empty() ||
           std::any_of(wanted_.begin(), wanted_.end(), [&](const manifest::Platform& one) {
             return manifest::normalize(platform) == one;
           });
  }

  Result<void> add_image(const manifest::Document& document,
                         const manifest::Descriptor& descriptor) {
    FNIMAGE_TRY(manifest::ImageManifest image, document.image());
    if (!manifest::is_config_type(image.config.media_type)) {
      return {};  // an artifact has no files that run
    }
    FNIMAGE_TRY(manifest::ImageConfig config, registry::read_config(store_, image.config));
    const manifest::Platform platform = descriptor.platform.value_or(config.platform);
    if (!is_wanted(platform)) {
      return {};
    }
    if (images_.size() >= max_images) {
      return fail(ErrorCode::invalid_input, "too many images to check");
    }
    images_.push_back({.descriptor = descriptor,
                       .image = std::move(image),
                       .config = std::move(config),
                       .platform = manifest::normalize(platform)});
    return {};
  }

  registry::ImageStore& store_;
  const std::vector<manifest::Platform>& wanted_;
  std::vector<Candidate> images_;
};

/// What config and manifest say against each other.
void add_document_findings(const Candidate& candidate, std::vector<Finding>& findings) {
  const manifest::Platform& said = candidate.config.platform;
  if (candidate.config.has_platform() &&
      (said.os != candidate.platform.os ||
       manifest::normalize(said).architecture != candidate.platform.architecture)) {
    findings.push_back({.level = Level::error,
                        .rule = "platform",
                        .path = {},
                        .message = fmt::format("is listed for {}, and its config says {}",
                                               candidate.platform.str(), printable(said.str())),
                        .fix = "list it for the platform that its files are for"});
  }
  for (const manifest::Finding& finding : manifest::validate(candidate.image, candidate.config)) {
    findings.push_back(
        {.level = finding.fatal ? Level::error : Level::warning,
         .rule = "manifest",
         .path = {},
         .message = fmt::format("has at {} of its manifest: {}", finding.path, finding.message),
         .fix = finding.fix});
  }
}

using Layers = std::map<manifest::Digest, std::vector<layer::Entry>>;

Result<Layers> unpack_layers(const std::vector<Candidate>& images, registry::ImageStore& store,
                             const std::filesystem::path& directory, WorkerPool& pool,
                             Diagnostics& diagnostics) {
  Layers layers;
  TaskGroup group(pool);
  for (const Candidate& candidate : images) {
    for (const manifest::Descriptor& blob : candidate.image.layers) {
      const auto [slot, is_new] = layers.try_emplace(blob.digest);
      if (!is_new) {
        continue;
      }
      group.run([&, blob, entries = &slot->second]() -> Result<void> {
        const auto progress =
            diagnostics.begin(fmt::format("layer {:.12}", blob.digest.hex()), blob.size);
        const auto unpack = [&]() -> Result<layer::ArchiveListing> {
          FNIMAGE_TRY(const ContentPtr content, store.blob(blob));
          return layer::unpack_tar([&] { return content->open(); }, blob.digest.hex(), directory,
                                   "layer " + blob.digest.str());
        };
        auto listing = unpack();
        progress->finish(listing ? "done" : "failed");
        FNIMAGE_CHECK(listing);
        *entries = std::move(listing->entries);
        return {};
      });
    }
  }
  FNIMAGE_CHECK(group.wait());
  return layers;
}

/// What made each layer, as far as the config's history says it.
std::vector<std::string> layer_names(const Candidate& candidate) {
  constexpr std::size_t longest = 40;
  std::vector<std::string> names;
  for (const manifest::HistoryEntry& entry : candidate.config.history) {
    if (!entry.empty_layer) {
      names.push_back(entry.created_by.empty() ? std::string()
                                               : printable(entry.created_by, longest));
    }
  }
  names.resize(candidate.image.layers.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    names[i] =
        names[i].empty() ? fmt::format("{}", i + 1) : fmt::format("{} ({})", i + 1, names[i]);
  }
  return names;
}

Result<Report> check_one(const Candidate& candidate, const Layers& layers) {
  ImageFiles files;
  const std::vector<std::string> names = layer_names(candidate);
  for (std::size_t i = 0; i < names.size(); ++i) {
    files.add_layer(names[i], layers.at(candidate.image.layers[i].digest));
  }
  FNIMAGE_TRY(Report report, check_image(files, candidate.config, candidate.platform));
  add_document_findings(candidate, report.findings);
  report.sort();
  return report;
}

Result<void> require_platforms(const std::vector<Candidate>& images,
                               const std::vector<manifest::Platform>& wanted) {
  for (const manifest::Platform& platform : wanted) {
    const bool there = std::any_of(images.begin(), images.end(), [&](const Candidate& candidate) {
      return candidate.platform == platform;
    });
    if (!there) {
      return fail(ErrorCode::platform_mismatch, fmt::format("no image for {}", platform.str()),
                  "fnimage inspect shows which platforms there are");
    }
  }
  return {};
}

}  // namespace

Result<std::vector<StoredImage>> check_stored(registry::ImageStore& store,
                                              const registry::Selector& selector,
                                              const StoreOptions& options, WorkerPool& pool,
                                              Diagnostics& diagnostics) {
  FNIMAGE_TRY(const manifest::Document root, store.get_manifest(selector));
  Collector collector(store, options.platforms);
  FNIMAGE_CHECK(collector.add(root, root.descriptor(), 0));
  const std::vector<Candidate> images = std::move(collector).take();
  FNIMAGE_CHECK(require_platforms(images, options.platforms));
  if (images.empty()) {
    return fail(ErrorCode::invalid_input, "there is no image to check in it");
  }
  FNIMAGE_TRY(const Layers layers,
              unpack_layers(images, store, options.directory, pool, diagnostics));
  std::vector<Report> reports(images.size());
  TaskGroup group(pool);
  for (std::size_t i = 0; i < images.size(); ++i) {
    group.run([&, i]() -> Result<void> {
      FNIMAGE_TRY(reports[i], check_one(images[i], layers));
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  std::vector<StoredImage> checked;
  for (std::size_t i = 0; i < images.size(); ++i) {
    checked.push_back({.descriptor = images[i].descriptor, .report = std::move(reports[i])});
  }
  return checked;
}

}  // namespace fnimage::check
