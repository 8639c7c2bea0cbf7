// fnimage_build() and fnimage_publish(). Each call has an environment of its own, so that it can be
// stopped without the others.
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/archive/open.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/init.hpp>
#include <fnimage/build/lock.hpp>
#include <fnimage/build/output.hpp>
#include <fnimage/build/publish.hpp>
#include <fnimage/registry/image_sources.hpp>
#include <fnimage/report/json.hpp>

#include "handles.hpp"
#include "options.hpp"

namespace fnimage::capi {

namespace {

using manifest::Reference;

Result<std::unique_ptr<build::OwnedEnvironment>> open_environment(const fnimage_context* context,
                                                                  const fnimage_cancel* cancel) {
  FNIMAGE_CHECK(require_given(context, "the context"));
  build::EnvironmentOptions options = context->state->options;
  options.stop = token_of(cancel);
  return build::OwnedEnvironment::open(std::move(options), context->state->diagnostics());
}

Result<std::vector<Reference>> references_of(const std::vector<std::string>& texts,
                                             bool destinations) {
  std::vector<Reference> references;
  for (const std::string& text : texts) {
    FNIMAGE_TRY(Reference reference,
                destinations ? build::parse_destination(text) : Reference::parse(text));
    if (reference.digest()) {
      return fail(ErrorCode::invalid_argument, "cannot build under a digest: " + printable(text),
                  "name a tag");
    }
    references.push_back(std::move(reference));
  }
  return references;
}

struct BuildJob {
  std::string directory = ".";
  std::string file{};
  std::string output{};
  std::vector<Reference> references{};
  bool push = false;
  build::BuildOptions options{};
  build::PublishOptions publish{};
};

Result<void> read_shape(Options& json, BuildJob& job) {
  constexpr std::uint64_t last_second = 253'402'300'799;  // of the year 9999
  std::vector<std::string> platforms;
  FNIMAGE_CHECK(json.read("platforms", platforms));
  for (const std::string& text : platforms) {
    FNIMAGE_TRY(job.options.platforms.emplace_back(), build::parse_build_platform(text));
  }
  FNIMAGE_TRY(const auto compression, json.text("compression"));
  if (compression) {
    FNIMAGE_TRY(job.options.compression, layer::parse_compression(*compression));
  }
  FNIMAGE_TRY(const auto format, json.text("format"));
  if (format && *format != "oci" && *format != "docker") {
    return json.refuse("format", "neither \"oci\" nor \"docker\"");
  }
  job.options.format = format == "docker" ? manifest::Format::docker : manifest::Format::oci;
  FNIMAGE_TRY(const auto seconds, json.number("sourceDateEpoch", 0, last_second));
  if (seconds) {
    job.options.source_date_epoch = static_cast<std::int64_t>(*seconds);
  }
  std::vector<std::string> sboms;
  FNIMAGE_CHECK(json.read("sboms", sboms));
  for (const std::string& word : sboms) {
    FNIMAGE_TRY(job.options.sboms.emplace_back(), sbom::parse_format(word));
  }
  return {};
}

Result<void> read_rules(Options& json, BuildJob& job) {
  FNIMAGE_CHECK(json.read("offline", job.options.offline));
  FNIMAGE_CHECK(json.read("locked", job.options.locked));
  FNIMAGE_CHECK(json.read("strict", job.options.strict));
  FNIMAGE_CHECK(json.read("check", job.options.check));
  FNIMAGE_CHECK(json.read("bundle", job.options.bundle));
  FNIMAGE_CHECK(json.read("tagPlatforms", job.publish.tag_platforms));
  FNIMAGE_CHECK(json.read("lint", job.publish.lint));
  return {};
}

Result<BuildJob> read_build_job(const char* text) {
  FNIMAGE_TRY(Options json, Options::parse(text, "options of fnimage_build"));
  BuildJob job;
  std::vector<std::string> tags;
  FNIMAGE_CHECK(json.read("directory", job.directory));
  FNIMAGE_CHECK(json.read("file", job.file));
  FNIMAGE_CHECK(json.read("output", job.output));
  FNIMAGE_CHECK(json.read("tags", tags));
  FNIMAGE_CHECK(json.read("push", job.push));
  FNIMAGE_CHECK(read_shape(json, job));
  FNIMAGE_CHECK(read_rules(json, job));
  FNIMAGE_CHECK(json.require_all_known());
  if (job.push && tags.empty()) {
    return json.refuse("push", "there is no name to publish under in \"tags\"");
  }
  FNIMAGE_TRY(job.references, references_of(tags, job.push));
  job.publish.referrers = !job.options.sboms.empty();
  return job;
}

Result<build::BuildSpec> read_spec(const BuildJob& job) {
  return job.file.empty()
             ? build::load_spec(std::filesystem::path(job.directory) / build::build_file_name)
             : build::load_spec(job.file, job.directory);
}

Result<std::string> run_build(const fnimage_context* context, const char* options,
                              const fnimage_cancel* cancel) {
  FNIMAGE_TRY(const auto environment, open_environment(context, cancel));
  FNIMAGE_TRY(BuildJob job, read_build_job(options));
  FNIMAGE_TRY(const build::BuildSpec spec, read_spec(job));
  job.options.lock_file = build::lock_path(spec);
  job.publish.parallel = context->state->options.connections;
  FNIMAGE_TRY(const build::Output output,
              build::Output::open(job.output, job.references, spec, job.options,
                                  environment->environment()));
  Diagnostics& diagnostics = environment->environment().diagnostics;
  FNIMAGE_TRY(
      const build::BuiltAndPublished done,
      build::build_and_publish(spec, job.options, output.store(), output.tags(),
                               job.push ? job.references : std::vector<Reference>(), job.publish,
                               environment->environment(), [&](const build::BuildResult& result) {
                                 return output.complete(result, diagnostics);
                               }));
  nlohmann::ordered_json json = report::to_json(done.built, output.names());
  for (const build::Published& published : done.published) {
    json["pushed"].push_back(report::to_json(published));
  }
  return to_json_text(json);
}

struct PublishJob {
  std::string image{};
  std::vector<Reference> references{};
  build::PublishOptions options{};
};

Result<PublishJob> read_publish_job(const char* text) {
  FNIMAGE_TRY(Options json, Options::parse(text, "options of fnimage_publish"));
  PublishJob job;
  std::vector<std::string> references;
  FNIMAGE_CHECK(json.read("image", job.image));
  FNIMAGE_CHECK(json.read("references", references));
  FNIMAGE_CHECK(json.read("tagPlatforms", job.options.tag_platforms));
  FNIMAGE_CHECK(json.read("referrers", job.options.referrers));
  FNIMAGE_CHECK(json.read("repair", job.options.repair));
  FNIMAGE_CHECK(json.read("lint", job.options.lint));
  FNIMAGE_CHECK(json.read("expectAbsent", job.options.expected.absent));
  FNIMAGE_TRY(const auto digest, json.text("expectDigest"));
  FNIMAGE_CHECK(json.require_all_known());
  if (digest) {
    FNIMAGE_TRY(job.options.expected.digest, manifest::Digest::parse(*digest));
  }
  if (job.image.empty()) {
    return json.refuse("image", "missing: what is to be published");
  }
  if (references.empty()) {
    references.push_back(job.image);
  }
  FNIMAGE_TRY(job.references, references_of(references, true));
  return job;
}

Result<std::string> run_publish(const fnimage_context* context, const char* options,
                                const fnimage_cancel* cancel) {
  using Kind = registry::Location::Kind;
  FNIMAGE_TRY(const auto environment, open_environment(context, cancel));
  FNIMAGE_TRY(PublishJob job, read_publish_job(options));
  FNIMAGE_TRY(registry::Location location, registry::parse_location(job.image));
  if (location.kind == Kind::registry) {
    location.kind = Kind::local;  // names in the local store often name the registry they are for
  }
  registry::Client& client = environment->client();
  FNIMAGE_TRY(registry::OpenedImage image,
              archive::open_image(location, client, environment->environment().local_store));
  job.options.parallel = context->state->options.connections;
  const bool is_local = location.kind == Kind::local;
  const auto images =
      is_local ? registry::with_referred_images(*image.store, std::nullopt, client) : nullptr;
  FNIMAGE_TRY(const std::vector<build::Published> all,
              build::publish(is_local ? *images : *image.store, image.selector, job.references,
                             job.options, client, environment->environment().diagnostics));
  nlohmann::ordered_json published = nlohmann::ordered_json::array();
  for (const build::Published& one : all) {
    published.push_back(report::to_json(one));
  }
  return to_json_text({{"pushed", std::move(published)}});
}

}  // namespace

}  // namespace fnimage::capi

int fnimage_build(const fnimage_context* context, const char* options_json,
                  const fnimage_cancel* cancel, char** result_json, fnimage_error** error) {
  return fnimage::capi::text_at_border(
      result_json, error, [&] { return fnimage::capi::run_build(context, options_json, cancel); });
}

int fnimage_publish(const fnimage_context* context, const char* options_json,
                    const fnimage_cancel* cancel, char** result_json, fnimage_error** error) {
  return fnimage::capi::text_at_border(result_json, error, [&] {
    return fnimage::capi::run_publish(context, options_json, cancel);
  });
}
