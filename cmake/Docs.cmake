# The target docs: the reference of the library by doxygen, where that is installed; what is wrong in a comment is an error.
# The C header documents all that it declares, which docs_c_header holds it to.
find_program(FNIMAGE_DOXYGEN doxygen)
mark_as_advanced(FNIMAGE_DOXYGEN)
if(NOT FNIMAGE_DOXYGEN)
  return()
endif()

# fnimage_docs_target(<name> <directory> <warn about what has no comment: YES or NO> <input>…)
function(fnimage_docs_target name directory all)
  set(FNIMAGE_DOCS_DIRECTORY ${PROJECT_BINARY_DIR}/${directory})
  set(FNIMAGE_DOCS_ALL ${all})
  set(FNIMAGE_DOCS_EXTRACT YES)
  if(all)  # what is shown without a comment is not missed
    set(FNIMAGE_DOCS_EXTRACT NO)
  endif()
  list(TRANSFORM ARGN REPLACE "(.+)" "\"\\1\"")
  list(JOIN ARGN " " FNIMAGE_DOCS_INPUT)
  list(TRANSFORM roots REPLACE "(.+)" "\"\\1\"")
  list(JOIN roots " " FNIMAGE_DOCS_ROOTS)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/Doxyfile.in ${PROJECT_BINARY_DIR}/${directory}.doxyfile @ONLY)
  file(MAKE_DIRECTORY ${FNIMAGE_DOCS_DIRECTORY})
  add_custom_target(${name}
    COMMAND ${FNIMAGE_DOXYGEN} ${PROJECT_BINARY_DIR}/${directory}.doxyfile
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    COMMENT "Reference of the library: ${FNIMAGE_DOCS_DIRECTORY}/html/index.html"
    VERBATIM)
endfunction()

file(GLOB roots CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*/include ${PROJECT_SOURCE_DIR}/manifest/include
  ${PROJECT_SOURCE_DIR}/registry/include)
fnimage_docs_target(docs docs NO ${roots} ${PROJECT_SOURCE_DIR}/cmake/library.md)
fnimage_docs_target(docs_c_header docs-c YES ${PROJECT_SOURCE_DIR}/src/capi/include)
