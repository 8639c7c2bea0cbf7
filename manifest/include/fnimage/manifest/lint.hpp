// Lint of a list: what validate() says of its entries, and what the runtimes of a cluster make of
// it: for each platform that the list means, what default nodes take with every known runtime
// (runtime_match.hpp). What no node of Kubernetes can use is an error; what some cannot use, or use
// otherwise than others, a warning. Thread-safety: pure functions.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/manifest/validate.hpp>

namespace fnimage::manifest {

/// What the configs of a list's images say, by the images' digests. Images that are not in it are
/// not asked; words that a config does not say are empty.
using ConfigPlatforms = std::map<Digest, Platform>;

/// The findings, errors first; equal ones of several entries are one. Rules besides validate()'s:
/// nothing-taken (some runtimes find no image on a platform that the list means),
/// different-images (runtimes take different ones), never-taken (an entry that no node takes),
/// baseline-not-first (tools that take the first match get a variant), pulled-twice,
/// digest-twice (one image for two platforms), config-platform, nested-list, many-platforms.
/// A name or variant that validate() reports is told by the first three where they follow from it.
/// Windows is left out: what its nodes take depends on os.version. Work is bounded for any list.
std::vector<Finding> lint(const Index& index, const ConfigPlatforms& configs = {});

/// The same, and what only the bytes show: no-media-type. Error: invalid_input when it is no list.
Result<std::vector<Finding>> lint(const Document& list, const ConfigPlatforms& configs = {});

/// require_valid() of what is about to be published: its hint names the way round too.
Result<void> require_publishable(const std::vector<Finding>& findings, std::string_view what);

}  // namespace fnimage::manifest
