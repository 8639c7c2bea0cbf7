// sync(): what is brought along, what is left alone, in which order, and what a failure does.
#include <algorithm>
#include <set>

#include <fnimage/registry/fallback_tag.hpp>
#include <fnimage/registry/referrers.hpp>

#include "sample_image.hpp"
#include "sync_fixture.hpp"

namespace fnimage::registry {
namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;

/// An image with a layer of this content.
Document put_plain(ImageStore& store, const std::string& layer, const std::string& tag) {
  manifest::ImageManifest image{
      .config = test::put_bytes(store, "{}", manifest::media_type::oci_config),
      .layers = {test::put_bytes(store, layer, manifest::media_type::oci_layer_gzip)}};
  const Document document = Document::of(image);
  unwrap(store.put_manifest(document, tag));
  return document;
}

Document put_signature(ImageStore& store, const Document& subject, const std::string& text) {
  manifest::ImageManifest image{
      .config = test::put_bytes(store, "{}", manifest::media_type::oci_config),
      .layers = {test::put_bytes(store, text, manifest::media_type::oci_layer_gzip)},
      .artifact_type = "application/vnd.example.signature",
      .subject = subject.descriptor()};
  const Document document = Document::of(image);
  unwrap(put_referrer(store, document));
  return document;
}

class SyncTest : public ::testing::Test {
 protected:
  SyncResult run(SyncOptions options = {}) {
    return unwrap(sync(unwrap(sync_items(from_, "*")), to_, options, null_diagnostics()));
  }
  SyncResult dry_run() { return run({.dry_run = true}); }
  std::string digest_there(const std::string& repository, const std::string& tag) {
    const auto found = unwrap(to_[repository].resolve(tag));
    return found ? found->digest.str() : "";
  }
  static std::size_t at(const PlayedRepository& repository, const std::string& what) {
    const std::vector<std::string> seen = repository.seen();
    const auto found = std::ranges::find(seen, what);
    EXPECT_NE(found, seen.end()) << what;
    return static_cast<std::size_t>(found - seen.begin());
  }

  PlayedPlace from_{"from.example"};
  PlayedPlace to_{"to.example"};
};

TEST_F(SyncTest, BringsEverythingAndThenNothing) {
  const Document list = test::put_list(from_["team/app"], "v1");
  unwrap(from_["team/app"].put_manifest(list, "latest"));
  const Document other = put_plain(from_["other"], "layer", "v1");
  const SyncTotals done = run().totals();
  EXPECT_EQ(done.created, 3U);
  EXPECT_EQ(done.failures, 0U);
  EXPECT_EQ(digest_there("team/app", "v1"), list.digest().str());
  EXPECT_EQ(digest_there("team/app", "latest"), list.digest().str());
  EXPECT_EQ(digest_there("other", "v1"), other.digest().str());
  const SyncTotals again = run().totals();
  EXPECT_EQ(again.same, 3U);
  EXPECT_EQ(again.created + again.moved + again.blobs_uploaded + again.blobs_existed, 0U);
}

TEST_F(SyncTest, ATagThatStandsCostsOneQuestionThere) {
  for (int i = 0; i < 40; ++i) {
    put_plain(from_["app"], "layer " + std::to_string(i), "v" + std::to_string(i));
  }
  run();
  const std::size_t before = to_["app"].seen().size();
  run({.referrers = false});
  EXPECT_EQ(to_["app"].seen().size() - before, 41U);  // and one for the listing
}

TEST_F(SyncTest, BlobsThatAnotherRepositoryGotAreMounted) {
  const std::string large(100'000, 'x');
  for (const std::string name : {"a", "b", "c"}) {
    put_plain(from_[name], large, "v1");
  }
  const SyncTotals done = run({.jobs = 3}).totals();
  EXPECT_EQ(done.bytes_uploaded, large.size() + 3 * 2);
  EXPECT_EQ(done.blobs_mounted, 2U);
}

TEST_F(SyncTest, WhoWaitsForABlobBringsItWhenTheOtherFails) {
  const std::string large(100'000, 'x');
  put_plain(from_["a"], large, "v1");
  put_plain(from_["b"], large, "v1");
  to_["a"].hook = [](const std::string& what) -> Result<void> {
    return what.starts_with("BLOB") ? Result<void>(fail(ErrorCode::io, "no")) : Result<void>();
  };
  const SyncResult done = run({.jobs = 2});
  EXPECT_EQ(done.totals().failures, 1U);
  EXPECT_NE(digest_there("b", "v1"), "");
}

TEST_F(SyncTest, OneFailureStopsNothingElse) {
  std::set<std::string> bad;
  for (int i = 0; i < 70; ++i) {
    const std::string layer = "layer " + std::to_string(i);
    put_plain(from_["app"], layer, "v" + std::to_string(i));
    if (i % 30 == 7) {
      bad.insert("BLOB " + Digest::of(layer).str());
    }
  }
  put_plain(from_["other"], "layer", "v1");
  to_["app"].hook = [&](const std::string& what) -> Result<void> {
    return bad.contains(what) ? Result<void>(fail(ErrorCode::verification, "broken"))
                              : Result<void>();
  };
  const SyncResult done = run();
  EXPECT_EQ(done.totals().failures, bad.size());
  EXPECT_EQ(done.totals().created, 71U - bad.size());
  for (const SyncedRepository& one : done.repositories) {
    for (const SyncFailure& failure : one.failures) {
      EXPECT_THAT(failure.what, HasSubstr("app:v"));
      EXPECT_EQ(failure.error.code(), ErrorCode::verification);
    }
  }
  EXPECT_EQ(digest_there("app", "v7"), "");
  EXPECT_NE(digest_there("app", "v8"), "");
}

TEST_F(SyncTest, APlaceThatTakesNothingIsGivenUp) {
  for (int i = 0; i < 50; ++i) {
    put_plain(from_["app"], "layer " + std::to_string(i), "v" + std::to_string(i));
  }
  to_["app"].hook = [](const std::string& what) -> Result<void> {
    return what.starts_with("BLOB") ? Result<void>(fail(ErrorCode::unauthorized, "not you"))
                                    : Result<void>();
  };
  const SyncResult done = run();
  EXPECT_THAT(done.totals().failures, Lt(6U));
  EXPECT_THAT(done.repositories[0].failures.back().error.message(), HasSubstr("are not tried"));
}

TEST_F(SyncTest, MovesTagsUnlessToldNotTo) {
  put_plain(from_["app"], "old", "v1");
  run();
  const std::string old = digest_there("app", "v1");
  const Document moved = put_plain(from_["app"], "new", "v1");
  const SyncResult kept = run({.overwrite = false});
  ASSERT_EQ(kept.totals().kept, 1U);
  EXPECT_EQ(kept.repositories[0].kept[0].previous->str(), old);
  EXPECT_EQ(digest_there("app", "v1"), old);
  EXPECT_EQ(run().totals().moved, 1U);
  EXPECT_EQ(digest_there("app", "v1"), moved.digest().str());
}

TEST_F(SyncTest, RemovesOnlyWhatTheSourceSurelyLacks) {
  put_plain(from_["app"], "one", "v1");
  put_plain(from_["app"], "two", "v2");
  run();
  put_plain(to_["app"], "own", "own");
  put_plain(to_["app"], "list", referrers_tag(Digest::of("some")));
  EXPECT_EQ(run().totals().removed, 0U);
  EXPECT_EQ(run({.remove = true, .dry_run = true}).totals().removed, 1U);
  EXPECT_NE(digest_there("app", "own"), "");
  from_["app"].hook = [](const std::string& what) -> Result<void> {
    return what == "HEAD v2" ? Result<void>(fail(ErrorCode::protocol, "?")) : Result<void>();
  };
  EXPECT_EQ(run({.remove = true}).totals().removed, 0U) << "although something has failed";
  from_["app"].hook = [](const std::string& what) -> Result<void> {
    return what == "LIST" ? Result<void>(fail(ErrorCode::protocol, "?")) : Result<void>();
  };
  EXPECT_EQ(run({.remove = true}).totals().removed, 0U) << "although the listing has failed";
  from_["app"].hook = {};
  EXPECT_EQ(run({.exclude = {"ow*"}, .remove = true}).totals().removed, 0U);
  EXPECT_EQ(run({.remove = true}).totals().removed, 1U);
  EXPECT_EQ(digest_there("app", "own"), "");
  EXPECT_NE(digest_there("app", referrers_tag(Digest::of("some"))), "");
  unwrap(from_["app"].remove_tag("v1"));
  unwrap(from_["app"].remove_tag("v2"));
  const SyncResult empty = run({.remove = true});
  EXPECT_EQ(empty.totals().removed, 0U);
  ASSERT_EQ(empty.totals().failures, 1U);
  EXPECT_NE(digest_there("app", "v1"), "");
}

TEST_F(SyncTest, WhatRefersToAnImageIsThereBeforeItsTag) {
  const Document image = put_plain(from_["app"], "layer", "v1");
  const Document signature = put_signature(from_["app"], image, "signature");
  const Document of_signature = put_signature(from_["app"], signature, "of the signature");
  const std::string attached = referrers_tag(image.digest()) + ".sig";
  put_plain(from_["app"], "cosign's", attached);
  const SyncTotals done = run().totals();
  EXPECT_EQ(done.referrers, 2U);
  EXPECT_EQ(done.failures, 0U);
  const std::size_t tagged = at(to_["app"], "PUT v1");
  EXPECT_LT(at(to_["app"], "PUT " + signature.digest().str()), tagged);
  EXPECT_LT(at(to_["app"], "PUT " + of_signature.digest().str()), tagged);
  EXPECT_LT(at(to_["app"], "PUT " + attached), tagged);
  EXPECT_EQ(unwrap(to_["app"].referrers(image.digest())).size(), 1U);
  EXPECT_EQ(run().totals().referrers, 0U);
  put_signature(from_["app"], image, "another");
  EXPECT_EQ(run().totals().referrers, 1U);
}

TEST_F(SyncTest, AChosenTagComesWithWhatBelongsToIt) {
  const Document image = put_plain(from_["app"], "layer", "v1");
  put_plain(from_["app"], "other", "other");
  put_signature(from_["app"], image, "signature");
  put_plain(from_["app"], "cosign's", referrers_tag(image.digest()) + ".sig");
  const SyncTotals done = run({.tags = {"v*"}}).totals();
  EXPECT_EQ(done.created, 2U);
  EXPECT_EQ(done.referrers, 1U);
  EXPECT_EQ(digest_there("app", "other"), "");
}

TEST_F(SyncTest, WithoutReferrersNoneComes) {
  const Document image = put_plain(from_["app"], "layer", "v1");
  put_signature(from_["app"], image, "signature");
  put_plain(from_["app"], "cosign's", referrers_tag(image.digest()) + ".sig");
  const SyncTotals done = run({.referrers = false}).totals();
  EXPECT_EQ(done.created, 1U);
  EXPECT_EQ(done.referrers, 0U);
}

TEST_F(SyncTest, ATagWithoutItsSignatureStaysAway) {
  const Document image = put_plain(from_["app"], "layer", "v1");
  put_signature(from_["app"], image, "signature");
  from_["app"].hook = [](const std::string& what) -> Result<void> {
    return what.starts_with("REFERRERS") ? Result<void>(fail(ErrorCode::protocol, "?"))
                                         : Result<void>();
  };
  EXPECT_EQ(run().totals().failures, 1U);
  EXPECT_EQ(digest_there("app", "v1"), "");
}

TEST_F(SyncTest, ADryRunForeseesARunAndWritesNothing) {
  test::put_list(from_["a"], "v1");
  test::put_list(from_["b"], "v1");
  const Document image = put_plain(from_["b"], std::string(9000, 'x'), "big");
  put_signature(from_["b"], image, "signature");
  const SyncTotals foreseen = dry_run().totals();
  EXPECT_THAT(unwrap(to_.names()), IsEmpty());
  const SyncTotals done = run().totals();
  EXPECT_EQ(foreseen.created, done.created);
  EXPECT_EQ(foreseen.referrers, done.referrers);
  EXPECT_EQ(foreseen.blobs_mounted, done.blobs_mounted);
  EXPECT_EQ(foreseen.bytes_uploaded, done.bytes_uploaded);
  const SyncTotals left = dry_run().totals();
  EXPECT_EQ(left.created + left.moved + left.referrers + left.blobs_uploaded, 0U);
}

TEST_F(SyncTest, RepairFindsWhatWasLost) {
  const Document image = put_plain(from_["app"], "layer", "v1");
  unwrap(to_["app"].put_manifest(image, "v1"));  // its blobs are not there
  EXPECT_EQ(run().totals().blobs_uploaded, 0U);
  EXPECT_EQ(run({.repair = true}).totals().blobs_uploaded, 2U);
}

TEST_F(SyncTest, StopsWhenAsked) {
  for (int i = 0; i < 50; ++i) {
    put_plain(from_["app"], "layer " + std::to_string(i), "v" + std::to_string(i));
  }
  std::stop_source stop;
  to_["app"].hook = [&](const std::string& what) -> Result<void> {
    if (what.starts_with("PUT")) {
      stop.request_stop();
    }
    return {};
  };
  const auto done =
      sync(unwrap(sync_items(from_, "*")), to_, {.stop = stop.get_token()}, null_diagnostics());
  EXPECT_THAT(done, fails_with(ErrorCode::cancelled));
  EXPECT_LT(to_["app"].count("PUT"), 50U);
}

TEST_F(SyncTest, ItemsThatCollideAreRefused) {
  put_plain(from_["app"], "layer", "v1");
  PlayedPlace other("other.example");
  put_plain(other["app"], "layer", "v1");
  const std::vector<SyncItem> items{{.from = &from_, .from_name = "app", .to_name = "app"},
                                    {.from = &other, .from_name = "app", .to_name = "app"}};
  EXPECT_THAT(sync(items, to_, {}, null_diagnostics()),
              fails_with(ErrorCode::invalid_argument, HasSubstr("would both become")));
  EXPECT_THAT(
      sync({{.from = &to_, .from_name = "app", .to_name = "app"}}, to_, {}, null_diagnostics()),
      fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(sync({{.from = &from_, .from_name = "app", .to_name = "../app"}}, to_, {},
                   null_diagnostics()),
              fails_with(ErrorCode::invalid_argument));
}

TEST_F(SyncTest, ItemsByPatternAndWithoutTheirPrefix) {
  for (const std::string name : {"team/a", "team/b", "other"}) {
    put_plain(from_[name], "layer", "v1");
  }
  std::vector<std::string> names;
  for (const SyncItem& item : unwrap(sync_items(from_, "team/*", "team/"))) {
    names.push_back(item.to_name);
  }
  EXPECT_THAT(names, ElementsAre("a", "b"));
  EXPECT_THAT(sync_items(from_, "*", "team/"), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(sync_items(from_, "absent/*"), fails_with(ErrorCode::not_found));
}

}  // namespace
}  // namespace fnimage::registry
