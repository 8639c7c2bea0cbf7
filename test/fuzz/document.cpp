// JSON documents of registries and layouts: manifests, lists, configs; and the words in them:
// references, platforms, digests. What can be read is emitted and read again, and is the same.
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/lint.hpp>
#include <fnimage/manifest/reference.hpp>

#include "fuzz.hpp"

namespace fnimage::fuzz {
namespace {

using namespace manifest;

template <class T>
void check_round_trip(const T& value) {
  const std::string text = emit(value);
  const Result<T> again = T::parse(text);
  require(succeeded(again), "what is emitted can be read");
  require(emit(*again) == text, "and gives the same bytes");
}

void check_document(std::string_view text, std::string_view type) {
  const auto document = Document::from_bytes(std::string(text), type, "input");
  if (!succeeded(document)) {
    return;
  }
  require(document->bytes() == text, "received bytes stay as they are");
  require(document->descriptor().size == text.size(), "descriptors say the size");
  require(!document->is_index() || !document->is_image(), "no document is two things");
  if (const auto index = document->index(); succeeded(index)) {
    require(document->is_index(), "only a list is a list");
    require(succeeded(lint(*document)), "whatever list is read can be linted");
  }
  if (const auto image = document->image(); succeeded(image)) {
    require(document->is_image(), "only a manifest is a manifest");
    validate(*image);
  }
}

void check_words(std::string_view text) {
  if (const auto reference = Reference::parse(text); succeeded(reference)) {
    const auto again = Reference::parse(reference->str());
    require(succeeded(again) && again->name() == reference->name(), "references can be written");
  }
  if (const auto platform = Platform::parse(text); succeeded(platform)) {
    const auto again = Platform::parse(platform->str());
    require(succeeded(again) && *again == *platform, "platforms are in their normal form");
  }
  if (const auto digest = Digest::parse(text); succeeded(digest)) {
    require(digest->str() == text && text.find('/') == std::string_view::npos,
            "digests are what they were read from");
  }
}

}  // namespace
}  // namespace fnimage::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage::fuzz;
  const std::string text(text_of(data, size));
  if (const auto index = Index::parse(text); succeeded(index)) {
    check_round_trip(*index);
    lint(*index);
  }
  const auto image = ImageManifest::parse(text);
  if (succeeded(image)) {
    check_round_trip(*image);
    require(convert(convert(*image, Format::docker), Format::docker).layers.size() ==
                image->layers.size(),
            "no layer is lost");
  }
  if (const auto config = ImageConfig::parse(text); succeeded(config)) {
    check_round_trip(*config);
  }
  for (const std::string_view type :
       {"", "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json", "text/plain"}) {
    check_document(text, type);
  }
  check_words(text.substr(0, text.find('\n')));
  return 0;
}
