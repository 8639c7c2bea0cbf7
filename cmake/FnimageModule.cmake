# Declares one module of the architecture as a static library with an installable public header set.
#
#   fnimage_module(<name> DIR <dir>
#     HEADERS  <public headers, relative to <dir>/include/fnimage/<name>>
#     SOURCES  <sources and private headers>
#     PUBLIC   <modules below this one>
#     PRIVATE  <external libraries that never show in a public header>)
#
# The target is fnimage_<name>, its alias and exported name fnimage::<name>. Every public header is compiled on
# its own by the target all_verify_interface_header_sets, which test/run.sh builds: a header that forgets an include
# fails there.
function(fnimage_module name)
  cmake_parse_arguments(ARG "" "" "HEADERS;SOURCES;PUBLIC;PRIVATE" ${ARGN})
  set(target fnimage_${name})
  set(root ${CMAKE_CURRENT_SOURCE_DIR}/include)
  list(TRANSFORM ARG_HEADERS PREPEND ${root}/fnimage/${name}/)

  add_library(${target} STATIC)
  add_library(fnimage::${name} ALIAS ${target})
  target_sources(${target}
    PRIVATE ${ARG_SOURCES}
    PUBLIC FILE_SET HEADERS BASE_DIRS ${root} FILES ${ARG_HEADERS})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  fnimage_warnings(${target})
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name}
    POSITION_INDEPENDENT_CODE ON
    VERIFY_INTERFACE_HEADER_SETS ON)
  if(FNIMAGE_INSTALL)
    install(TARGETS ${target} EXPORT fnimage-targets FILE_SET HEADERS)
  endif()
endfunction()

# Declares one GoogleTest program: fnimage_test(<name> SOURCES … LIBS … [LABELS …] [MUCH_WORK]). MUCH_WORK: its tests work for
# so long that optimising them is worth it where others are not (FNIMAGE_QUICK_TESTS).
# Each TEST becomes one ctest entry "<name>.<Suite>.<Test>".
function(fnimage_test name)
  cmake_parse_arguments(ARG "MUCH_WORK" "" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT FNIMAGE_BUILD_TESTS)
    return()
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE ${ARG_LIBS} fnimage_test_support
    GTest::gmock GTest::gtest GTest::gtest_main)
  fnimage_warnings(${name}_test)
  if(ARG_MUCH_WORK AND FNIMAGE_QUICK_TESTS)
    target_compile_options(${name}_test PRIVATE -O1)
  endif()
  gtest_discover_tests(${name}_test
    TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 120 NO_PRETTY_VALUES
    PROPERTIES LABELS "unit;${ARG_LABELS}")
endfunction()
