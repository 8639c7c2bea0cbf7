// fnimage place: where pods of a list may run, in the words of the platform that runs them.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/base/time.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/place/compatibility.hpp>
#include <fnimage/place/format.hpp>
#include <fnimage/place/read.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "node_options.hpp"
#include "sbom.hpp"
#include "standard_input.hpp"

namespace fnimage::cli {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t registry_threads = 8;  // they wait for the registry
constexpr std::size_t max_pod_bytes = std::size_t{1} << 20;

struct PlaceArguments {
  std::string reference;
  std::vector<std::string> formats;
  std::vector<std::string> platforms;
  std::vector<std::string> runtimes;
  std::vector<std::string> nodes;
  std::string pod;
  bool attach = false;
  bool local = false;
};

Result<place::Options> placing_options(const PlaceArguments& arguments) {
  place::Options options;
  for (const std::string& text : arguments.platforms) {
    FNIMAGE_TRY(options.platforms.emplace_back(), manifest::Platform::parse(text));
  }
  if (!arguments.runtimes.empty()) {
    options.runtimes.all.clear();
  }
  for (const std::string& text : arguments.runtimes) {
    FNIMAGE_TRY(options.runtimes.all.emplace_back(), manifest::parse_runtime(text));
  }
  FNIMAGE_TRY(const std::vector<node::Node> nodes, read_node_files(arguments.nodes));
  if (!nodes.empty()) {
    options.runtimes = place::runtimes_of(nodes);
  }
  return options;
}

Result<std::vector<place::Format>> formats_of(const PlaceArguments& arguments) {
  std::vector<place::Format> formats;
  for (const std::string& word : arguments.formats) {
    FNIMAGE_TRY(formats.emplace_back(), place::parse_format(word));
  }
  const bool is_nfd = formats.size() == 1 && formats.front() == place::Format::nfd;
  if (arguments.attach && !is_nfd && !formats.empty()) {
    return fail(ErrorCode::invalid_argument, "--attach keeps a compatibility with each image",
                "it goes with --format nfd alone");
  }
  if (!arguments.pod.empty() &&
      std::find(formats.begin(), formats.end(), place::Format::json_patch) == formats.end()) {
    return fail(ErrorCode::invalid_argument, "--pod names the pod that a patch is made for",
                "it goes with --format json-patch");
  }
  return formats;
}

/// Nodes look for names without a registry elsewhere.
void warn_of_local_name(const registry::Location& location,
                        const std::vector<place::Format>& formats, Session& session) {
  const bool names_image = std::any_of(formats.begin(), formats.end(), [](place::Format format) {
    return format == place::Format::pod || format == place::Format::knative ||
           format == place::Format::openfaas;
  });
  if (names_image && location.reference && location.reference->registry().empty()) {
    session.console().report(
        Severity::warning,
        fmt::format("{} is a name of the local store: push it, and place it by its name there",
                    printable(location.reference->name())));
  }
}

/// The list or image by its digest, as a registry knows it; empty when it is in none.
std::string pinned_image(const registry::Location& location, const manifest::Document& root) {
  return location.reference ? fmt::format("{}@{}", location.reference->name(), root.digest().str())
                            : std::string();
}

ordered_json terms_json(const std::vector<require::Term>& terms) {
  ordered_json values = ordered_json::array();
  for (const require::Term& term : terms) {
    ordered_json expressions = ordered_json::array();
    for (const require::Expression& expression : term) {
      expressions.push_back({{"key", expression.key},
                             {"operator", std::string(require::to_string(expression.op))},
                             {"values", expression.values}});
    }
    values.push_back(std::move(expressions));
  }
  return values;
}

ordered_json placement_json(const std::string& name, const manifest::Document& root,
                            const place::Placement& placement) {
  ordered_json platforms = ordered_json::array();
  for (const place::PlacedPlatform& placed : placement.platforms) {
    platforms.push_back({{"platform", placed.str()},
                         {"image", placed.image.digest.str()},
                         {"imagePlatform", placed.image_platform.str()},
                         {"requires", ordered_json::parse(require::to_json(placed.requirements))}});
  }
  ordered_json tolerations = ordered_json::array();
  for (const require::Toleration& toleration : placement.tolerations) {
    tolerations.push_back(
        {{"key", toleration.key}, {"value", toleration.value}, {"effect", toleration.effect}});
  }
  return {{"reference", name},
          {"digest", root.digest().str()},
          {"platforms", std::move(platforms)},
          {"terms", terms_json(placement.terms)},
          {"resources", placement.resources},
          {"tolerations", std::move(tolerations)},
          {"notes", placement.notes}};
}

/// Which image each platform takes, in front of what people read.
std::string platform_comments(const std::string& name, const place::Placement& placement) {
  std::string text = fmt::format("# {}\n", printable(name));
  for (const place::PlacedPlatform& placed : placement.platforms) {
    const std::string needs = require::describe(placed.requirements);
    text += fmt::format("#   {}  {}{}{}\n", placed.str(), placed.image.digest.str(),
                        needs.empty() ? "" : "  ", needs);
  }
  return text;
}

Result<void> attach_all(const place::Placement& placement, NamedImage& named, Session& session) {
  FNIMAGE_TRY(const auto epoch, build::source_date_epoch_from_environment());
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
  const std::string created = rfc3339(epoch.value_or(now.count()));
  FNIMAGE_TRY(const std::vector<place::Compatibility> all, place::compatibilities_of(placement));
  FNIMAGE_TRY(const auto store, Session::open_for_writing(named));
  ordered_json json = ordered_json::array();
  std::string text;
  for (const place::Compatibility& compatibility : all) {
    for (const std::string& note : compatibility.notes) {
      session.console().report(Severity::info, note);
    }
    if (compatibility.yaml.empty()) {
      session.console().report(
          Severity::info, fmt::format("{}: needs no feature of hardware", compatibility.platform));
      continue;
    }
    FNIMAGE_TRY(const place::AttachedCompatibility attached,
                place::attach(*store, compatibility, created));
    json.push_back({{"platform", compatibility.platform},
                    {"image", compatibility.image.digest.str()},
                    {"digest", attached.manifest.digest.str()},
                    {"artifactType", std::string(place::compatibility_artifact_type)},
                    {"existed", attached.existed}});
    text += fmt::format("{:<18}  {}{}\n", compatibility.platform, attached.manifest.digest.str(),
                        attached.existed ? "  was there" : "");
  }
  session.console().print(session.common().json ? json_lines({{"attached", std::move(json)}})
                                                : text);
  return {};
}

Result<nlohmann::json> read_pod(const std::string& file) {
  FNIMAGE_TRY(const std::string text, read_input(file, max_pod_bytes));
  return parse_json(text, input_name(file));
}

struct Asked {
  const place::Placement& placement;
  const manifest::Document& root;
  std::string name;
  place::Target target;
};

Result<void> print_formats(const Asked& asked, const std::vector<place::Format>& formats,
                           Session& session) {
  if (session.common().json && formats.empty()) {
    session.console().print(json_lines(placement_json(asked.name, asked.root, asked.placement)));
    return {};
  }
  const std::vector<place::Format> wanted =
      formats.empty() ? std::vector<place::Format>{place::Format::affinity} : formats;
  ordered_json json = ordered_json::object();
  std::string text = platform_comments(asked.name, asked.placement);
  for (const place::Format format : wanted) {
    FNIMAGE_TRY(const place::Rendered rendered,
                place::render(asked.placement, format, asked.target));
    text += format == wanted.front() ? "" : "---\n";
    text += rendered.yaml;
    json[std::string(place::to_string(format))] = ordered_json::parse(rendered.json);
  }
  if (session.common().json) {
    text = json_lines(json.size() == 1 ? json.begin().value() : json);
  }
  session.console().print(text);
  return {};
}

Result<void> run_place(const PlaceArguments& arguments, Session& session) {
  FNIMAGE_TRY(const std::vector<place::Format> formats, formats_of(arguments));
  FNIMAGE_TRY(const place::Options options, placing_options(arguments));
  nlohmann::json pod;
  if (!arguments.pod.empty()) {
    FNIMAGE_TRY(pod, read_pod(arguments.pod));
  }
  FNIMAGE_TRY(NamedImage image, session.open_image(arguments.reference, arguments.local));
  if (arguments.attach) {
    image.opened.store->expect_writes();
  }
  FNIMAGE_TRY(const manifest::Document root,
              image.opened.store->get_manifest(image.opened.selector));
  WorkerPool pool(registry_threads);
  FNIMAGE_TRY(const place::Placement placement,
              place::place_document(*image.opened.store, root, options, pool));
  for (const std::string& note : placement.notes) {
    session.console().report(Severity::warning, note);
  }
  if (arguments.attach) {
    return attach_all(placement, image, session);
  }
  warn_of_local_name(image.location, formats, session);
  return print_formats({.placement = placement,
                        .root = root,
                        .name = image.location.str(),
                        .target = {.image = pinned_image(image.location, root),
                                   .name = image_name(image.location),
                                   .pod = arguments.pod.empty() ? nullptr : &pod}},
                       formats, session);
}

}  // namespace

void set_up_place(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<PlaceArguments>();
  add_image_argument(command, arguments->reference);
  command
      .add_option("--format", arguments->formats,
                  "affinity (default), selector, json-patch, openwhisk, invoker-tags, knative, "
                  "openfaas, pod, nfd; may be several")
      ->type_name("F,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--platform", arguments->platforms, "Nodes of this platform only")
      ->type_name("P,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  CLI::Option* runtime =
      command
          .add_option("--runtime", arguments->runtimes,
                      "A container runtime of the cluster: containerd:2.1, cri-o; may be repeated "
                      "(default: containerd of all versions, and CRI-O)")
          ->type_name("R");
  command
      .add_option("--node", arguments->nodes,
                  "The cluster's nodes as `kubectl get nodes -o json` (or yaml) writes them, - for "
                  "standard input: their runtimes are those of the cluster")
      ->type_name("FILE")
      ->excludes(runtime);
  command
      .add_option("--pod", arguments->pod,
                  "With json-patch: the pod to patch, as JSON, - for standard input")
      ->type_name("FILE");
  command.add_flag("--attach", arguments->attach,
                   "With nfd: keep it with the images, as a referrer of each platform's manifest");
  command.add_flag("--local", arguments->local,
                   "Look in the local store, for a name with a registry too");
  complete_with_registry(
      command, registration,
      "A node qualifies when its runtime takes an image of the list and the node has what this\n"
      "image needs (`requires:` of the build file). Exit code 15: the format cannot say it.\n"
      "Example:\n  fnimage place --plain-http --format openwhisk 127.0.0.1:30501/hello:latest",
      [arguments](Session& session) { return run_place(*arguments, session); });
}

}  // namespace fnimage::cli
