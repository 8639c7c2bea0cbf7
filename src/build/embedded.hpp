// Files compiled into the library (cmake/EmbedFile.cmake).
#pragma once

#include <string_view>

namespace fnimage::build {

extern const std::string_view build_file_schema;  ///< fnimage.schema.json

}  // namespace fnimage::build
