# FNIMAGE_SANITIZE: a list for -fsanitize= ("address,undefined" or "thread"); applied to everything, since mixing
# instrumented and plain code of this project would hide findings. With clang the list may hold fuzzer-no-link: the
# libraries then count coverage for the fuzz targets (test/fuzz), and every other program still links, since the
# sanitizers' runtime holds the counters' empty hooks.
set(FNIMAGE_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined")
if(FNIMAGE_SANITIZE)
  add_compile_options(-fsanitize=${FNIMAGE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FNIMAGE_SANITIZE})
endif()
