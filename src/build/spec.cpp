// The build file: YAML tree -> BuildSpec, one function per section. The lists of keys here and the
// JSON Schema say the same; a test holds them to it.
#include <algorithm>
#include <array>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/spec.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/runtime/runtime.hpp>
#include <fnimage/source/debian.hpp>
#include <fnimage/source/package_pool.hpp>

#include "embedded.hpp"
#include "spec_reader.hpp"
#include "spec_requires.hpp"
#include "spec_values.hpp"
#include "yaml_tree.hpp"

namespace fnimage::build {

namespace {

using Keys = std::string_view;
constexpr std::array<Keys, 14> root_keys{
    "name",   "platforms", "base",  "packages", "exclude",     "runtime",  "notebook",
    "source", "layers",    "files", "config",   "annotations", "requires", "variants"};
constexpr std::array<Keys, 10> debian_keys{
    "mirror",   "signed-by", "components", "suites",   "repositories",
    "snapshot", "essential", "recommends", "bytecode", "documentation"};
constexpr std::array<Keys, 13> base_keys{
    "debian",       "image",    "scratch",   "mirror",     "signed-by", "components",   "suites",
    "repositories", "snapshot", "essential", "recommends", "bytecode",  "documentation"};
constexpr std::array<Keys, 4> repository_keys{"url", "suite", "components", "signed-by"};
constexpr std::array<Keys, 2> notebook_keys{"mode", "parameters"};
constexpr std::array<Keys, 2> source_keys{"main", "files"};
constexpr std::array<Keys, 3> layer_keys{"name", "from", "to"};
constexpr std::array<Keys, 3> file_keys{"from", "to", "mode"};
constexpr std::array<Keys, 6> config_keys{"env", "user", "workdir", "entrypoint", "cmd", "labels"};

/// Names of the layers that a build makes beside those of packages.
constexpr std::array<std::string_view, 3> reserved_layers{"runtime", "source", "files"};

constexpr std::size_t max_platforms = 64;

/// "fnimage.yaml:3:12: " goes in front of an error that a lower module reports for a value.
tl::unexpected<Error> refuse_with(const SpecReader& reader, const YamlNode& node,
                                  const Error& cause) {
  return fail(
      reader.error(node.at, ErrorCode::invalid_input, cause.message()).with_hint(cause.hint()));
}

Result<void> read_name(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  FNIMAGE_TRY(const YamlNode* node, reader.require(root, "name"));
  FNIMAGE_TRY(spec.name, reader.text_not_empty(*node));
  if (!is_function_name(spec.name)) {
    return reader.refuse(
        *node,
        fmt::format("'{}' cannot be the name of a function", printable(spec.name, shown_bytes)),
        "use lower-case letters and digits, with '.', '_' or '-' between them");
  }
  return {};
}

Result<void> read_platforms(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  FNIMAGE_TRY(const YamlNode* node, reader.require(root, "platforms"));
  FNIMAGE_CHECK(reader.expect_list(*node));
  if (node->children.empty() || node->children.size() > max_platforms) {
    return reader.refuse(*node, fmt::format("'platforms' must name 1 to {}", max_platforms),
                         "for example [linux/amd64, linux/ppc64le]");
  }
  for (const YamlNode& item : node->children) {
    FNIMAGE_TRY(const std::string text, reader.text_not_empty(item));
    auto platform = parse_build_platform(text);
    if (!platform) {
      return refuse_with(reader, item, platform.error());
    }
    for (const manifest::Platform& earlier : spec.platforms) {
      if (manifest::same_platform(earlier, *platform)) {
        return reader.refuse(item, fmt::format("platform '{}' is named twice", platform->str()),
                             "a list has one entry per platform; remove one");
      }
    }
    spec.platforms.push_back(std::move(*platform));
  }
  for (std::size_t i = 0; i < spec.platforms.size(); ++i) {
    if (const auto fault = fault_among(spec.platforms, i)) {
      return reader.refuse(node->children[i], fault->message, fault->fix);
    }
  }
  return {};
}

Result<std::string> read_archive_url(const SpecReader& reader, const YamlNode& node) {
  FNIMAGE_TRY(std::string url, reader.text_not_empty(node));
  if (!url.starts_with("http://") && !url.starts_with("https://") && !url.starts_with("file:///")) {
    return reader.refuse(
        node, fmt::format("'{}' must be a URL, not '{}'", node.key, printable(url, shown_bytes)),
        "for example https://mirror.example/debian, or file:///srv/debian");
  }
  return url;
}

Result<std::string> read_key_file(const SpecReader& reader, const YamlNode& archive) {
  const YamlNode* node = archive.find("signed-by");
  if (node == nullptr) {
    return std::string();
  }
  FNIMAGE_TRY(std::string path, reader.relative_path(*node, false));
  FNIMAGE_CHECK(reader.expect_exists(*node, path));
  return path;
}

Result<void> read_components(const SpecReader& reader, const YamlNode& archive,
                             std::vector<std::string>& components) {
  const YamlNode* node = archive.find("components");
  if (node == nullptr) {
    return {};
  }
  FNIMAGE_TRY(components, reader.text_list(*node));
  const bool good = !components.empty() && std::ranges::all_of(components, is_release_name);
  return good ? Result<void>()
              : reader.refuse(*node, "not the components of an archive",
                              "for example [main, contrib]");
}

Result<PackageRepository> read_repository(const SpecReader& reader, const YamlNode& item) {
  FNIMAGE_CHECK(reader.expect_mapping(item, repository_keys));
  FNIMAGE_TRY(const YamlNode* url, reader.require(item, "url"));
  FNIMAGE_TRY(const YamlNode* suite, reader.require(item, "suite"));
  PackageRepository repository;
  FNIMAGE_TRY(repository.url, read_archive_url(reader, *url));
  FNIMAGE_TRY(repository.suite, reader.text_not_empty(*suite));
  if (!is_release_name(repository.suite)) {
    return reader.refuse(*suite, fmt::format("'{}' cannot be the name of a suite",
                                             printable(repository.suite, shown_bytes)));
  }
  FNIMAGE_CHECK(read_components(reader, item, repository.components));
  FNIMAGE_TRY(repository.signed_by, read_key_file(reader, item));
  return repository;
}

/// Where packages come from, and as of when.
Result<void> read_debian_sources(const SpecReader& reader, const YamlNode& base,
                                 DebianBase& debian) {
  const YamlNode* mirror = base.find("mirror");
  if (mirror != nullptr) {
    FNIMAGE_TRY(debian.mirror, read_archive_url(reader, *mirror));
  }
  FNIMAGE_TRY(debian.signed_by, read_key_file(reader, base));
  FNIMAGE_CHECK(read_components(reader, base, debian.components));
  if (const YamlNode* repositories = base.find("repositories")) {
    FNIMAGE_CHECK(reader.expect_list(*repositories));
    for (const YamlNode& item : repositories->children) {
      FNIMAGE_TRY(debian.repositories.emplace_back(), read_repository(reader, item));
    }
  }
  if (const YamlNode* snapshot = base.find("snapshot")) {
    FNIMAGE_TRY(debian.snapshot, reader.text_not_empty(*snapshot));
    if (!source::parse_snapshot(debian.snapshot)) {
      return reader.refuse(*snapshot,
                           fmt::format("'{}' is not the time of a snapshot",
                                       printable(debian.snapshot, shown_bytes)),
                           "write it as 20260131T000000Z");
    }
    if (debian.mirror.find(source::snapshot_placeholder) == std::string::npos) {
      return reader.refuse_key(
          *snapshot, "'snapshot' needs a 'mirror' that keeps snapshots, with {snapshot} in its URL",
          "for example mirror: https://snapshot.example/archive/debian/{snapshot}");
    }
  } else if (debian.mirror.find(source::snapshot_placeholder) != std::string::npos) {
    return reader.refuse(*mirror, "'mirror' has {snapshot} in it and there is no 'snapshot'",
                         "write snapshot: 20260131T000000Z, or another time");
  }
  return {};
}

Result<Base> read_debian_base(const SpecReader& reader, const YamlNode& base) {
  DebianBase debian;
  const YamlNode& release = *base.find("debian");
  FNIMAGE_TRY(debian.release, reader.text_not_empty(release));
  if (!is_release_name(debian.release)) {
    return reader.refuse(release,
                         fmt::format("'{}' cannot be the name of a Debian release",
                                     printable(debian.release, shown_bytes)),
                         "write its code name, for example bookworm");
  }
  FNIMAGE_CHECK(read_debian_sources(reader, base, debian));
  if (const YamlNode* suites = base.find("suites")) {
    FNIMAGE_TRY(debian.suites, reader.text_list(*suites));
    for (const std::string& suite : debian.suites) {
      if (!is_release_name(suite) || suite.starts_with(debian.release)) {
        return reader.refuse(*suites,
                             fmt::format("'{}' cannot be a suite of {}",
                                         printable(suite, shown_bytes), debian.release),
                             "write what follows the release's name: [updates, security]");
      }
    }
  }
  if (const YamlNode* essential = base.find("essential")) {
    FNIMAGE_TRY(debian.essential, reader.boolean(*essential));
  }
  if (const YamlNode* recommends = base.find("recommends")) {
    FNIMAGE_TRY(debian.recommends, reader.boolean(*recommends));
  }
  if (const YamlNode* bytecode = base.find("bytecode")) {
    FNIMAGE_TRY(debian.bytecode, reader.boolean(*bytecode));
  }
  if (const YamlNode* documentation = base.find("documentation")) {
    FNIMAGE_TRY(debian.documentation, reader.boolean(*documentation));
  }
  return debian;
}

Result<void> read_base(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  FNIMAGE_TRY(const YamlNode* base, reader.require(root, "base"));
  FNIMAGE_CHECK(reader.expect_mapping(*base, base_keys));
  const YamlNode* debian = base->find("debian");
  const YamlNode* image = base->find("image");
  const YamlNode* scratch = base->find("scratch");
  const int kinds = (debian != nullptr) + (image != nullptr) + (scratch != nullptr);
  if (kinds != 1) {
    return reader.refuse_key(
        *base, "'base' needs exactly one of 'debian', 'image' and 'scratch'",
        "for example base: {debian: bookworm}, {image: oci:DIR} or {scratch: true}");
  }
  if (debian != nullptr) {
    FNIMAGE_TRY(spec.base, read_debian_base(reader, *base));
    return {};
  }
  for (const std::string_view key : debian_keys) {
    if (const YamlNode* node = base->find(key)) {
      return reader.refuse_key(*node, fmt::format("'{}' belongs to a 'debian' base", key));
    }
  }
  if (image != nullptr) {
    FNIMAGE_TRY(std::string location, reader.text_not_empty(*image));
    spec.base = ImageBase{std::move(location)};
    return {};
  }
  FNIMAGE_TRY(const bool yes, reader.boolean(*scratch));
  if (!yes) {
    return reader.refuse(*scratch, "'scratch' can only be true",
                         "name another base instead: 'debian' or 'image'");
  }
  spec.base = ScratchBase{};
  return {};
}

/// Only the known {…} are in the text of `node`.
Result<void> check_placeholders(const SpecReader& reader, const YamlNode& node) {
  if (const auto unknown = unknown_placeholder(node.text)) {
    return reader.refuse(node, fmt::format("unknown placeholder '{}'", printable(*unknown, 40)),
                         fmt::format("known: {{{}}}", fmt::join(placeholder_names(), "}, {")));
  }
  return {};
}

Result<void> read_packages(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  const bool is_debian = std::holds_alternative<DebianBase>(spec.base);
  for (const std::string_view key : {"packages", "exclude"}) {
    const YamlNode* node = root.find(key);
    if (node != nullptr && !is_debian) {
      return reader.refuse_key(*node, fmt::format("'{}' needs a 'debian' base", key),
                               "write base: {debian: bookworm}, or leave packages to the image");
    }
  }
  if (const YamlNode* node = root.find("packages")) {
    FNIMAGE_TRY(spec.packages, reader.text_list(*node));
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < spec.packages.size(); ++i) {
      const std::string& package = spec.packages[i];
      if (is_local_deb(package)) {
        FNIMAGE_CHECK(check_placeholders(reader, node->children[i]));
      } else if (!is_package_request(package)) {
        return reader.refuse(node->children[i],
                             fmt::format("'{}' cannot be the name of a Debian package",
                                         printable(package, shown_bytes)),
                             "write a name, name=version, name/suite, or ./FILE.deb");
      }
      if (!seen.insert(package).second) {
        return reader.refuse(node->children[i],
                             fmt::format("package '{}' is named twice", package));
      }
    }
  }
  if (const YamlNode* node = root.find("exclude")) {
    FNIMAGE_TRY(spec.exclude, reader.text_map(*node));
    for (const YamlNode& member : node->children) {
      if (!is_package_name(member.key)) {
        return reader.refuse_key(member, fmt::format("'{}' cannot be the name of a Debian package",
                                                     printable(member.key, shown_bytes)));
      }
      if (member.text.empty()) {
        return reader.refuse(member, fmt::format("say why '{}' is left out", member.key));
      }
    }
  }
  return {};
}

Result<void> read_runtime(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  const YamlNode* node = root.find("runtime");
  if (node == nullptr) {
    return {};
  }
  FNIMAGE_TRY(spec.runtime, reader.text_not_empty(*node));
  const std::vector<std::string_view> known = runtime::runtime_names();
  if (std::find(known.begin(), known.end(), spec.runtime) != known.end()) {
    return {};
  }
  return reader.refuse(*node,
                       fmt::format("unknown runtime '{}'{}", printable(spec.runtime, shown_bytes),
                                   did_you_mean(spec.runtime, known)),
                       fmt::format("choose {}", choices(known)));
}

Result<void> read_notebook(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  const YamlNode* node = root.find("notebook");
  if (node == nullptr) {
    return {};
  }
  if (spec.runtime != "notebook") {
    return reader.refuse_key(*node, "'notebook' belongs to the runtime of that name",
                             "write runtime: notebook, or remove it");
  }
  FNIMAGE_CHECK(reader.expect_mapping(*node, notebook_keys));
  if (const YamlNode* mode = node->find("mode")) {
    FNIMAGE_TRY(const std::string text, reader.text_not_empty(*mode));
    if (text != "kernel" && text != "compiled") {
      return reader.refuse(
          *mode, fmt::format("unknown mode '{}'", printable(text, shown_bytes)),
          "choose kernel (as in Jupyter) or compiled (plain Python, which starts sooner)");
    }
    spec.notebook.compiled = text == "compiled";
  }
  if (const YamlNode* parameters = node->find("parameters")) {
    FNIMAGE_TRY(const std::string text, reader.text_not_empty(*parameters));
    if (text != "none" && text != "cell") {
      return reader.refuse(*parameters,
                           fmt::format("unknown parameters '{}'", printable(text, shown_bytes)),
                           "choose cell (those of the cell tagged \"parameters\") or none");
    }
    spec.notebook.parameters = text == "cell";
  }
  return {};
}

Result<void> read_main(const SpecReader& reader, const YamlNode& main, BuildSpec& spec) {
  FNIMAGE_TRY(const std::string path, reader.text_not_empty(main));
  if (runtime::is_path_of_image({.name = spec.runtime, .main = path})) {
    FNIMAGE_TRY(spec.main, reader.image_path(main));
    return {};
  }
  FNIMAGE_TRY(spec.main, reader.relative_path(main, true));
  return reader.expect_exists(main, spec.main);
}

Result<void> read_source(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  const YamlNode* source = root.find("source");
  if (source != nullptr) {
    FNIMAGE_CHECK(reader.expect_mapping(*source, source_keys));
    if (const YamlNode* main = source->find("main")) {
      FNIMAGE_CHECK(read_main(reader, *main, spec));
    }
    if (const YamlNode* files = source->find("files")) {
      FNIMAGE_CHECK(reader.expect_list(*files));
      for (const YamlNode& item : files->children) {
        FNIMAGE_TRY(std::string pattern, reader.relative_path(item, true));
        spec.files.push_back(std::move(pattern));
      }
    }
  }
  if (spec.main.empty() && spec.runtime != "none") {
    constexpr std::string_view hint = "for example source: {main: handler.py}";
    const std::string message =
        fmt::format("runtime '{}' needs 'source' with the 'main' file", spec.runtime);
    return source != nullptr ? reader.refuse_key(*source, message, std::string(hint))
                             : reader.refuse_key(*root.find("runtime"), message, std::string(hint));
  }
  return {};
}

Result<NamedLayer> read_layer(const SpecReader& reader, const YamlNode& item) {
  FNIMAGE_CHECK(reader.expect_mapping(item, layer_keys));
  FNIMAGE_TRY(const YamlNode* name, reader.require(item, "name"));
  FNIMAGE_TRY(const YamlNode* from, reader.require(item, "from"));
  FNIMAGE_TRY(const YamlNode* to, reader.require(item, "to"));
  NamedLayer layer;
  FNIMAGE_TRY(layer.name, reader.text_not_empty(*name));
  if (!is_layer_name(layer.name)) {
    return reader.refuse(
        *name,
        fmt::format("'{}' cannot be the name of a layer", printable(layer.name, shown_bytes)),
        "use lower-case letters, digits, '.', '_' and '-'");
  }
  if (source::is_package_layer(layer.name) ||
      std::ranges::find(reserved_layers, layer.name) != reserved_layers.end()) {
    return reader.refuse(*name, fmt::format("'{}' is the name of a layer of fnimage's", layer.name),
                         "choose another name");
  }
  FNIMAGE_TRY(layer.from, reader.relative_path(*from, false));
  FNIMAGE_CHECK(reader.expect_exists(*from, layer.from));
  FNIMAGE_TRY(layer.to, reader.image_path(*to));
  FNIMAGE_CHECK(check_placeholders(reader, *from));
  FNIMAGE_CHECK(check_placeholders(reader, *to));
  return layer;
}

Result<void> read_layers(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  const YamlNode* layers = root.find("layers");
  if (layers == nullptr) {
    return {};
  }
  FNIMAGE_CHECK(reader.expect_list(*layers));
  std::set<std::string> seen;
  for (const YamlNode& item : layers->children) {
    FNIMAGE_TRY(NamedLayer layer, read_layer(reader, item));
    if (!seen.insert(layer.name).second) {
      return reader.refuse(*item.find("name"),
                           fmt::format("there are two layers named '{}'", layer.name));
    }
    spec.layers.push_back(std::move(layer));
  }
  return {};
}

Result<PlatformFile> read_file_entry(const SpecReader& reader, const YamlNode& item) {
  FNIMAGE_CHECK(reader.expect_mapping(item, file_keys));
  FNIMAGE_TRY(const YamlNode* from, reader.require(item, "from"));
  FNIMAGE_TRY(const YamlNode* to, reader.require(item, "to"));
  PlatformFile file;
  file.place = reader.place(*from);
  FNIMAGE_TRY(file.from, reader.relative_path(*from, false));
  FNIMAGE_CHECK(check_placeholders(reader, *from));
  if (!has_placeholder(file.from)) {
    FNIMAGE_CHECK(reader.expect_exists(*from, file.from));
  }
  FNIMAGE_TRY(file.to, reader.image_path(*to));
  FNIMAGE_CHECK(check_placeholders(reader, *to));
  if (const YamlNode* mode = item.find("mode")) {
    FNIMAGE_TRY(const std::string text, reader.text_not_empty(*mode));
    file.mode = parse_mode(text);
    if (!file.mode) {
      return reader.refuse(*mode,
                           fmt::format("'{}' is not a file mode", printable(text, shown_bytes)),
                           "write it in octal, for example 0755");
    }
  }
  return file;
}

Result<void> read_files(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  const YamlNode* files = root.find("files");
  if (files == nullptr) {
    return {};
  }
  FNIMAGE_CHECK(reader.expect_list(*files));
  for (const YamlNode& item : files->children) {
    FNIMAGE_TRY(PlatformFile file, read_file_entry(reader, item));
    spec.platform_files.push_back(std::move(file));
  }
  return {};
}

Result<void> read_env(const SpecReader& reader, const YamlNode& env, ConfigSpec& config) {
  FNIMAGE_TRY(config.env, reader.text_map(env));
  for (const YamlNode& member : env.children) {
    if (!is_environment_name(member.key)) {
      return reader.refuse_key(member,
                               fmt::format("'{}' cannot be the name of an environment variable",
                                           printable(member.key, shown_bytes)),
                               "use letters, digits and '_', not beginning with a digit");
    }
  }
  return {};
}

Result<void> read_config(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  const YamlNode* config = root.find("config");
  if (config == nullptr) {
    return {};
  }
  FNIMAGE_CHECK(reader.expect_mapping(*config, config_keys));
  if (const YamlNode* env = config->find("env")) {
    FNIMAGE_CHECK(read_env(reader, *env, spec.config));
  }
  if (const YamlNode* user = config->find("user")) {
    FNIMAGE_TRY(spec.config.user, reader.text_not_empty(*user));
    if (!is_user(spec.config.user)) {
      return reader.refuse(
          *user, fmt::format("'{}' is not a user", printable(spec.config.user, shown_bytes)),
          "write user or user:group, for example \"1000:1000\"");
    }
  }
  if (const YamlNode* workdir = config->find("workdir")) {
    FNIMAGE_TRY(spec.config.workdir, reader.image_path(*workdir));
  }
  if (const YamlNode* entrypoint = config->find("entrypoint")) {
    FNIMAGE_TRY(spec.config.entrypoint, reader.text_list(*entrypoint));
  }
  if (const YamlNode* cmd = config->find("cmd")) {
    FNIMAGE_TRY(spec.config.cmd, reader.text_list(*cmd));
  }
  if (const YamlNode* labels = config->find("labels")) {
    FNIMAGE_TRY(spec.config.labels, reader.text_map(*labels));
  }
  return {};
}

}  // namespace

Result<manifest::Platform> parse_build_platform(std::string_view text) {
  FNIMAGE_TRY(manifest::Platform platform, manifest::Platform::parse(text));
  // The architecture alone has to be a known one, and the error says which is near.
  if (const auto alone = manifest::Platform::parse(platform.architecture); !alone) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("platform \"{}\" has no known architecture", printable(text, 80)),
                alone.error().hint());
  }
  return platform;
}

Result<BuildSpec> parse_spec(std::string_view text, std::string_view file_name,
                             const std::filesystem::path& directory) {
  FNIMAGE_TRY(const YamlNode root, parse_yaml(text, file_name));
  const SpecReader reader(file_name, directory);
  if (root.kind == YamlNode::Kind::mapping && root.children.empty()) {
    return fail(reader.error({}, ErrorCode::invalid_input, "the build file is empty")
                    .with_hint("`fnimage init DIR` writes one to begin with"));
  }
  FNIMAGE_CHECK(reader.expect_mapping(root, root_keys));
  BuildSpec spec;
  spec.file = file_name;
  spec.directory = directory;
  FNIMAGE_CHECK(read_name(reader, root, spec));
  FNIMAGE_CHECK(read_platforms(reader, root, spec));
  FNIMAGE_CHECK(read_base(reader, root, spec));
  FNIMAGE_CHECK(read_packages(reader, root, spec));
  FNIMAGE_CHECK(read_runtime(reader, root, spec));
  FNIMAGE_CHECK(read_notebook(reader, root, spec));
  FNIMAGE_CHECK(read_source(reader, root, spec));
  FNIMAGE_CHECK(read_layers(reader, root, spec));
  FNIMAGE_CHECK(read_files(reader, root, spec));
  FNIMAGE_CHECK(read_config(reader, root, spec));
  if (const YamlNode* annotations = root.find("annotations")) {
    FNIMAGE_TRY(spec.annotations, reader.text_map(*annotations));
  }
  FNIMAGE_CHECK(read_requires(reader, root, spec));
  FNIMAGE_CHECK(read_variants(reader, root, spec));
  return spec;
}

Result<BuildSpec> load_spec(const std::filesystem::path& file,
                            const std::filesystem::path& directory) {
  auto text = read_file(file, max_yaml_bytes);
  if (!text) {
    if (text.error().code() == ErrorCode::not_found) {
      return fail(ErrorCode::not_found,
                  fmt::format("there is no build file {}", printable(file.string())),
                  "write one with `fnimage init`, or name it with -f FILE");
    }
    return fail(std::move(text).error().while_doing("read the build file"));
  }
  std::filesystem::path base = directory.empty() ? file.parent_path() : directory;
  if (base.empty()) {
    base = ".";
  }
  return parse_spec(*text, file.string(), base);
}

std::string_view spec_schema() noexcept {
  return build_file_schema;
}

}  // namespace fnimage::build
