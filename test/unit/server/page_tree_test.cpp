// What pages show of a store: sizes, shared bytes, what is missing; and who sees what.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "access_fixture.hpp"
#include "page/page.hpp"
#include "page/tree.hpp"
#include "page/views.hpp"
#include "store_fixture.hpp"

namespace fnimage::server {

namespace {

using manifest::Digest;

/// A blob as a manifest names it, with the size that is said.
std::string descriptor_text(std::string_view type, std::string_view content, std::size_t size,
                            std::string_view more = {}) {
  return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":{}{}}})", type,
                     Digest::of(content).str(), size, more);
}

class PageTreeTest : public StoreTest {
 protected:
  /// Puts an image with layers of this content, and a config.
  std::string put_image(const std::vector<std::string>& layers, std::string_view platform) {
    const std::string config = fmt::format(
        R"({{"os":"linux","architecture":"{}","rootfs":{{"type":"layers","diff_ids":[]}}}})",
        platform);
    put_blob("team/action", config);
    std::string list;
    for (const std::string& layer : layers) {
      put_blob("team/action", layer);
      list += (list.empty() ? "" : ",") +
              descriptor_text(manifest::media_type::oci_layer_gzip, layer, layer.size());
    }
    std::string text =
        fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}})",
                    manifest::media_type::oci_manifest,
                    descriptor_text(manifest::media_type::oci_config, config, config.size()), list);
    put(text, manifest::media_type::oci_manifest, {});
    return text;
  }
  void put(const std::string& text, std::string_view type, std::vector<std::string> tags) {
    test::unwrap(repository()->put_manifest({.bytes = text,
                                             .media_type = std::string(type),
                                             .digest = Digest::of(text),
                                             .tags = std::move(tags)},
                                            {}));
  }
  std::string entry(const std::string& image, std::string_view platform) {
    return descriptor_text(
        manifest::media_type::oci_manifest, image, image.size(),
        fmt::format(R"(,"platform":{{"os":"linux","architecture":"{}"}})", platform));
  }
  std::string put_list(const std::vector<std::string>& entries, const std::string& tag) {
    std::string text = fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}})",
                                   manifest::media_type::oci_index, fmt::join(entries, ","));
    put(text, manifest::media_type::oci_index, {tag});
    return text;
  }
  ImageTree tree(const std::string& tag, std::size_t first = 0) {
    auto found = test::unwrap(read_tree(*repository(), tag, first));
    EXPECT_TRUE(found.has_value());
    return found ? std::move(*found) : ImageTree{};
  }
};

TEST_F(PageTreeTest, BytesOfSeveralPlatformsCountOnce) {
  const std::string shared(1000, 's');
  const std::string amd64 = put_image({shared, std::string(200, 'a')}, "amd64");
  const std::string power = put_image({shared, std::string(300, 'p')}, "ppc64le");
  const std::string list = put_list({entry(amd64, "amd64"), entry(power, "ppc64le")}, "both");
  const ImageTree both = tree("both");
  ASSERT_EQ(both.images.size(), 2U);
  EXPECT_TRUE(both.is_whole);
  EXPECT_EQ(both.shared, 1000U);
  EXPECT_EQ(both.images[0].shared, 1000U);
  EXPECT_EQ(both.images[0].platform(), "linux/amd64");
  const auto config_size = [&](std::size_t i) {
    return both.images[i].manifest.image->config.size;
  };
  EXPECT_EQ(both.images[0].size, amd64.size() + config_size(0) + 1200);
  EXPECT_EQ(both.images[1].size, power.size() + config_size(1) + 1300);
  EXPECT_EQ(both.size, list.size() + both.images[0].size + both.images[1].size - 1000);
  EXPECT_EQ(both.largest, both.images[1].size);
}

TEST_F(PageTreeTest, ALayerThatComesTwiceInAnImageIsNotShared) {
  const std::string layer(100, 'l');
  put_list({entry(put_image({layer, layer}, "amd64"), "amd64")}, "twice");
  const ImageTree twice = tree("twice");
  EXPECT_EQ(twice.shared, 0U);
  EXPECT_EQ(twice.images[0].shared, 0U);
}

TEST_F(PageTreeTest, WhatIsMissingIsSaid) {
  const std::string image = put_image({"layer"}, "amd64");
  put_list({entry(image, "amd64"), entry("never pushed", "arm64")}, "sparse");
  const ImageTree sparse = tree("sparse");
  EXPECT_FALSE(sparse.is_whole);
  EXPECT_TRUE(sparse.images[0].manifest.problem.empty());
  EXPECT_FALSE(sparse.images[1].manifest.problem.empty());
  EXPECT_FALSE(sparse.images[1].manifest.image.has_value());
  std::filesystem::remove(path() / "team/action/blobs/sha256" / Digest::of("layer").hex());
  EXPECT_EQ(tree("sparse").images[0].missing.size(), 1U);
}

TEST_F(PageTreeTest, ADamagedConfigIsSaid) {
  const std::string image = put_image({}, "amd64");
  put_list({entry(image, "amd64")}, "damaged");
  const auto parsed = test::unwrap(manifest::ImageManifest::parse(image));
  const auto file = path() / "team/action/blobs/sha256" / parsed.config.digest.hex();
  std::filesystem::remove(file);
  std::ofstream(file) << std::string(parsed.config.size, '{');
  const ImageTree damaged = tree("damaged");
  EXPECT_FALSE(damaged.images[0].config.has_value());
  EXPECT_EQ(damaged.images[0].config_problem, "damaged here");
}

TEST_F(PageTreeTest, LongListsComeInParts) {
  std::vector<std::string> entries;
  const std::string image = put_image({"layer"}, "amd64");
  for (std::size_t i = 0; i < 1000; ++i) {
    entries.push_back(entry(image, fmt::format("cpu{}", i)));
  }
  put_list(entries, "long");
  const ImageTree first = tree("long");
  EXPECT_EQ(first.count, 1000U);
  EXPECT_EQ(first.images.size(), images_on_page);
  const ImageTree last = tree("long", 990);
  EXPECT_EQ(last.images.size(), 10U);
  EXPECT_EQ(last.images[0].platform(), "linux/cpu990");
  EXPECT_EQ(tree("long", 5000).first, 0U);
  EXPECT_LT(image_view({.repository = "team/action", .tag = "long", .tree = first}).str().size(),
            std::size_t{200'000});
}

TEST_F(PageTreeTest, WhatIsReadForAPageIsBounded) {
  ReadBudget budget{.manifests = 2, .bytes = 100};
  EXPECT_TRUE(budget.take(10));
  EXPECT_TRUE(budget.take(1000));
  EXPECT_FALSE(budget.take(0));
  EXPECT_EQ(budget.bytes, 0U);
}

TEST_F(PageTreeTest, AnArtifactIsShownAsOne) {
  put(image_text("sbom", R"(,"artifactType":"application/spdx+json")"),
      manifest::media_type::oci_manifest, {"sbom"});
  const std::string view =
      image_view({.repository = "team/action", .tag = "sbom", .tree = tree("sbom")}).str();
  EXPECT_NE(view.find("artifact: application/spdx+json"), std::string::npos);
  EXPECT_EQ(view.find("Check"), std::string::npos);
}

/// Answers what is no page.
class OtherHandler final : public Handler {
 public:
  [[nodiscard]] bool is_quick(const Request& /*request*/) const override { return true; }
  Answer answer(const Request& /*request*/) override { return Response{.status = 299}; }
};

class PageAccessTest : public PageTreeTest {
 protected:
  Response send(const std::string& method, const std::string& target,
                const std::string& authorization = {},
                const std::vector<HeaderField>& fields = {}) {
    if (!page_) {
      files_.users(both_users());
      files_.rules(
          "ann * pull\n"
          "bob team/* pull\n"
          "anonymous public pull\n");
      gate_ = test::unwrap(Gate::open(files_.options, std::chrono::milliseconds(0)));
      for (const char* name : {"team/action", "public", "secret"}) {
        test::unwrap(test::unwrap(store().create(name))->put_manifest(image("x", {"v1"}), {}));
      }
      page_ = std::make_unique<Pages>(
          other_, store(), gate_.get(),
          PageOptions{.check = [](const CheckTask&) { return CheckSummary(); }}, path(), "");
    }
    Request request = make_request(method, target, authorization);
    request.headers.insert(request.headers.end(), fields.begin(), fields.end());
    return std::get<Response>(page_->answer(request));
  }
  static std::string body(const Response& response) { return std::get<std::string>(response.body); }

  AccessFiles files_{};
  OtherHandler other_{};
  std::unique_ptr<Gate> gate_{};
  std::unique_ptr<Pages> page_{};
  const std::string ann_ = basic_of("ann", "ann-secret");
  const std::string bob_ = basic_of("bob", "bob-secret");
};

TEST_F(PageAccessTest, WhatMayNotBePulledIsNotSeen) {
  const std::string open = body(send("GET", "/"));
  EXPECT_NE(open.find(">public<"), std::string::npos);
  EXPECT_EQ(open.find("secret"), std::string::npos);
  EXPECT_NE(open.find("Log in"), std::string::npos);
  const std::string bobs = body(send("GET", "/", bob_));
  EXPECT_NE(bobs.find("team/action"), std::string::npos);
  EXPECT_EQ(bobs.find("secret"), std::string::npos);
  EXPECT_NE(body(send("GET", "/", ann_)).find(">secret<"), std::string::npos);
}

TEST_F(PageAccessTest, WhatIsThereIsNotToldToWhoMayNotPullIt) {
  for (const char* query : {"", "?tag=v1", "?tag=none", "?digest=sha256:0"}) {
    const Response there = send("GET", std::string("/-/repo/secret") + query, bob_);
    const Response absent = send("GET", std::string("/-/repo/absent") + query, bob_);
    EXPECT_EQ(there.status, 404);
    EXPECT_EQ(body(there), body(absent));
    const Response asked = send("GET", std::string("/-/repo/secret") + query);
    EXPECT_EQ(asked.status, 401);
    EXPECT_EQ(body(asked), body(send("GET", std::string("/-/repo/absent") + query)));
  }
  EXPECT_EQ(send("GET", "/-/repo/secret?tag=v1", ann_).status, 200);
}

TEST_F(PageAccessTest, ABrowserIsAskedToLogIn) {
  const Response asked = send("GET", "/?login=1");
  EXPECT_EQ(asked.status, 401);
  EXPECT_EQ(header_of(asked, "WWW-Authenticate"), R"(Basic realm="fnimage")");
  EXPECT_EQ(header_of(send("GET", "/?login=1", bob_), "Location"), "/");
  const Response wrong = send("GET", "/", basic_of("ann", "guess"));
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(header_of(wrong, "WWW-Authenticate"), R"(Basic realm="fnimage")");
  EXPECT_EQ(header_of(wrong, "Content-Type"), "text/html; charset=utf-8");
}

TEST_F(PageAccessTest, ACheckIsBegunByTheServersOwnPagesOnly) {
  const std::string target = "/-/check/team/action?tag=v1&digest=" + image("x").digest.str();
  const HeaderField same{"Sec-Fetch-Site", "same-origin"};
  EXPECT_EQ(send("POST", target, ann_).status, 403);
  for (const HeaderField& field :
       {HeaderField{"Sec-Fetch-Site", "cross-site"}, HeaderField{"Sec-Fetch-Site", "same-site"},
        HeaderField{"Origin", "https://evil.test"}, HeaderField{"Origin", "null"}}) {
    EXPECT_EQ(send("POST", target, ann_, {field}).status, 403) << field.value;
  }
  const Response begun = send("POST", target, ann_, {same});
  EXPECT_EQ(begun.status, 303);
  EXPECT_EQ(header_of(begun, "Location"), "/-/repo/team/action?tag=v1#check");
  EXPECT_EQ(send("POST", target, ann_, {{"Origin", "http://registry.test:5000"}}).status, 303);
  EXPECT_EQ(send("POST", target, {}, {same}).status, 401);
  EXPECT_EQ(send("POST", "/-/check/secret?digest=" + image("x").digest.str(), bob_, {same}).status,
            404);
  EXPECT_EQ(send("POST", "/-/check/team/action?digest=x", ann_, {same}).status, 404);
  EXPECT_EQ(send("GET", target, ann_).status, 405);
  EXPECT_EQ(send("POST", "/", ann_, {same}).status, 405);
}

TEST_F(PageAccessTest, TheRestGoesOnToOthers) {
  for (const char* path : {"/v2/", "/v2/-/repo", "/healthz", "/-", "/x/-/"}) {
    EXPECT_EQ(send("GET", path).status, 299) << path;
  }
  EXPECT_FALSE(page_->is_quick(make_request("GET", "/")));
  EXPECT_TRUE(page_->is_quick(make_request("GET", "/v2/")));
}

}  // namespace

}  // namespace fnimage::server
