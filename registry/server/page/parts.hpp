// Parts of an image's page. Thread-safety: pure functions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "page/html.hpp"
#include "page/tree.hpp"
#include "page/views.hpp"

namespace fnimage::server {

/// One platform: its sizes, layers, config, annotations, referrers. @param is_open its details show
/// without being asked for.
Html branch_part(const ImagePage& page, const ImageBranch& branch, bool is_open);
/// The check's result, and the button that begins it. Nothing when images are not checked.
Html check_section(const ImagePage& page);
/// What refers to an image: SBOMs, signatures. Nothing when there is none. @param level of its
/// heading, 2 or 4.
Html referrers_part(const std::string& repository,
                    const std::vector<manifest::Descriptor>& referrers, int level);
/// Annotations or labels.
Html pairs_part(const std::map<std::string, std::string>& pairs);

}  // namespace fnimage::server
