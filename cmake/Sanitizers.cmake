# FNIMAGE_SANITIZE: a list for -fsanitize= ("address,undefined" or "thread"); applied to everything, since mixing
# instrumented and plain code of this project would hide findings.
set(FNIMAGE_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined")
if(FNIMAGE_SANITIZE)
  add_compile_options(-fsanitize=${FNIMAGE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FNIMAGE_SANITIZE})
endif()
