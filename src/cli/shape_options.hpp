// Options that change an image or list on its way: push and copy have them. Thread-safety: plain
// values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/build/list.hpp>
#include <fnimage/registry/selection.hpp>

namespace CLI {
class App;
}

namespace fnimage::cli {

struct ShapeArguments {
  std::vector<std::string> platforms;
  std::string format;
  std::vector<std::string> entry_annotations;
  std::vector<std::string> annotations;
  bool keep_list = false;
};

/// --platform, --format, --annotation, --index-annotation.
void add_shape_options(CLI::App& command, ShapeArguments& arguments);
/// --repair.
void add_repair_flag(CLI::App& command, bool& repair);
Result<registry::ImageShape> parse_shape(const ShapeArguments& arguments);

/// "oci" or "docker"; nullopt for an empty text.
std::optional<manifest::Format> parse_format(std::string_view text);
Result<std::vector<manifest::Platform>> parse_platforms(const std::vector<std::string>& texts);
/// "KEY=VALUE" texts. Error: invalid_argument.
Result<manifest::Annotations> parse_annotations(const std::vector<std::string>& texts);

/// --no-clobber and --expect-digest.
struct ExpectationArguments {
  bool no_clobber = false;
  std::string digest;
};
void add_expectation_options(CLI::App& command, ExpectationArguments& arguments);
Result<build::Expectation> parse_expectation(const ExpectationArguments& arguments);

}  // namespace fnimage::cli
