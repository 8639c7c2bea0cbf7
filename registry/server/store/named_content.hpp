// All that a document names, for telling what is needed: rather too much than too little. A
// document need not be of a kind that is known. Thread-safety: pure functions.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/manifest/digest.hpp>

namespace fnimage::server {

struct NamedDocument {
  manifest::Digest digest;
  /// A manifest or list for sure; else it is one perhaps, or a blob.
  bool is_certain = false;
};

struct NamedContent {
  std::optional<manifest::Digest> subject{};  ///< not needed by what refers to it
  std::vector<NamedDocument> documents{};
  std::vector<manifest::Digest> blobs{};
};

/// Annotations name nothing.
NamedContent read_named(const std::string& bytes);

/// Calls with each digest that stands in a text, whatever is around it.
void for_each_digest(std::string_view text, const std::function<void(std::string_view)>& call);

}  // namespace fnimage::server
