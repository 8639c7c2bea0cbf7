// What nodes take of an image, as text for people and as JSON for programs. Thread-safety: pure
// functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/resolve/resolve.hpp>

namespace fnimage::cli {

/// What was asked for.
struct ResolvedImage {
  std::string name;
  manifest::Document root;
};

/// Each answer with the verdict on every entry.
Result<std::string> to_blocks(const ResolvedImage& image,
                              const std::vector<resolve::Answer>& answers);
/// A line for each answer, and below what is to be said about some.
std::string to_table(const ResolvedImage& image, const std::vector<resolve::Answer>& answers);
nlohmann::ordered_json to_json(const ResolvedImage& image,
                               const std::vector<resolve::Answer>& answers);

}  // namespace fnimage::cli
