# Compiles a file into a library, byte for byte.
#
#   fnimage_embed(<target> <file> <namespace> <symbol>)
#
# defines `extern const std::string_view <namespace>::<symbol>`, constant-initialised, which the
# user declares in a private header. The file is read again whenever it changes. This script is also
# the build step itself (cmake -P with INPUT, OUTPUT, NAMESPACE and SYMBOL), so that building needs
# no other program.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${INPUT} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  file(WRITE ${OUTPUT} "// Made from a file by cmake/EmbedFile.cmake.
#include <string_view>

namespace ${NAMESPACE} {

namespace {
// NOLINTNEXTLINE
constexpr char bytes[] = {${bytes} '\\0'};
}  // namespace

extern const std::string_view ${SYMBOL};
constinit const std::string_view ${SYMBOL}(bytes, sizeof(bytes) - 1);

}  // namespace ${NAMESPACE}
")
  return()
endif()

set(FNIMAGE_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE} CACHE INTERNAL "")

function(fnimage_embed target file namespace symbol)
  cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set(output ${CMAKE_CURRENT_BINARY_DIR}/embedded_${symbol}.cpp)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${file} -DOUTPUT=${output} -DNAMESPACE=${namespace}
            -DSYMBOL=${symbol} -P ${FNIMAGE_EMBED_SCRIPT}
    DEPENDS ${file} ${FNIMAGE_EMBED_SCRIPT}
    COMMENT "Embedding ${file}"
    VERBATIM)
  set_source_files_properties(${output} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_sources(${target} PRIVATE ${output})
endfunction()
