// What people call the tags of a store. Thread-safety: pure functions.
#pragma once

#include <string>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/location.hpp>

namespace fnimage::cli {

/// What a new name is called in the source's store. A bare word is a tag of the same name. Error:
/// invalid_argument for a digest and for another repository.
Result<std::string> tag_in_store(const registry::Location& source, const std::string& text);

/// The whole name of a tag of the source's store.
std::string shown_name(const registry::Location& source, const std::string& tag);

}  // namespace fnimage::cli
