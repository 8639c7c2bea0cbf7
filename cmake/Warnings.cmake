# The warnings the project builds with, each with its reason. FNIMAGE_WERROR makes them errors, in
# the presets for development; not in `release`, which users build: a compiler newer than ours may warn of something else.
option(FNIMAGE_WERROR "Treat compiler warnings as errors" OFF)

function(fnimage_warnings target)
  set(flags
    -Wall -Wextra -Wpedantic      # the common ground of both compilers
    -Wshadow                      # a hidden name is read as the wrong variable
    -Wconversion -Wsign-conversion # sizes and offsets from outside must not be cut silently
    -Wold-style-cast              # a C cast hides which conversion is meant
    -Wnon-virtual-dtor            # deleting through an interface without it is undefined
    -Woverloaded-virtual          # a hidden overload is an override that never runs
    -Wnull-dereference            # cheap static help against crashes
    -Wdouble-promotion            # unintended double arithmetic
    -Wformat=2                    # format strings are literals
    -Wimplicit-fallthrough        # a missing break is a bug until marked
    -Wcast-align                  # bytes from the network are not aligned objects
    -Wunused)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND flags
      -Wduplicated-cond -Wduplicated-branches # copy-and-paste mistakes
      -Wlogical-op                # && where & was meant
      -Wno-null-dereference       # GCC 12 reports it inside libstdc++ at -O2; clang still checks
      -Wno-subobject-linkage      # in a batch it takes a source for a header, and its types for shared ones
      -Wno-restrict               # GCC 12 false positive in std::string (bug 105651)
      -Wno-maybe-uninitialized)   # GCC 12 false positives on optional-like types under -O2
  endif()
  target_compile_options(${target} PRIVATE ${flags} $<$<BOOL:${FNIMAGE_WERROR}>:-Werror>)
endfunction()
