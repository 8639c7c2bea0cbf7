#include "sync_report.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

#include "json_text.hpp"

namespace fnimage::cli {

namespace {

using nlohmann::ordered_json;
using registry::SyncedRepository;
using registry::SyncedTag;
using registry::SyncTotals;

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string tag_line(std::string_view what, const SyncedRepository& repository,
                     const SyncedTag& tag) {
  return fmt::format("{:<7} {}:{}@{}\n", what, repository.to, printable(tag.tag), tag.digest.str());
}

std::string repository_text(const SyncedRepository& one) {
  std::string text;
  for (const SyncedTag& tag : one.moved) {
    text += tag_line(tag.previous ? "moved" : "new", one, tag);
  }
  for (const SyncedTag& tag : one.kept) {
    text += tag_line("kept", one, tag);
  }
  for (const SyncedTag& tag : one.removed) {
    text += tag_line("removed", one, tag);
  }
  if (one.untagged > 0) {
    text += fmt::format("{:<7} {}: {} without a tag\n", "new", one.to,
                        counted(one.untagged, "manifest", "manifests"));
  }
  return text;
}

bool is_nothing(const SyncTotals& sum) {
  return sum.created + sum.moved + sum.removed + sum.untagged + sum.referrers == 0 &&
         sum.blobs_uploaded + sum.blobs_mounted == 0;
}

std::string sum_text(const SyncTotals& sum, bool is_dry_run) {
  std::string text = fmt::format("{}: {} new, {} moved, {} there already",
                                 counted(sum.repositories, "repository", "repositories"),
                                 counted(sum.created, "tag", "tags"), sum.moved, sum.same);
  text += sum.kept > 0 ? fmt::format(", {} kept", sum.kept) : "";
  text += sum.removed > 0 ? fmt::format(", {} removed", sum.removed) : "";
  text += sum.untagged > 0
              ? fmt::format("; {} without a tag", counted(sum.untagged, "manifest", "manifests"))
              : "";
  text += sum.referrers > 0 ? "; " + counted(sum.referrers, "referrer", "referrers") : "";
  text += fmt::format("\nblobs: {} {} ({}), {} mounted, {} there already\n", sum.blobs_uploaded,
                      is_dry_run ? "to copy" : "copied", human_size(sum.bytes_uploaded),
                      sum.blobs_mounted, sum.blobs_existed);
  return text;
}

ordered_json tags_json(const std::vector<SyncedTag>& tags) {
  ordered_json all = ordered_json::array();
  for (const SyncedTag& tag : tags) {
    all.push_back(
        {{"tag", tag.tag},
         {"digest", tag.digest.str()},
         {"previous", tag.previous ? ordered_json(tag.previous->str()) : ordered_json()}});
  }
  return all;
}

ordered_json failures_json(const SyncedRepository& one) {
  ordered_json all = ordered_json::array();
  for (const registry::SyncFailure& failure : one.failures) {
    all.push_back({{"what", failure.what},
                   {"code", to_string(failure.error.code())},
                   {"message", failure.error.describe()},
                   {"hint", failure.error.hint()}});
  }
  return all;
}

ordered_json repository_json(const SyncedRepository& one) {
  return {{"source", one.from},
          {"destination", one.to},
          {"moved", tags_json(one.moved)},
          {"kept", tags_json(one.kept)},
          {"removed", tags_json(one.removed)},
          {"same", one.same},
          {"untagged", one.untagged},
          {"referrers", one.referrers},
          {"blobsUploaded", one.blobs_uploaded},
          {"blobsMounted", one.blobs_mounted},
          {"blobsExisted", one.blobs_existed},
          {"bytesUploaded", one.bytes_uploaded},
          {"failures", failures_json(one)}};
}

}  // namespace

std::string sync_text(const registry::SyncResult& result, bool is_dry_run) {
  const SyncTotals sum = result.totals();
  std::string text;
  for (const SyncedRepository& one : result.repositories) {
    text += repository_text(one);
  }
  text += is_dry_run ? "would be done, " : "";
  text += sum_text(sum, is_dry_run);
  if (is_dry_run && sum.failures == 0 && is_nothing(sum)) {
    text += sum.kept == 0 ? "nothing is left to do\n"
                          : "nothing is left to do but the tags that are kept\n";
  }
  return text;
}

ordered_json sync_json(const registry::SyncResult& result, bool is_dry_run) {
  const SyncTotals sum = result.totals();
  ordered_json repositories = ordered_json::array();
  for (const SyncedRepository& one : result.repositories) {
    repositories.push_back(repository_json(one));
  }
  return {{"dryRun", is_dry_run},
          {"repositories", std::move(repositories)},
          {"totals",
           {{"repositories", sum.repositories},
            {"new", sum.created},
            {"moved", sum.moved},
            {"kept", sum.kept},
            {"removed", sum.removed},
            {"same", sum.same},
            {"untagged", sum.untagged},
            {"referrers", sum.referrers},
            {"blobsUploaded", sum.blobs_uploaded},
            {"blobsMounted", sum.blobs_mounted},
            {"blobsExisted", sum.blobs_existed},
            {"bytesUploaded", sum.bytes_uploaded},
            {"failures", sum.failures}}}};
}

Error sync_error(const registry::SyncResult& result) {
  std::size_t incomplete = 0;
  const Error* first = nullptr;
  for (const SyncedRepository& one : result.repositories) {
    incomplete += one.failures.empty() ? 0U : 1U;
    if (first == nullptr && !one.failures.empty()) {
      first = &one.failures.front().error;
    }
  }
  return Error(first == nullptr ? ErrorCode::internal : first->code(),
               fmt::format("{} of {} {} not complete", incomplete,
                           counted(result.repositories.size(), "repository", "repositories"),
                           incomplete == 1 ? "is" : "are"))
      .with_hint("run the same command again: what is there already is not sent again");
}

}  // namespace fnimage::cli
