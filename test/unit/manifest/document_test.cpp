// Received documents: the bytes stay, and one document is never two things (C5, V11, A10).
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/document.hpp>

#include "samples.hpp"

namespace fnimage::manifest {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;

constexpr std::string_view what = "manifest of serverless:30501/action:latest";

Result<Document> read(std::string bytes, std::string_view content_type = {}) {
  return Document::from_bytes(std::move(bytes), content_type, what);
}

std::string without_media_type(std::string bytes) {
  const std::size_t begin = bytes.find("\"mediaType\"");
  return bytes.erase(begin, bytes.find(',', begin) + 1 - begin);
}

TEST(Document, KeepsTheBytesAsTheyCame) {
  const std::string odd = "  {\n \"manifests\" : [ ],\t\"zzz\": 1.0e1, \"schemaVersion\":2}\n";
  const Document document = unwrap(read(odd, media_type::oci_index));
  EXPECT_EQ(document.bytes(), odd);
  EXPECT_EQ(document.digest(), Digest::of(odd));
  EXPECT_EQ(document.descriptor(),
            (Descriptor{std::string(media_type::oci_index), Digest::of(odd), odd.size()}));
  EXPECT_TRUE(unwrap(document.index()).manifests.empty());
}

TEST(Document, OfOurOwnValues) {
  const Document list = Document::of(samples::list());
  EXPECT_TRUE(list.is_index());
  EXPECT_EQ(unwrap(list.index()), samples::list());
  const Document image = Document::of(samples::docker_image());
  EXPECT_EQ(image.media_type(), media_type::docker_manifest);
  EXPECT_EQ(unwrap(image.image()), samples::docker_image());
  EXPECT_THAT(image.index(), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(list.image(), fails_with(ErrorCode::invalid_input));
}

TEST(Document, ContentTypeMustAgreeWithTheBody) {
  const std::string list = emit(samples::list());
  EXPECT_THAT(read(list, media_type::oci_manifest), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(read(list, media_type::docker_list),
              fails_with(ErrorCode::invalid_input, HasSubstr("calls itself")));
  EXPECT_EQ(
      unwrap(read(list, "Application/vnd.oci.image.index.v1+JSON; charset=utf-8")).media_type(),
      media_type::oci_index);
}

TEST(Document, GenericContentTypesSayNothing) {
  for (const char* type :
       {"", "application/json", "text/plain; charset=utf-8", "application/octet-stream"}) {
    EXPECT_EQ(unwrap(read(emit(samples::list()), type)).media_type(), media_type::oci_index);
    EXPECT_EQ(unwrap(read(emit(samples::docker_image()), type)).media_type(),
              media_type::docker_manifest);
  }
}

TEST(Document, TypeByContentTypeThenByFields) {
  const std::string list = without_media_type(emit(samples::list()));
  EXPECT_EQ(unwrap(read(list)).media_type(), media_type::oci_index);
  EXPECT_EQ(unwrap(read(list, media_type::docker_list)).media_type(), media_type::docker_list);
  EXPECT_EQ(unwrap(unwrap(read(list, media_type::docker_list)).index()).format, Format::docker);
  EXPECT_EQ(unwrap(read(without_media_type(emit(samples::image())))).media_type(),
            media_type::oci_manifest);
  EXPECT_EQ(unwrap(read(without_media_type(emit(samples::docker_image())))).media_type(),
            media_type::docker_manifest);
  EXPECT_THAT(read("{}"), fails_with(ErrorCode::invalid_input));
}

TEST(Document, RefusesTwoThingsInOneWhateverItsType) {
  const std::string both = R"({"schemaVersion":2,"manifests":[],"config":{},"layers":[]})";
  for (const std::string_view type :
       {std::string_view(), media_type::oci_index, media_type::oci_manifest,
        media_type::docker_list, media_type::docker_manifest,
        std::string_view("application/vnd.other+json")}) {
    EXPECT_THAT(read(both, type), fails_with(ErrorCode::invalid_input, HasSubstr("both"))) << type;
  }
  EXPECT_THAT(read(without_media_type(emit(samples::list())), media_type::oci_manifest),
              fails_with(ErrorCode::invalid_input, HasSubstr("fields of a list")));
  EXPECT_THAT(read(without_media_type(emit(samples::image())), media_type::oci_index),
              fails_with(ErrorCode::invalid_input, HasSubstr("fields of an image manifest")));
}

TEST(Document, RefusesDuplicateKeysDepthSizeAndNonsense) {
  EXPECT_THAT(read(R"({"schemaVersion":2,"manifests":[],"manifests":[]})"),
              fails_with(ErrorCode::invalid_input, HasSubstr("duplicate key")));
  EXPECT_THAT(read("{\"a\":" + std::string(100'000, '[')), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(read("[]"), fails_with(ErrorCode::invalid_input, HasSubstr(std::string(what))));
  EXPECT_THAT(read("<html>not found</html>"), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(read(""), fails_with(ErrorCode::invalid_input));
  std::string large = R"({"schemaVersion":2,"manifests":[],"x":")";
  large += std::string(max_document_bytes, 'x') + "\"}";
  EXPECT_THAT(read(large), fails_with(ErrorCode::invalid_input));
}

TEST(Document, Schema1IsUnsupported) {
  EXPECT_THAT(read(R"({"schemaVersion":1,"fsLayers":[]})"), fails_with(ErrorCode::unsupported));
  EXPECT_THAT(
      read(R"({"schemaVersion":1})", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
      fails_with(ErrorCode::unsupported));
}

TEST(Document, OtherTypesAreKeptOpaque) {
  const Document document =
      unwrap(read(R"({"blobs":[]})", "application/vnd.oci.artifact.manifest.v1+json"));
  EXPECT_FALSE(document.is_index());
  EXPECT_FALSE(document.is_image());
  EXPECT_THAT(document.index(), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(document.image(), fails_with(ErrorCode::invalid_input));
}

}  // namespace
}  // namespace fnimage::manifest
