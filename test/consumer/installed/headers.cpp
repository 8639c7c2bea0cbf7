// One header of each public module is found where it was installed, with all that it includes.
#include <fnimage/archive/open.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/build/publish.hpp>
#include <fnimage/check/check.hpp>
#include <fnimage/elf/object.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/report/json.hpp>
#include <fnimage/resolve/resolver.hpp>
#include <fnimage/runtime/runtime.hpp>
#include <fnimage/sbom/contents.hpp>
#include <fnimage/source/files.hpp>
