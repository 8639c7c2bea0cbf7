// The style sheet and the script of all pages, compiled in (style.css, script.js). Thread-safety:
// constants.
#pragma once

#include <string_view>

namespace fnimage::server {

extern const std::string_view page_style;
extern const std::string_view page_script;

}  // namespace fnimage::server
