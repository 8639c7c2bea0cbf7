// The developer's files as layers, see the header.
#include "user_layers.hpp"

#include <functional>
#include <optional>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/runtime/runtime.hpp>

#include "notebook_source.hpp"

namespace fnimage::build {

namespace {

/// The file of exactly this name as a pattern.
std::string literal_pattern(std::string_view name) {
  std::string pattern;
  for (const char c : name) {
    if (std::string_view("*?[\\").find(c) != std::string_view::npos) {
      pattern += '\\';
    }
    pattern += c;
  }
  return pattern;
}

std::optional<std::string> placeholder(std::string_view name, const manifest::Platform& platform) {
  if (name == "os") {
    return platform.os;
  }
  if (name == "arch") {
    return platform.architecture;
  }
  if (name == "variant") {
    return platform.variant;
  }
  if (name == "deb_arch") {
    return std::string(manifest::debian_architecture(platform).value_or(""));
  }
  if (name == "triplet") {
    return std::string(manifest::multiarch_triplet(platform).value_or(""));
  }
  return std::nullopt;
}

}  // namespace

Result<std::string> fill_placeholders(std::string_view text, const manifest::Platform& platform) {
  std::string filled;
  while (true) {
    const std::size_t open = text.find('{');
    const std::size_t close = text.find('}', open);
    if (open == std::string_view::npos || close == std::string_view::npos) {
      return filled.append(text);
    }
    const std::string_view name = text.substr(open + 1, close - open - 1);
    const std::optional<std::string> value = placeholder(name, platform);
    if (!value) {
      return fail(ErrorCode::invalid_input, fmt::format("{{{}}} is not known", printable(name)),
                  "use {os}, {arch}, {variant}, {deb_arch} or {triplet}");
    }
    if (value->empty() && name != "variant") {
      return fail(ErrorCode::platform_mismatch,
                  fmt::format("{} has no {{{}}}", platform.str(), name), "use {arch} instead");
    }
    filled.append(text.substr(0, open)).append(*value);
    text.remove_prefix(close + 1);
  }
}

Result<layer::FileTree> UserLayers::source_tree() {
  layer::FileTree tree;
  std::vector<std::string> patterns = spec_.files;
  const bool has_main = !spec_.main.empty() && !is_main_of_image();
  if (has_main) {
    patterns.push_back(literal_pattern(spec_.main));
  }
  if (patterns.empty()) {
    return tree;
  }
  FNIMAGE_TRY(const source::IgnoreRules ignore, source::IgnoreRules::load(spec_.directory));
  FNIMAGE_CHECK(source::add_matching(spec_.directory, patterns, ignore, runtime::action_directory,
                                     options_, tree));
  if (!has_main) {
    return tree;
  }
  FNIMAGE_TRY(tree, check_main(std::move(tree)));
  if (spec_.runtime == "notebook") {
    FNIMAGE_TRY(labels_, prepare_notebooks(spec_, tree));
  }
  return tree;
}

bool UserLayers::is_main_of_image() const {
  return runtime::is_path_of_image({.name = spec_.runtime, .main = spec_.main});
}

Result<layer::FileTree> UserLayers::check_main(layer::FileTree tree) const {
  const layer::Entry* main =
      tree.resolve(fmt::format("{}/{}", runtime::action_directory.substr(1), spec_.main));
  if (main == nullptr || main->type != layer::EntryType::file) {
    return fail(ErrorCode::invalid_input,
                fmt::format("source.main {} is not a file of the image", printable(spec_.main)),
                "if it is a symbolic link, name the file it leads to in source.files");
  }
  constexpr std::uint32_t executable_by_anyone = 0001;
  if (spec_.runtime == "exec" && (main->mode & executable_by_anyone) == 0) {
    return fail(ErrorCode::invalid_input,
                fmt::format("source.main {} is not executable", printable(spec_.main)),
                fmt::format("run `chmod 755 {}`", printable(spec_.main)));
  }
  return tree;
}

Result<layer::FileTree> UserLayers::platform_tree(const manifest::Platform& platform) const {
  layer::FileTree tree;
  for (const PlatformFile& file : spec_.platform_files) {
    Result<void> added = add_file(file, platform, tree);
    if (!added) {
      return fail(std::move(added).error().while_doing(
          fmt::format("{} for {}", file.place.empty() ? "files" : file.place, platform.str())));
    }
  }
  return tree;
}

Result<void> UserLayers::add_file(const PlatformFile& file, const manifest::Platform& platform,
                                  layer::FileTree& tree) const {
  FNIMAGE_TRY(const std::string from, fill_placeholders(file.from, platform));
  FNIMAGE_TRY(const std::string to, fill_placeholders(file.to, platform));
  source::FileOptions options = options_;
  options.file_mode = file.mode;
  return source::add_path(spec_.directory / from, to, options, tree);
}

Result<layer::FileTree> UserLayers::path_tree(const std::string& from,
                                              const std::string& to) const {
  layer::FileTree tree;
  FNIMAGE_CHECK(source::add_path(spec_.directory / from, to, options_, tree));
  return tree;
}

Result<std::vector<PlannedLayer>> UserLayers::make(const manifest::Platform& platform) {
  std::vector<PlannedLayer> layers;
  const auto add = [&](const std::string& name, const std::string& key,
                       const std::function<Result<layer::FileTree>()>& read) -> Result<void> {
    auto known = read_.find(key);
    if (known == read_.end()) {
      auto tree = read();
      if (!tree) {
        return fail(std::move(tree.error()).while_doing("read the content of layer " + name));
      }
      known = read_.emplace(key, std::move(*tree)).first;
    }
    if (!known->second.empty()) {
      layers.push_back({.name = name, .tree = known->second});
    }
    return {};
  };
  FNIMAGE_CHECK(add("source", "source", [&] { return source_tree(); }));
  FNIMAGE_CHECK(add("files", "files " + platform.str(), [&] { return platform_tree(platform); }));
  for (const NamedLayer& named : spec_.layers) {
    FNIMAGE_TRY(const std::string from, fill_placeholders(named.from, platform));
    FNIMAGE_TRY(const std::string to, fill_placeholders(named.to, platform));
    const auto read = [&] { return path_tree(from, to); };
    const std::size_t before = layers.size();
    FNIMAGE_CHECK(add(named.name, fmt::format("layer {}\n{}", from, to), read));
    if (layers.size() > before) {
      layers.back().place = to;
    }
  }
  return layers;
}

}  // namespace fnimage::build
