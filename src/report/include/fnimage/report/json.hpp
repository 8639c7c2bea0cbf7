// Results as JSON: what --json prints and what the C interface returns, in one place, so that both
// say the same. Members are only ever added. Thread-safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <fnimage/build/build.hpp>
#include <fnimage/build/publish.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/registry/tagging.hpp>
#include <fnimage/resolve/image.hpp>
#include <fnimage/resolve/resolver.hpp>
#include <fnimage/sbom/attach.hpp>

namespace fnimage::report {

/// mediaType, digest, size and, when there is one, the platform.
nlohmann::ordered_json to_json(const manifest::Descriptor& descriptor);

/// [{"tag": …, "previous": digest or null}]
nlohmann::ordered_json to_json(const std::vector<registry::MovedTag>& moved);

nlohmann::ordered_json to_json(const sbom::Attached& attached);

/// {"reference", "digest", "blobsUploaded", "blobsMounted", "blobsExisted", "bytesUploaded",
/// "referrers", "moved"}
nlohmann::ordered_json to_json(const build::Published& published);

/// {"list", "names", "platforms": [{"platform", "manifest", "layers", "sboms"}], "uncovered"}
/// @param names that the list has where it was built to.
nlohmann::ordered_json to_json(const build::BuildResult& result,
                               const std::vector<std::string>& names);

/// {"reference", "digest", "mediaType", "list", "staleMs": number or null, "warnings"}
nlohmann::ordered_json to_json(const resolve::KnownImage& known);

/// What a node takes of an image: {"node", "platform", "cpuVariant", "runtime", "outcome", "taken",
/// "pull", "variant", "unsure", "foreign", "requires", "pullSize"}
nlohmann::ordered_json to_json(const resolve::ResolvedImage& image, const node::Node& node,
                               const resolve::Choice& choice);

}  // namespace fnimage::report
