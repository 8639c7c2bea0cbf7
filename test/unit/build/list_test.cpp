// Lists made of images in the local store (in memory) and in a registry that answers from a table.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fnimage/build/list.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::build {
namespace {

using manifest::Descriptor;
using manifest::Document;
using manifest::Reference;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// An image as two texts.
struct Image {
  std::string config;
  std::string manifest;
};

Image make_image(const std::string& platform, manifest::Format format = manifest::Format::oci) {
  manifest::ImageConfig config;
  config.platform = unwrap(manifest::Platform::parse(platform));
  Image image;
  image.config = manifest::emit(config);
  const auto type = manifest::convert_type(manifest::media_type::oci_config, format);
  const manifest::ImageManifest value{.format = format,
                                      .config = {.media_type = std::string(type),
                                                 .digest = manifest::Digest::of(image.config),
                                                 .size = image.config.size()},
                                      .layers = {}};
  image.manifest = manifest::emit(value);
  return image;
}

/// What a program without a name for its platform, or with none of its own, writes.
Image without_platform() {
  const Image image = make_image("linux/riscv64");
  std::string config = image.config;
  const std::string words = R"("architecture":"riscv64","os":"linux",)";
  config.erase(config.find(words), words.size());
  const manifest::ImageManifest value{
      .config = {.media_type = std::string(manifest::media_type::oci_config),
                 .digest = manifest::Digest::of(config),
                 .size = config.size()},
      .layers = {}};
  return {.config = config, .manifest = manifest::emit(value)};
}

class Warnings final : public Diagnostics {
 public:
  void report(Severity severity, std::string_view message) noexcept override {
    if (severity == Severity::warning) {
      text += std::string(message) + "\n";
    }
  }
  std::unique_ptr<ProgressTask> begin(std::string_view label,
                                      std::uint64_t total) noexcept override {
    return null_diagnostics().begin(label, total);
  }

  std::string text;
};

Document document_of(const std::string& bytes) {
  return unwrap(Document::from_bytes(bytes, "", "test"));
}

/// A registry that holds what its table says, and counts what is asked of it.
class TableRegistry final : public registry::Transport {
 public:
  void add(const std::string& repository, const std::string& tag, const Image& image) {
    add_manifest(repository, tag, image.manifest);
    blobs_[repository + "/blobs/" + manifest::Digest::of(image.config).str()] = image.config;
  }
  void add_manifest(const std::string& repository, const std::string& tag,
                    const std::string& bytes) {
    manifests_[repository + "/manifests/" + tag] = bytes;
    manifests_[repository + "/manifests/" + manifest::Digest::of(bytes).str()] = bytes;
  }

  Result<registry::HttpResponse> perform(const registry::HttpRequest& request) override {
    const std::string prefix = "http://registry.example/v2/";
    registry::HttpResponse response;
    response.status = 200;
    const std::string path =
        request.url.size() > prefix.size() ? request.url.substr(prefix.size()) : "";
    if (path.empty()) {
      return response;
    }
    const bool is_manifest = manifests_.contains(path);
    if (!is_manifest && !blobs_.contains(path)) {
      response.status = 404;
      return response;
    }
    const std::string& bytes = is_manifest ? manifests_.at(path) : blobs_.at(path);
    response.headers = {{"Content-Length", std::to_string(bytes.size())}};
    if (is_manifest) {
      const Document document = document_of(bytes);
      response.headers.push_back({"Content-Type", document.media_type()});
      response.headers.push_back({"Docker-Content-Digest", document.digest().str()});
    }
    if (request.method == "GET" && request.sink != nullptr) {
      FNIMAGE_CHECK(request.sink->write(as_bytes(bytes)));
    } else if (request.method == "GET") {
      response.body = bytes;
    }
    return response;
  }

 private:
  std::map<std::string, std::string> manifests_;
  std::map<std::string, std::string> blobs_;
};

class CreateList : public ::testing::Test {
 protected:
  void put_local(const std::string& name, const Image& image) {
    unwrap(local_->put_blob(document_of(image.manifest).image()->config,
                            *memory_content(image.config), {}));
    unwrap(local_->put_manifest(document_of(image.manifest), name));
  }
  Result<Descriptor> create(const std::string& name, const std::vector<std::string>& children,
                            const ListOptions& options = {}) {
    return create_in(*local_, name, children, options);
  }
  Result<Descriptor> create_in(registry::ImageStore& store, const std::string& name,
                               const std::vector<std::string>& children,
                               const ListOptions& options = {}) {
    std::vector<registry::Location> locations;
    for (const std::string& child : children) {
      locations.push_back(unwrap(registry::parse_location(child)));
    }
    FNIMAGE_TRY(const registry::PublishedList published,
                create_list({.store = &store, .name = unwrap(Reference::parse(name))}, locations,
                            options, local_.get(), client_, warnings_));
    return published.list;
  }
  std::vector<std::string> platforms_of(const std::string& name) {
    std::vector<std::string> names;
    for (const Descriptor& entry : unwrap(unwrap(local_->get_manifest(name)).index()).manifests) {
      names.push_back(entry.platform->str());
    }
    return names;
  }
  [[nodiscard]] bool local_has(const std::string& bytes) {
    return unwrap(local_->resolve(manifest::Digest::of(bytes))).has_value();
  }

  Warnings warnings_;
  Image amd64_ = make_image("linux/amd64");
  Image ppc64le_ = make_image("linux/ppc64le");
  std::shared_ptr<TableRegistry> remote_ = std::make_shared<TableRegistry>();
  std::unique_ptr<registry::ImageStore> local_ = registry::make_memory_store("local");
  registry::Client client_{remote_, registry::fixed_credentials("registry.example", {}),
                           registry::ClientOptions{.plain_http = true}, null_diagnostics()};
};

TEST_F(CreateList, TakesPlatformsFromConfigsAndSortsThem) {
  put_local("action:p", ppc64le_);
  put_local("action:x", amd64_);
  const Descriptor list = unwrap(create("action:latest", {"action:p", "action:x"}));
  EXPECT_EQ(list.media_type, manifest::media_type::oci_index);
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64", "linux/ppc64le"));
  // Equal sets give equal bytes.
  EXPECT_EQ(unwrap(create("other:latest", {"action:x", "action:p"})).digest, list.digest);
}

TEST_F(CreateList, OnlyRefersToImagesOfItsOwnRepository) {
  remote_->add("action", "ppc64le", ppc64le_);
  remote_->add("action", "x86-64", amd64_);
  EXPECT_THAT(create("registry.example/action:latest",
                     {"registry.example/action:ppc64le", "registry.example/action:x86-64"}),
              is_ok());
  EXPECT_THAT(platforms_of("registry.example/action:latest"),
              ElementsAre("linux/amd64", "linux/ppc64le"));
  EXPECT_FALSE(local_has(amd64_.manifest));
}

TEST_F(CreateList, CopiesImagesOfOtherRepositories) {
  remote_->add("action", "x86-64", amd64_);
  EXPECT_THAT(create("registry.example/other:latest", {"registry.example/action:x86-64"}), is_ok());
  EXPECT_TRUE(local_has(amd64_.manifest));
}

TEST_F(CreateList, FlattensListsAndLeavesAttestationsOut) {
  remote_->add("action", "a", amd64_);
  remote_->add("action", "p", ppc64le_);
  manifest::Index inner;
  for (const Image* image : {&amd64_, &ppc64le_}) {
    Descriptor entry = document_of(image->manifest).descriptor();
    entry.platform = unwrap(manifest::ImageConfig::parse(image->config)).platform;
    inner.manifests.push_back(entry);
  }
  Descriptor attestation = document_of(amd64_.manifest).descriptor();
  attestation.digest = manifest::Digest::of("attestation");
  attestation.platform = manifest::Platform{"unknown", "unknown", {}, {}, {}};
  inner.manifests.push_back(attestation);
  remote_->add_manifest("action", "both", manifest::emit(inner));
  EXPECT_THAT(create("registry.example/action:latest", {"registry.example/action:both"}), is_ok());
  EXPECT_THAT(platforms_of("registry.example/action:latest"),
              ElementsAre("linux/amd64", "linux/ppc64le"));
}

TEST_F(CreateList, RefusesAListThatContradictsAConfig) {
  remote_->add("action", "a", amd64_);
  manifest::Index inner;
  Descriptor entry = document_of(amd64_.manifest).descriptor();
  entry.platform = unwrap(manifest::Platform::parse("linux/ppc64le"));
  inner.manifests.push_back(entry);
  remote_->add_manifest("action", "wrong", manifest::emit(inner));
  EXPECT_THAT(create("registry.example/action:latest", {"registry.example/action:wrong"}),
              fails_with(ErrorCode::platform_mismatch,
                         AllOf(HasSubstr("says linux/ppc64le"), HasSubstr("says linux/amd64"))));
}

TEST_F(CreateList, RefusesTwoImagesOfOnePlatform) {
  put_local("action:a", amd64_);
  put_local("action:b", make_image("linux/amd64", manifest::Format::docker));
  EXPECT_THAT(create("action:latest", {"action:a", "action:b"}),
              fails_with(ErrorCode::platform_mismatch,
                         HasSubstr("action:a and action:b are both linux/amd64")));
  EXPECT_FALSE(unwrap(local_->resolve("action:latest")).has_value());
}

TEST_F(CreateList, AnImageThatIsNamedTwiceIsOneEntry) {
  put_local("action:a", amd64_);
  put_local("action:same", amd64_);
  EXPECT_THAT(create("action:latest", {"action:a", "action:same"}), is_ok());
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64"));
}

TEST_F(CreateList, RefusesAnExistingListUnlessAmending) {
  put_local("action:a", amd64_);
  put_local("action:p", ppc64le_);
  unwrap(create("action:latest", {"action:a"}));
  const auto refused = create("action:latest", {"action:p"});
  EXPECT_THAT(refused, fails_with(ErrorCode::already_exists));
  EXPECT_THAT(refused.error().hint(), HasSubstr("--amend"));
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64"));
  EXPECT_THAT(create("action:latest", {"action:p"}, {.amend = true}), is_ok());
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64", "linux/ppc64le"));
}

TEST_F(CreateList, AmendingReplacesTheEntryOfAPlatform) {
  put_local("action:a", amd64_);
  unwrap(create("action:latest", {"action:a"}));
  Image newer = amd64_;
  manifest::ImageConfig config = unwrap(manifest::ImageConfig::parse(newer.config));
  config.author = "somebody";
  newer.config = manifest::emit(config);
  manifest::ImageManifest value = unwrap(document_of(newer.manifest).image());
  value.config.digest = manifest::Digest::of(newer.config);
  value.config.size = newer.config.size();
  newer.manifest = manifest::emit(value);
  put_local("action:b", newer);
  unwrap(create("action:latest", {"action:b"}, {.amend = true}));
  const auto index = unwrap(unwrap(local_->get_manifest("action:latest")).index());
  ASSERT_EQ(index.manifests.size(), 1U);
  EXPECT_EQ(index.manifests[0].digest, manifest::Digest::of(newer.manifest));
}

TEST_F(CreateList, IsADockerListWhenAllImagesAreDockers) {
  put_local("action:a", make_image("linux/amd64", manifest::Format::docker));
  EXPECT_EQ(unwrap(create("action:latest", {"action:a"})).media_type,
            manifest::media_type::docker_list);
}

TEST_F(CreateList, NamesTheImageThatIsMissing) {
  EXPECT_THAT(create("action:latest", {"action:absent"}),
              fails_with(ErrorCode::not_found, HasSubstr("action:absent")));
  EXPECT_THAT(create("registry.example/action:latest", {"registry.example/action:absent"}),
              fails_with(ErrorCode::not_found, HasSubstr("registry.example/action:absent")));
}

TEST_F(CreateList, RefusesADigestAsItsName) {
  put_local("action:a", amd64_);
  EXPECT_THAT(create("action@" + manifest::Digest::of("x").str(), {"action:a"}),
              fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(create("action:latest", {}), fails_with(ErrorCode::invalid_argument));
}

TEST_F(CreateList, ConvertsTheWholeTree) {
  put_local("action:a", amd64_);
  put_local("action:p", make_image("linux/ppc64le", manifest::Format::docker));
  unwrap(create("action:docker", {"action:a", "action:p"}, {.format = manifest::Format::docker}));
  const auto list = unwrap(unwrap(local_->get_manifest("action:docker")).index());
  EXPECT_EQ(list.format, manifest::Format::docker);
  for (const Descriptor& entry : list.manifests) {
    EXPECT_EQ(entry.media_type, manifest::media_type::docker_manifest);
    const auto image = unwrap(unwrap(local_->get_manifest(entry.digest)).image());
    EXPECT_EQ(image.config.media_type, manifest::media_type::docker_config);
  }
  EXPECT_THAT(create("action:no", {"action:a"},
                     {.format = manifest::Format::docker, .annotations = {{"a", "b"}}}),
              fails_with(ErrorCode::unsupported));
}

TEST_F(CreateList, AmendingInAnotherFamilyConvertsWhatStands) {
  put_local("action:a", amd64_);
  put_local("action:p", ppc64le_);
  unwrap(create("action:latest", {"action:a"}));
  unwrap(
      create("action:latest", {"action:p"}, {.format = manifest::Format::docker, .amend = true}));
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64", "linux/ppc64le"));
  const auto list = unwrap(unwrap(local_->get_manifest("action:latest")).index());
  EXPECT_EQ(list.manifests[0].media_type, manifest::media_type::docker_manifest);
}

TEST_F(CreateList, WhatADockerListCannotSayIsRefused) {
  put_local("action:a", make_image("linux/amd64", manifest::Format::docker));
  put_local("action:p", ppc64le_);
  const auto refuses = fails_with(ErrorCode::unsupported, HasSubstr("is a Docker list, which has"));
  EXPECT_THAT(create("action:latest", {"action:a"}, {.annotations = {{"a", "b"}}}), refuses);
  EXPECT_THAT(create("action:latest", {"action:a"}, {.artifact_type = "a/b"}), refuses);
  unwrap(create("action:latest", {"action:a"}));
  EXPECT_THAT(
      create("action:latest", {"action:p"}, {.amend = true, .entry_annotations = {{"a", "b"}}}),
      refuses);
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64"));
}

TEST_F(CreateList, ConvertsNoListThatOthersMayBeAddingTo) {
  put_local("action:a", amd64_);
  put_local("action:p", ppc64le_);
  unwrap(create("action:latest", {"action:a"}));
  ListOptions options{.format = manifest::Format::docker, .amend = true, .converts_list = false};
  const auto refused = create("action:latest", {"action:p"}, options);
  EXPECT_THAT(refused, fails_with(ErrorCode::unsupported, HasSubstr("is an OCI list, and cannot")));
  EXPECT_THAT(refused.error().hint(), HasSubstr("leave --format out"));
  options.format = manifest::Format::oci;
  EXPECT_THAT(create("action:latest", {"action:p"}, options), is_ok());
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64", "linux/ppc64le"));
}

TEST_F(CreateList, TakesOnlyThePlatformsThatAreWanted) {
  put_local("action:a", amd64_);
  put_local("action:p", ppc64le_);
  const manifest::Platform power = unwrap(manifest::Platform::parse("linux/ppc64le"));
  unwrap(create("action:latest", {"action:a", "action:p"}, {.platforms = {power}}));
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/ppc64le"));
  EXPECT_THAT(create("action:none", {"action:a"}, {.platforms = {power}}),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("linux/ppc64le")));
}

TEST_F(CreateList, SaysAnotherPlatformThanTheConfig) {
  put_local("action:a", amd64_);
  unwrap(create("action:latest", {"action:a"},
                {.platform_edit = {.os = "windows", .os_version = "10.0.1"}}));
  const auto list = unwrap(unwrap(local_->get_manifest("action:latest")).index());
  EXPECT_EQ(list.manifests[0].platform->str(), "windows/amd64");
  EXPECT_EQ(list.manifests[0].platform->os_version, "10.0.1");
}

TEST_F(CreateList, RefusesWordsThatNobodyCouldReadBeforeItReadsAnything) {
  const PlatformEdit table[] = {{.architecture = "a b/c"},
                                {.architecture = "UPPER CASE!"},
                                {.os = ""},
                                {.architecture = ""},
                                {.variant = "v 7"},
                                {.os_version = "1\n"},
                                {.os_features = {{"a", "b c"}}}};
  for (const PlatformEdit& edit : table) {
    EXPECT_THAT(create("action:latest", {"action:absent"}, {.platform_edit = edit}),
                fails_with(ErrorCode::invalid_argument));
    EXPECT_THAT(annotate_list({local_.get(), unwrap(Reference::parse("action:absent"))},
                              {.entry = EntryName{}, .platform = edit}, {}, null_diagnostics()),
                fails_with(ErrorCode::invalid_argument));
  }
  const auto debian =
      create("action:latest", {"action:absent"}, {.platform_edit = {.architecture = "ppc64el"}});
  EXPECT_THAT(debian, fails_with(ErrorCode::invalid_argument));
  EXPECT_EQ(debian.error().hint(), "write ppc64le");
}

TEST_F(CreateList, WarnsAboutPlatformsThatNoNodeHas) {
  put_local("action:a", amd64_);
  unwrap(create("action:latest", {"action:a"},
                {.platform_edit = {.os = "linus", .architecture = "amd46"}}));
  EXPECT_THAT(warnings_.text, AllOf(HasSubstr("action:latest in the local store: \"linus\" is not"),
                                    HasSubstr("\"amd46\" is not a known architecture")));
  warnings_.text.clear();
  unwrap(create("action:latest", {"action:a"},
                {.amend = true, .platform_edit = {.architecture = "amd46"}}));
  EXPECT_THAT(warnings_.text, HasSubstr("\"amd46\" is not a known architecture"));
}

TEST_F(CreateList, SaysThePlatformOfAnImageWhoseConfigSaysNone) {
  put_local("action:r", without_platform());
  put_local("action:a", amd64_);
  const auto refused = create("action:latest", {"action:r"});
  EXPECT_THAT(refused, fails_with(ErrorCode::platform_mismatch,
                                  HasSubstr("the config of action:r does not say its operating")));
  EXPECT_THAT(refused.error().hint(), HasSubstr("--os and --arch"));
  const PlatformEdit edit{.os = "linux", .architecture = "riscv64"};
  EXPECT_THAT(create("action:latest", {"action:r", "action:a"}, {.platform_edit = edit}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("said of one image")));
  unwrap(create("action:latest", {"action:r"}, {.platform_edit = edit}));
  // What the list says is taken where the config says nothing: also by other lists.
  EXPECT_THAT(create("action:other", {"action:latest", "action:a"}), is_ok());
  EXPECT_THAT(platforms_of("action:other"), ElementsAre("linux/amd64", "linux/riscv64"));
  EXPECT_THAT(
      create("action:latest", {"action:a"}, {.format = manifest::Format::docker, .amend = true}),
      is_ok());
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64", "linux/riscv64"));
}

TEST_F(CreateList, AnEditedListCanBeConverted) {
  put_local("action:a", amd64_);
  put_local("action:p", ppc64le_);
  unwrap(create("action:latest", {"action:a"}, {.platform_edit = {.architecture = "s390x"}}));
  unwrap(
      create("action:latest", {"action:p"}, {.format = manifest::Format::docker, .amend = true}));
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/ppc64le", "linux/s390x"));
}

TEST_F(CreateList, LeavesMissingImagesOutWhenAllowed) {
  put_local("action:a", amd64_);
  unwrap(create("action:latest", {"action:absent", "action:a"}, {.ignore_missing = true}));
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64"));
  EXPECT_THAT(create("action:none", {"action:absent"}, {.ignore_missing = true}),
              fails_with(ErrorCode::not_found));
}

TEST_F(CreateList, AttestationsComeWithTheirImage) {
  put_local("action:a", amd64_);
  put_local("action:x", make_image("linux/s390x"));
  manifest::Index inner;
  Descriptor image = document_of(amd64_.manifest).descriptor();
  image.platform = unwrap(manifest::Platform::parse("linux/amd64"));
  Descriptor attestation = document_of(make_image("linux/s390x").manifest).descriptor();
  attestation.platform = manifest::Platform{"unknown", "unknown", {}, {}, {}};
  attestation.annotations["vnd.docker.reference.digest"] = image.digest.str();
  inner.manifests = {image, attestation};
  unwrap(local_->put_manifest(Document::of(inner), "action:inner"));
  unwrap(create("action:latest", {"action:inner"}));
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64", "unknown/unknown"));
  EXPECT_EQ(warnings_.text, "");
  unwrap(create("action:docker", {"action:inner"}, {.format = manifest::Format::docker}));
  EXPECT_THAT(warnings_.text, HasSubstr("the attestations of action:inner (linux/amd64) are left"));
}

TEST_F(CreateList, IsEditedInPlace) {
  put_local("action:a", amd64_);
  put_local("action:p", ppc64le_);
  const Descriptor list = unwrap(create("action:latest", {"action:a", "action:p"}));
  const ListTarget target{local_.get(), unwrap(Reference::parse("action:latest"))};
  const auto name = [&](const std::string& text) {
    return unwrap(parse_entry_name(text, local_.get(), client_));
  };
  EXPECT_THAT(
      annotate_list(target, {.entry = name("action:p"), .platform = {.architecture = "amd64"}}, {},
                    null_diagnostics()),
      fails_with(ErrorCode::platform_mismatch, HasSubstr("linux/amd64 already")));
  EXPECT_THAT(
      annotate_list(target, {.entry = name("action:p"), .platform = {.architecture = "s390x"}}, {},
                    null_diagnostics()),
      is_ok());
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/amd64", "linux/s390x"));
  EXPECT_THAT(
      remove_from_list(target, {name("amd64")}, {.digest = list.digest}, null_diagnostics()),
      fails_with(ErrorCode::already_exists, HasSubstr(list.digest.str())));
  EXPECT_THAT(remove_from_list(target, {name("amd64")}, {}, null_diagnostics()), is_ok());
  EXPECT_THAT(platforms_of("action:latest"), ElementsAre("linux/s390x"));
  const auto nothing_left = remove_from_list(target, {name("linux/s390x")}, {}, null_diagnostics());
  EXPECT_THAT(nothing_left,
              fails_with(ErrorCode::invalid_argument, HasSubstr("nothing would be left")));
  EXPECT_THAT(nothing_left.error().hint(), HasSubstr("fnimage manifest rm action:latest"));
  const ListTarget image{local_.get(), unwrap(Reference::parse("action:a"))};
  EXPECT_THAT(remove_from_list(image, {name("amd64")}, {}, null_diagnostics()),
              fails_with(ErrorCode::invalid_argument, HasSubstr("is a single image, not a list")));
}

TEST_F(CreateList, AnnotationsOfAnEntryComeAndGo) {
  put_local("action:a", amd64_);
  unwrap(create("action:latest", {"action:a"},
                {.platform_edit = {.os_features = {{"b", "a"}}},
                 .entry_annotations = {{"gpu", "no"}, {"site", "x"}}}));
  const ListTarget target{local_.get(), unwrap(Reference::parse("action:latest"))};
  const EntryName entry = unwrap(parse_entry_name("amd64", local_.get(), client_));
  unwrap(annotate_list(target,
                       {.entry = entry,
                        .platform = {.os_features = {{""}}},
                        .annotations = {.set = {{"site", "y"}}, .removed = {"gpu"}}},
                       {}, null_diagnostics()));
  const auto list = unwrap(unwrap(local_->get_manifest("action:latest")).index());
  EXPECT_THAT(list.manifests[0].annotations, ElementsAre(std::pair("site", "y")));
  EXPECT_TRUE(list.manifests[0].platform->os_features.empty());
  EXPECT_THAT(annotate_list(target, {.entry = entry, .annotations = {.removed = {"gpu"}}}, {},
                            null_diagnostics()),
              fails_with(ErrorCode::not_found, HasSubstr("no annotation gpu")));
}

TEST_F(CreateList, AnEntryRequiresWhatItsImageDoes) {
  const std::string needs = R"({"cpu":"4"})";
  manifest::ImageManifest image = unwrap(document_of(amd64_.manifest).image());
  image.annotations = {{"io.fnimage.requires", needs}, {"org.opencontainers.image.title", "f"}};
  const Image demanding{amd64_.config, manifest::emit(image)};
  put_local("action:a", demanding);
  put_local("action:p", ppc64le_);
  const auto annotations = [&](const std::string& name) {
    return unwrap(unwrap(local_->get_manifest(name)).index()).manifests[0].annotations;
  };
  const auto needed = ElementsAre(std::pair("io.fnimage.requires", needs));
  unwrap(create("action:one", {"action:a", "action:p"}));
  EXPECT_THAT(annotations("action:one"), needed);
  // It is kept by lists of that list, and what somebody says in the command wins.
  unwrap(create("action:two", {"action:one"}));
  EXPECT_THAT(annotations("action:two"), needed);
  unwrap(
      create("action:three", {"action:a"}, {.entry_annotations = {{"io.fnimage.requires", "{}"}}}));
  EXPECT_THAT(annotations("action:three"), ElementsAre(std::pair("io.fnimage.requires", "{}")));
  // Taken away from an entry it stays away.
  const ListTarget target{local_.get(), unwrap(Reference::parse("action:one"))};
  const EntryName entry = unwrap(parse_entry_name("amd64", local_.get(), client_));
  unwrap(annotate_list(target,
                       {.entry = entry, .annotations = {.removed = {"io.fnimage.requires"}}}, {},
                       null_diagnostics()));
  unwrap(create("action:four", {"action:one"}));
  EXPECT_TRUE(annotations("action:four").empty());
}

TEST_F(CreateList, AnnotationsOfTheListComeAndGoWithThoseOfAnEntry) {
  put_local("action:a", amd64_);
  unwrap(create("action:latest", {"action:a"}, {.annotations = {{"team", "a"}, {"v", "1"}}}));
  const ListTarget target{local_.get(), unwrap(Reference::parse("action:latest"))};
  const EntryName entry = unwrap(parse_entry_name("amd64", local_.get(), client_));
  const auto annotate = [&](const ListAnnotation& annotation) {
    return annotate_list(target, annotation, {}, null_diagnostics());
  };
  unwrap(annotate({.entry = entry,
                   .annotations = {.set = {{"gpu", "no"}}},
                   .list_annotations = {.set = {{"v", "2"}}, .removed = {"team"}}}));
  const auto standing = unwrap(local_->get_manifest("action:latest"));
  EXPECT_THAT(unwrap(standing.index()).annotations, ElementsAre(std::pair("v", "2")));
  EXPECT_THAT(unwrap(standing.index()).manifests[0].annotations,
              ElementsAre(std::pair("gpu", "no")));
  // Nothing changes when one part cannot be.
  EXPECT_THAT(annotate({.entry = entry,
                        .annotations = {.removed = {"gpu"}},
                        .list_annotations = {.removed = {"team"}}}),
              fails_with(ErrorCode::not_found, HasSubstr("action:latest in the local store has no "
                                                         "annotation team")));
  EXPECT_THAT(
      annotate({.list_annotations = {.set = {{"v", "3"}}, .removed = {"v"}}}),
      fails_with(ErrorCode::invalid_argument, HasSubstr("annotation v is set and removed")));
  EXPECT_EQ(unwrap(local_->get_manifest("action:latest")).digest(), standing.digest());
}

TEST_F(CreateList, ErrorsOfABrokenListNameIt) {
  std::string bytes = manifest::emit(
      manifest::Index{.manifests = {[&] {
                        Descriptor entry = document_of(amd64_.manifest).descriptor();
                        entry.platform = manifest::Platform{"linux", "a b/c", {}, {}, {}};
                        return entry;
                      }()}});
  unwrap(local_->put_manifest(document_of(bytes), "action:broken"));
  const auto broken = remove_from_list({local_.get(), unwrap(Reference::parse("action:broken"))},
                                       {EntryName{.text = "x"}}, {}, null_diagnostics());
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().describe(), HasSubstr("read action:broken in the local store: "));
}

TEST(PlatformEdit, AnArchitectureWithoutVariantDropsThatOfTheOldOne) {
  const manifest::Platform arm = unwrap(manifest::Platform::parse("linux/arm/v6"));
  EXPECT_EQ(PlatformEdit{.architecture = "ppc64le"}.applied_to(arm).str(), "linux/ppc64le");
  EXPECT_EQ(PlatformEdit{.architecture = "arm"}.applied_to(arm).str(), "linux/arm/v6");
  EXPECT_EQ((PlatformEdit{.architecture = "s390x", .variant = "z15"}.applied_to(arm).str()),
            "linux/s390x/z15");
}

}  // namespace
}  // namespace fnimage::build
