// Descriptors: V1-V4.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/bytes.hpp>
#include <fnimage/manifest/descriptor.hpp>

#include "samples.hpp"

namespace fnimage::manifest {
namespace {

using nlohmann::json;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::HasSubstr;

json good() {
  return {{"mediaType", media_type::oci_layer_gzip},
          {"digest", Digest::of("hello").str()},
          {"size", 5}};
}

json with(const char* key, json value) {
  json descriptor = good();
  descriptor[key] = std::move(value);
  return descriptor;
}

TEST(Descriptor, ReadsEveryField) {
  json value = good();
  value["annotations"] = {{"a", "1"}};
  value["urls"] = {"https://mirror.example/x"};
  value["data"] = to_base64(as_bytes(std::string_view("hello")));
  value["artifactType"] = "application/x-thing";
  value["platform"] = {{"architecture", "arm"},     {"os", "linux"},
                       {"variant", "v7"},           {"os.version", "1"},
                       {"os.features", {"win32k"}}, {"features", {"reserved"}}};
  value["unknown"] = {1, 2};
  const Descriptor descriptor = unwrap(parse_descriptor(value, "/layers/0"));
  EXPECT_EQ(descriptor.media_type, media_type::oci_layer_gzip);
  EXPECT_EQ(descriptor.digest, Digest::of("hello"));
  EXPECT_EQ(descriptor.size, 5U);
  EXPECT_EQ(descriptor.annotations, (Annotations{{"a", "1"}}));
  EXPECT_EQ(descriptor.urls.size(), 1U);
  EXPECT_EQ(descriptor.data, "hello");
  EXPECT_EQ(descriptor.artifact_type, "application/x-thing");
  EXPECT_EQ(descriptor.platform, (Platform{"linux", "arm", "v7", "1", {"win32k"}}));
}

TEST(Descriptor, NullCountsAsAbsent) {
  json value = good();
  for (const char* key : {"annotations", "urls", "data", "artifactType", "platform"}) {
    value[key] = nullptr;
  }
  EXPECT_EQ(unwrap(parse_descriptor(value, "")), unwrap(parse_descriptor(good(), "")));
}

struct BadDescriptor {
  json value;
  const char* message;
};

TEST(Descriptor, EveryErrorNamesItsPath) {
  const std::string hello = Digest::of("hello").str();
  const BadDescriptor table[] = {
      {json::array(), "/layers/3: not an object"},
      {with("mediaType", nullptr), "/layers/3/mediaType: missing"},
      {with("mediaType", 7), "/layers/3/mediaType: not a string"},
      {with("mediaType", "nonsense"), "/layers/3/mediaType: "},
      {with("mediaType", "a/b; c=d"), "/layers/3/mediaType: "},
      {with("mediaType", "a/b\n"), "/layers/3/mediaType: "},
      {with("digest", nullptr), "/layers/3/digest: missing"},
      {with("digest", "sha256:../../x"), "/layers/3/digest: "},
      {with("size", nullptr), "/layers/3/size: missing"},
      {with("size", "5"), "/layers/3/size: not a whole number"},
      {with("size", 5.0), "/layers/3/size: not a whole number"},
      {with("size", -1), "/layers/3/size: negative"},
      {with("size", 18446744073709551615ULL), "/layers/3/size: "},
      {with("annotations", {{"a", 1}}), "/layers/3/annotations/a: not a string"},
      {with("annotations", json::array({1})), "/layers/3/annotations: not an object"},
      {with("urls", {"ftp://mirror.example"}), "/layers/3/urls/0: not an http"},
      {with("urls", {"https://x", "file:///etc/passwd"}), "/layers/3/urls/1: not an http"},
      {with("data", "!!!!"), "/layers/3/data: "},
      {with("data", "aGVsbG8h"), "/layers/3/data: holds 6 bytes instead of 5"},
      {with("data", "aGVsbE8="), "/layers/3/data: does not have the descriptor's digest"},
      {with("platform", "linux"), "/layers/3/platform: not an object"},
      {with("platform", {{"os", "linux"}}), "/layers/3/platform/architecture: missing"},
      {with("platform", {{"os", ""}, {"architecture", "arm"}}), "/layers/3/platform/os: "},
      {with("platform", {{"os", "linux"}, {"architecture", "../x"}}),
       "/layers/3/platform/architecture: "},
      {with("platform", {{"os", "linux"}, {"architecture", "arm"}, {"variant", "a/b"}}),
       "/layers/3/platform/variant: "},
  };
  for (const BadDescriptor& row : table) {
    EXPECT_THAT(parse_descriptor(row.value, "/layers/3"),
                fails_with(ErrorCode::invalid_input, HasSubstr(row.message)))
        << row.value.dump();
  }
}

TEST(Descriptor, UnknownMediaTypesAreFine) {
  EXPECT_THAT(parse_descriptor(with("mediaType", "application/vnd.x.y+json"), ""), is_ok());
}

}  // namespace
}  // namespace fnimage::manifest
