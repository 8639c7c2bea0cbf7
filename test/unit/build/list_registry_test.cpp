// Lists whose images are in several repositories of a registry that counts its requests, with a
// local store on disk.
#include <memory>
#include <string>
#include <vector>

#include <fnimage/build/list.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/registry/image_sources.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/memory_registry.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::build {
namespace {

using manifest::Descriptor;
using manifest::Document;
using manifest::Reference;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ListsInARegistry : public ::testing::Test {
 protected:
  std::unique_ptr<registry::ImageStore> repository(const std::string& name) {
    return unwrap(client_.repository(reference(name)));
  }
  [[nodiscard]] Reference reference(const std::string& name) const {
    return unwrap(Reference::parse(registry_.address() + "/" + name));
  }
  static Descriptor put_bytes(registry::ImageStore& store, const std::string& bytes,
                              std::string_view type) {
    const Descriptor blob{.media_type = std::string(type),
                          .digest = manifest::Digest::of(bytes),
                          .size = bytes.size()};
    unwrap(store.put_blob(blob, *memory_content(bytes), {}));
    return blob;
  }
  /// An image of one platform with a layer that all have, and one of its own.
  static Document put_image(registry::ImageStore& store, const std::string& platform,
                            const std::optional<std::string>& tag) {
    manifest::ImageConfig config;
    config.platform = unwrap(manifest::Platform::parse(platform));
    config.diff_ids = {manifest::Digest::of("shared"), manifest::Digest::of(platform)};
    const auto type = manifest::media_type::oci_layer_gzip;
    const manifest::ImageManifest image{
        .config = put_bytes(store, manifest::emit(config), manifest::media_type::oci_config),
        .layers = {put_bytes(store, "shared layer", type),
                   put_bytes(store, "layer of " + platform, type)}};
    Document document = Document::of(image);
    unwrap(store.put_manifest(document, tag));
    return document;
  }
  [[nodiscard]] registry::Location at(const std::string& name) const {
    return unwrap(registry::parse_location(registry_.address() + "/" + name));
  }
  Result<void> create(const std::vector<NewList>& lists, const ListOptions& options = {}) {
    published_.clear();
    return create_lists(lists, options, local_.get(), client_, null_diagnostics(), published_);
  }
  /// What was asked since the last call.
  std::size_t asked(std::string_view beginning) {
    std::size_t found = 0;
    const std::vector<std::string> lines = registry_.server().lines();
    for (std::size_t i = seen_; i < lines.size(); ++i) {
      found += lines[i].starts_with(beginning) ? 1U : 0U;
    }
    return found;
  }
  void forget_requests() { seen_ = registry_.server().lines().size(); }

  test::MemoryRegistry registry_{{.instead = [](const test::SeenRequest& request) {
    return request.line() == "PUT /v2/list/manifests/refused"
               ? std::optional(test::Reply{.status = 405})
               : std::nullopt;
  }}};
  test::TempDir scratch_;
  std::unique_ptr<registry::OciLayout> local_ = unwrap(
      registry::OciLayout::open(scratch_.path() / "store", registry::OciLayout::Mode::create));
  registry::Client client_{unwrap(registry::make_curl_transport({})), nullptr,
                           registry::ClientOptions{.plain_http = true}, null_diagnostics()};
  std::vector<registry::PublishedList> published_;
  std::size_t seen_ = 0;
};

TEST_F(ListsInARegistry, SeveralTagsAreReadAndMountedOnce) {
  const auto source = repository("parts");
  put_image(*source, "linux/amd64", "x");
  put_image(*source, "linux/ppc64le", "p");
  const auto target = repository("list");
  forget_requests();
  const std::vector<registry::Location> children{at("parts:x"), at("parts:p")};
  unwrap(create({{{target.get(), reference("list:v1")}, children},
                 {{target.get(), reference("list:v2")}, children}}));
  EXPECT_THAT(published_, SizeIs(2));
  EXPECT_EQ(registry_.tag("list", "v1"), registry_.tag("list", "v2"));
  EXPECT_EQ(asked("POST /v2/list/blobs/uploads/?mount="), 5U);  // the shared layer is one
  EXPECT_EQ(asked("POST"), 5U);
  EXPECT_EQ(asked("GET /v2/parts/manifests/x"), 1U);
  EXPECT_EQ(asked("PUT /v2/list/manifests/sha256:"), 2U);
  EXPECT_EQ(asked("PUT /v2/list/manifests/v"), 2U);
}

TEST_F(ListsInARegistry, SeveralRepositoriesGetEachBlobOnce) {
  put_image(*local_, "linux/amd64", registry_.address() + "/one:v1");
  put_image(*local_, "linux/amd64", registry_.address() + "/two:v1");
  const auto one = repository("one");
  const auto two = repository("two");
  const auto local = [&](const std::string& name) {
    registry::Location location = at(name);
    location.kind = registry::Location::Kind::local;
    return std::vector<registry::Location>{location};
  };
  unwrap(create({{{one.get(), reference("one:v1")}, local("one:v1")},
                 {{two.get(), reference("two:v1")}, local("two:v1")}},
                {.amend = true}));
  EXPECT_NE(registry_.tag("two", "v1"), "");
  EXPECT_EQ(asked("PUT /up/"), 3U);
}

TEST_F(ListsInARegistry, WhatIsThereIsNotSentAgain) {
  put_image(*local_, "linux/amd64", registry_.address() + "/one:v1");
  const auto one = repository("one");
  registry::Location image = at("one:v1");
  image.kind = registry::Location::Kind::local;
  const std::vector<NewList> lists{{{one.get(), reference("one:v1")}, {image}}};
  unwrap(create(lists, {.amend = true}));
  forget_requests();
  unwrap(create(lists, {.amend = true}));
  EXPECT_EQ(asked("POST"), 0U);
  EXPECT_EQ(asked("PUT /v2/one/manifests/sha256:"), 0U);
  EXPECT_EQ(asked("HEAD"), 1U);
}

TEST_F(ListsInARegistry, ListsBeforeAFailureAreReported) {
  const auto target = repository("list");
  put_image(*target, "linux/amd64", "x");
  const std::vector<registry::Location> children{at("list:x")};
  const Result<void> half = create({{{target.get(), reference("list:first")}, children},
                                    {{target.get(), reference("list:refused")}, children},
                                    {{target.get(), reference("list:never")}, children}});
  ASSERT_FALSE(half);
  EXPECT_THAT(half.error().describe(), HasSubstr("put " + reference("list:refused").str()));
  EXPECT_THAT(published_, SizeIs(1));
  EXPECT_NE(registry_.tag("list", "first"), "");
  EXPECT_EQ(registry_.tag("list", "never"), "");
}

TEST_F(ListsInARegistry, ExpectationsAreCheckedBeforeAnythingIsSent) {
  const auto source = repository("parts");
  put_image(*source, "linux/amd64", "x");
  const auto target = repository("list");
  put_image(*target, "linux/ppc64le", "p");
  unwrap(create({{{target.get(), reference("list:v1")}, {at("list:p")}}}));
  forget_requests();
  EXPECT_THAT(create({{{target.get(), reference("list:v1")}, {at("parts:x")}}},
                     {.expected = {.absent = true}}),
              fails_with(ErrorCode::already_exists, HasSubstr("exists already")));
  const ListOptions other{.expected = {.digest = manifest::Digest::of("other")}};
  EXPECT_THAT(create({{{target.get(), reference("list:v2")}, {at("parts:x")}}}, other),
              fails_with(ErrorCode::already_exists, HasSubstr("there is no list")));
  EXPECT_EQ(asked("POST"), 0U);
  EXPECT_EQ(asked("PUT"), 0U);
}

TEST_F(ListsInARegistry, ALocalListDownloadsNoLayersAndMountsThemLater) {
  const auto source = repository("parts");
  const Document image = put_image(*source, "linux/amd64", "x");
  const Reference name = reference("list:v1");
  forget_requests();
  unwrap(create({{{local_.get(), name}, {at("parts:x")}}}));
  EXPECT_EQ(asked("GET /v2/parts/blobs/"), 2U);  // the config: to read it, and to keep it
  for (const Descriptor& layer : unwrap(image.image()).layers) {
    EXPECT_FALSE(unwrap(local_->has_blob(layer)));
  }
  const auto home = local_->home_of(image.digest());
  ASSERT_TRUE(home.has_value());
  EXPECT_EQ(home->repository, "parts");
  forget_requests();
  const auto images = registry::with_referred_images(*local_, name, client_);
  const auto target = repository("list");
  unwrap(registry::transfer(*images, name.str(), *target, {.tags = {"v1"}}, null_diagnostics()));
  EXPECT_NE(registry_.tag("list", "v1"), "");
  EXPECT_EQ(asked("POST /v2/list/blobs/uploads/?mount="), 3U);
  EXPECT_EQ(asked("PUT /up/"), 0U);
  EXPECT_EQ(asked("GET /v2/parts/blobs/"), 0U);
}

TEST_F(ListsInARegistry, ALocalListIsPublishedElsewhereFromItsOwnRepository) {
  const auto source = repository("action");
  put_image(*source, "linux/amd64", "x");
  const Reference name = reference("action:v1");
  unwrap(create({{{local_.get(), name}, {at("action:x")}}}));
  const auto images = registry::with_referred_images(*local_, name, client_);
  const auto target = repository("elsewhere");
  EXPECT_THAT(
      registry::transfer(*images, name.str(), *target, {.tags = {"v1"}}, null_diagnostics()),
      is_ok());
  EXPECT_EQ(asked("POST /v2/elsewhere/blobs/uploads/?mount="), 3U);
  // Another list of the local store may be made of it too.
  unwrap(create({{{local_.get(), reference("third:v1")}, {at("action:v1")}}}));
  const auto third = registry::with_referred_images(*local_, reference("third:v1"), client_);
  EXPECT_THAT(registry::transfer(*third, reference("third:v1").str(), *repository("third"),
                                 {.tags = {"v1"}}, null_diagnostics()),
              is_ok());
}

TEST_F(ListsInARegistry, ReferrersComeWithImagesThatAreCopied) {
  const auto source = repository("parts");
  const Document image = put_image(*source, "linux/amd64", "x");
  manifest::ImageManifest signature{
      .config = put_bytes(*source, "{}", "application/vnd.example.signature"), .layers = {}};
  signature.subject = image.descriptor();
  const Document document = Document::of(signature);
  unwrap(source->put_manifest(document, std::nullopt));
  const auto target = repository("list");
  const std::vector<NewList> lists{{{target.get(), reference("list:v1")}, {at("parts:x")}}};
  unwrap(create(lists));
  EXPECT_FALSE(unwrap(target->resolve(document.digest())).has_value());
  unwrap(create(lists, {.referrers = true}));
  EXPECT_TRUE(unwrap(target->resolve(document.digest())).has_value());
  EXPECT_THAT(unwrap(target->referrers(image.digest())), SizeIs(1));
  EXPECT_THAT(
      create({{{local_.get(), reference("list:v1")}, {at("parts:x")}}}, {.referrers = true}),
      fails_with(ErrorCode::invalid_argument));
}

TEST_F(ListsInARegistry, HomesOfImagesThatAreGoneAreForgotten) {
  const auto source = repository("parts");
  const Document image = put_image(*source, "linux/amd64", "x");
  const Reference name = reference("list:v1");
  unwrap(create({{{local_.get(), name}, {at("parts:x")}}}));
  unwrap(local_->remove_tag(name.str()));
  unwrap(local_->reclaim());
  EXPECT_EQ(local_->home_of(image.digest()), std::nullopt);
}

}  // namespace
}  // namespace fnimage::build
