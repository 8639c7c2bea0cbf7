// The image specification's rules for documents, V1-V12 of our list, each with what must be read
// and what must not. Where a rule is not about a single document, its tests are elsewhere:
//   V1  descriptors             here; size before hash: VerifyingReader.* (digest_test.cpp)
//   V2  digests                 here; Digest.* (digest_test.cpp). An algorithm that is not known is
//   refused at once: a
//                               Digest holds nothing that could not be verified
//   V3  embedded data           here
//   V4  urls, annotations       here
//   V5  manifests               here; family and sizes: ValidateManifest.*
//   V6  lists                   here; no duplicate platforms of ours: Index.Put*, ValidateIndex.*
//   V7  configs                 here; against the manifest: ValidateConfig.*
//   V8  layers                  TarScanner.*, HostileArchive.SparseFilesAreRefused, TarWriter.*
//   (test/unit/layer);
//                               whiteouts: ImageFiles.*, Breakouts.* (test/unit/check)
//   V9  layouts                 OciLayoutTest.*, OciLayoutDamageTest.* (test/unit/registry)
//   V10 JSON                    here; ParseJson.* (test/unit/base)
//   V11 one thing at a time     here; Document.RefusesTwoThingsInOneWhateverItsType
//   V12 times                   BuildEnvironment.* (test/unit/build), test/e2e
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/image_config.hpp>

#include "samples.hpp"

namespace fnimage::manifest {
namespace {

using nlohmann::json;
using test::fails_with;
using test::is_ok;

using Change = std::function<void(json&)>;

struct Rule {
  const char* name;
  bool valid;
  std::string text;
};

std::string manifest_with(const Change& change) {
  json value = json::parse(emit(samples::image()));
  change(value);
  return value.dump();
}

std::string list_with(const Change& change) {
  json value = json::parse(emit(samples::list()));
  change(value);
  return value.dump();
}

std::string config_with(const Change& change) {
  json value = json::parse(emit(samples::config()));
  change(value);
  return value.dump();
}

Change layer_field(const char* key, json value) {
  return [key, value = std::move(value)](json& manifest) { manifest["layers"][0][key] = value; };
}

Change no_layer_field(const char* key) {
  return [key](json& manifest) { manifest["layers"][0].erase(key); };
}

Change field(const char* key, json value) {
  return [key, value = std::move(value)](json& document) { document[key] = value; };
}

Change no_field(const char* key) {
  return [key](json& document) { document.erase(key); };
}

const std::string sha256_of_nothing =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A layer whose content is embedded.
Change embedded(std::string_view content, std::string base64) {
  return [content, base64 = std::move(base64)](json& manifest) {
    manifest["layers"][0]["digest"] = Digest::of(content).str();
    manifest["layers"][0]["size"] = content.size();
    manifest["layers"][0]["data"] = base64;
  };
}

std::vector<Rule> manifest_rules() {
  const std::string hex64(64, 'a');
  const std::string hex128(128, 'a');
  return {
      {"V1 media type missing", false, manifest_with(no_layer_field("mediaType"))},
      {"V1 digest missing", false, manifest_with(no_layer_field("digest"))},
      {"V1 size missing", false, manifest_with(no_layer_field("size"))},
      {"V1 media type by RFC 6838", true,
       manifest_with(layer_field("mediaType", "application/vnd.x-y.z+json"))},
      {"V1 media type without a slash", false, manifest_with(layer_field("mediaType", "layer"))},
      {"V1 media type with parameters", false, manifest_with(layer_field("mediaType", "a/b;c=d"))},
      {"V1 size 0", true, manifest_with(layer_field("size", 0))},
      {"V1 size of 63 bits", true,
       manifest_with(layer_field("size", std::int64_t{9223372036854775807}))},
      {"V1 negative size", false, manifest_with(layer_field("size", -1))},
      {"V1 fraction of a size", false, manifest_with(layer_field("size", 1.5))},
      {"V1 size as text", false, manifest_with(layer_field("size", "1"))},
      {"V2 sha256", true, manifest_with(layer_field("digest", "sha256:" + hex64))},
      {"V2 sha512", true, manifest_with(layer_field("digest", "sha512:" + hex128))},
      {"V2 sha256 too short", false,
       manifest_with(layer_field("digest", "sha256:" + hex64.substr(1)))},
      {"V2 sha256 too long", false, manifest_with(layer_field("digest", "sha256:a" + hex64))},
      {"V2 sha512 of sha256's length", false,
       manifest_with(layer_field("digest", "sha512:" + hex64))},
      {"V2 upper case", false,
       manifest_with(layer_field("digest", "sha256:" + std::string(64, 'A')))},
      {"V2 upper case algorithm", false, manifest_with(layer_field("digest", "SHA256:" + hex64))},
      {"V2 path in it", false,
       manifest_with(layer_field("digest", "sha256:../" + hex64.substr(3)))},
      {"V2 path for an algorithm", false, manifest_with(layer_field("digest", "../../x:" + hex64))},
      {"V2 no algorithm", false, manifest_with(layer_field("digest", hex64))},
      {"V2 line end behind it", false,
       manifest_with(layer_field("digest", "sha256:" + hex64 + "\n"))},
      {"V3 data that is the content", true, manifest_with(embedded("hello", "aGVsbG8="))},
      {"V3 no data at all", true, manifest_with(embedded("", ""))},
      {"V3 data of another content", false, manifest_with(embedded("hello", "aGVsbE8="))},
      {"V3 data of another size", false, manifest_with(embedded("hello", "aGVsbG8h"))},
      {"V3 no base64", false, manifest_with(embedded("hello", "aGVs*G8="))},
      {"V4 https and http", true,
       manifest_with(layer_field("urls", {"https://a.example/x", "http://b.example/"}))},
      {"V4 file URL", false, manifest_with(layer_field("urls", {"file:///etc/passwd"}))},
      {"V4 URL without a scheme", false, manifest_with(layer_field("urls", {"a.example/x"}))},
      {"V4 annotations of text", true, manifest_with(field("annotations", {{"a", "b"}}))},
      {"V4 empty annotations", true, manifest_with(field("annotations", json::object()))},
      {"V4 annotation with a number", false, manifest_with(field("annotations", {{"a", 1}}))},
      {"V4 annotation with an object", false,
       manifest_with(field("annotations", {{"a", json::object()}}))},
      {"V4 unknown keys", true, manifest_with(field("org.example.later", 1))},
      {"V5 without a media type", true, manifest_with(no_field("mediaType"))},
      {"V5 a list's media type", false,
       manifest_with(field("mediaType", std::string(media_type::oci_index)))},
      {"V5 schemaVersion 1", false, manifest_with(field("schemaVersion", 1))},
      {"V5 schemaVersion as text", false, manifest_with(field("schemaVersion", "2"))},
      {"V5 config missing", false, manifest_with(no_field("config"))},
      {"V5 layers missing", false, manifest_with(no_field("layers"))},
      {"V5 no layers", true, manifest_with(field("layers", json::array()))},
      {"V5 empty config with artifactType", true, manifest_with([](json& value) {
         value["config"]["mediaType"] = media_type::oci_empty;
         value["artifactType"] = "application/x-thing";
       })},
      {"V5 empty config without artifactType", false,
       manifest_with([](json& value) { value["config"]["mediaType"] = media_type::oci_empty; })},
      {"V5 unknown config type", true,
       manifest_with([](json& value) { value["config"]["mediaType"] = "application/x-unknown"; })},
      {"V5 unknown layer type", true,
       manifest_with(layer_field("mediaType", "application/x-unknown"))},
      {"V5 subject", true, manifest_with([](json& value) { value["subject"] = value["config"]; })},
      {"V5 subject that is none", false, manifest_with(field("subject", json::object()))},
      {"V10 duplicate names", false,
       R"({"schemaVersion":2,)" + manifest_with([](json&) {}).substr(1)},
      {"V10 no UTF-8", false,
       manifest_with(field("annotations", {{"a", "@"}}))
           .replace(manifest_with(field("annotations", {{"a", "@"}})).find('@'), 1, "\xff")},
      {"V10 text behind it", false, manifest_with([](json&) {}) + "x"},
      {"V10 byte order mark", true, "\xef\xbb\xbf" + manifest_with([](json&) {})},
      {"V10 a comment", false, "/* x */" + manifest_with([](json&) {})},
      {"V10 not an object", false, "[" + manifest_with([](json&) {}) + "]"},
      {"V11 a manifest with manifests", false, manifest_with(field("manifests", json::array()))},
      {"V11 a manifest with manifests that are null, which is as without", true,
       manifest_with(field("manifests", nullptr))},
  };
}

std::vector<Rule> list_rules() {
  const auto platform = [](json value) {
    return list_with(
        [value = std::move(value)](json& list) { list["manifests"][0]["platform"] = value; });
  };
  return {
      {"V6 manifests missing", false, list_with(no_field("manifests"))},
      {"V6 manifests null", false, list_with(field("manifests", nullptr))},
      {"V6 no manifests", true, list_with(field("manifests", json::array()))},
      {"V6 unknown child type", true,
       list_with([](json& list) { list["manifests"][0]["mediaType"] = "application/x-unknown"; })},
      {"V6 nested list", true,
       list_with([](json& list) { list["manifests"][0]["mediaType"] = media_type::oci_index; })},
      {"V6 no platform", true,
       list_with([](json& list) { list["manifests"][0].erase("platform"); })},
      {"V6 platform without os", false, platform({{"architecture", "amd64"}})},
      {"V6 platform without architecture", false, platform({{"os", "linux"}})},
      {"V6 platform with variant and features", true,
       platform({{"architecture", "arm"},
                 {"os", "linux"},
                 {"variant", "v7"},
                 {"os.version", "1"},
                 {"os.features", {"x"}},
                 {"features", {"reserved"}}})},
      {"V6 architecture with a slash", false, platform({{"architecture", "a/b"}, {"os", "linux"}})},
      {"V6 schemaVersion 1", false, list_with(field("schemaVersion", 1))},
      {"V6 a manifest's media type", false,
       list_with(field("mediaType", std::string(media_type::oci_manifest)))},
      {"V11 a list with layers", false, list_with(field("layers", json::array()))},
      {"V11 a list with a config", false, list_with(field("config", json::object()))},
  };
}

std::vector<Rule> config_rules() {
  const auto rootfs = [](const char* key, json value) {
    return config_with(
        [key, value = std::move(value)](json& config) { config["rootfs"][key] = value; });
  };
  return {
      {"V7 rootfs missing", false, config_with(no_field("rootfs"))},
      {"V7 rootfs of another type", false, rootfs("type", "diffs")},
      {"V7 rootfs without a type", false,
       config_with([](json& config) { config["rootfs"].erase("type"); })},
      {"V7 diff_id that is no digest", false, rootfs("diff_ids", {"x"})},
      {"V7 history of more layers", false, config_with([](json& config) {
         config["rootfs"]["diff_ids"] = {sha256_of_nothing};
         config["history"] = {json::object(), json::object()};
       })},
      {"V7 history with empty layers", true, config_with([](json& config) {
         config["rootfs"]["diff_ids"] = {sha256_of_nothing};
         config["history"] = {json::object(), {{"empty_layer", true}}};
       })},
      {"V7 no history", true, config_with(no_field("history"))},
      {"V7 extra fields", true, config_with(field("org.example.later", json::array({1})))},
      {"V7 null is absent", true, config_with([](json& config) {
         config["config"]["Cmd"] = nullptr;
         config["config"]["Labels"] = nullptr;
         config["author"] = nullptr;
       })},
      {"V7 Env of numbers", false,
       config_with([](json& config) { config["config"]["Env"] = {1}; })},
      {"V10 duplicate names", false, R"({"os":"linux",)" + config_with([](json&) {}).substr(1)},
  };
}

template <class Parse>
void check_rules(const std::vector<Rule>& rules, Parse parse) {
  for (const Rule& rule : rules) {
    if (rule.valid) {
      EXPECT_THAT(parse(rule.text), is_ok()) << rule.name << '\n' << rule.text;
    } else {
      EXPECT_THAT(parse(rule.text), fails_with(ErrorCode::invalid_input)) << rule.name << '\n'
                                                                          << rule.text;
    }
  }
}

TEST(ImageSpecRules, Manifests) {
  check_rules(manifest_rules(), ImageManifest::parse);
}

TEST(ImageSpecRules, Lists) {
  check_rules(list_rules(), [](std::string_view text) { return Index::parse(text); });
}

TEST(ImageSpecRules, Configs) {
  check_rules(config_rules(), ImageConfig::parse);
}

// V11 with any Content-Type, and the same of documents that are only read, not understood.
TEST(ImageSpecRules, NoDocumentIsTwoThings) {
  for (const std::vector<Rule>& rules : {manifest_rules(), list_rules()}) {
    for (const Rule& rule : rules) {
      if (rule.valid || !std::string_view(rule.name).starts_with("V11")) {
        continue;
      }
      for (const std::string_view type :
           {std::string_view(), std::string_view(media_type::oci_manifest),
            std::string_view(media_type::oci_index), std::string_view("text/plain")}) {
        EXPECT_FALSE(Document::from_bytes(rule.text, type, "document").has_value())
            << rule.name << " as " << type;
      }
    }
  }
}

}  // namespace
}  // namespace fnimage::manifest
