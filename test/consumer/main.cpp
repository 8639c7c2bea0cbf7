// What a platform controller does first: read a list and choose a node's image.
#include <iostream>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/registry/memory_store.hpp>

namespace {

fnimage::Result<std::string> choose() {
  using namespace fnimage;
  manifest::Index index;
  for (const char* name : {"linux/amd64", "linux/ppc64le"}) {
    FNIMAGE_TRY(auto platform, manifest::Platform::parse(name));
    index.put({.media_type = std::string(manifest::media_type::oci_manifest),
               .digest = manifest::Digest::of(std::string_view(name)),
               .size = 2,
               .platform = platform});
  }
  const auto store = registry::make_memory_store("consumer");
  FNIMAGE_CHECK(store->put_manifest(manifest::Document::of(index), "latest"));
  FNIMAGE_TRY(auto document, store->get_manifest(registry::Selector("latest")));
  FNIMAGE_TRY(auto list, document.index());
  FNIMAGE_TRY(auto node, manifest::Platform::parse("linux/ppc64le"));
  const auto best = manifest::best_match(list.manifests, node);
  if (!best) {
    return fail(ErrorCode::platform_mismatch, "no image for the node");
  }
  return list.manifests[*best].platform->str();
}

}  // namespace

int main() {
  const auto chosen = choose();
  std::cout << (chosen ? *chosen : chosen.error().describe()) << '\n';
  return chosen && *chosen == "linux/ppc64le" ? 0 : 1;
}
