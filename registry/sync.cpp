// sync(): the repositories of one run, some at a time.
#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/pattern.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/layout_tree.hpp>
#include <fnimage/registry/sync.hpp>

#include "sync_repository.hpp"

namespace fnimage::registry {

namespace {

constexpr std::size_t most_jobs = 32;

Result<void> check_items(const std::vector<SyncItem>& items, const RepositorySet& to) {
  std::map<std::string, std::string> sources;
  for (const SyncItem& item : items) {
    const std::string from = item.from->describe(item.from_name);
    if (!is_valid_repository(item.to_name)) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("{} cannot be called {}", printable(from), printable(item.to_name)),
                  "repositories have lower-case letters, digits and . _ - / in their names");
    }
    if (from == to.describe(item.to_name)) {
      return fail(ErrorCode::invalid_argument, fmt::format("{} is source and destination", from),
                  "name another destination");
    }
    const auto [other, is_new] = sources.try_emplace(item.to_name, from);
    if (!is_new) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("{} and {} would both become {}", other->second, from,
                              to.describe(item.to_name)),
                  "bring them along one after the other, with different destinations");
    }
  }
  return {};
}

}  // namespace

bool SyncedRepository::is_same() const {
  return moved.empty() && removed.empty() && untagged == 0 && referrers == 0 &&
         blobs_uploaded == 0 && blobs_mounted == 0;
}

SyncTotals SyncResult::totals() const {
  SyncTotals sum;
  sum.repositories = repositories.size();
  for (const SyncedRepository& one : repositories) {
    const auto elsewhere = static_cast<std::size_t>(std::ranges::count_if(
        one.moved, [](const SyncedTag& tag) { return tag.previous.has_value(); }));
    sum.moved += elsewhere;
    sum.created += one.moved.size() - elsewhere;
    sum.kept += one.kept.size();
    sum.removed += one.removed.size();
    sum.same += one.same;
    sum.untagged += one.untagged;
    sum.referrers += one.referrers;
    sum.blobs_uploaded += one.blobs_uploaded;
    sum.blobs_mounted += one.blobs_mounted;
    sum.blobs_existed += one.blobs_existed;
    sum.bytes_uploaded += one.bytes_uploaded;
    sum.failures += one.failures.size();
  }
  return sum;
}

Result<SyncResult> sync(const std::vector<SyncItem>& items, RepositorySet& to,
                        const SyncOptions& options, Diagnostics& diagnostics) {
  FNIMAGE_CHECK(check_items(items, to));
  SyncRun run{.options = options, .to = to, .diagnostics = diagnostics};
  SyncResult result;
  result.repositories.resize(items.size());
  WorkerPool pool(std::clamp<std::size_t>(options.jobs, 1, most_jobs), options.stop);
  TaskGroup group(pool);
  for (std::size_t i = 0; i < items.size(); ++i) {
    group.run([&, i]() -> Result<void> {
      FNIMAGE_TRY(result.repositories[i], RepositorySync(items[i], run).go());
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  return result;
}

Result<std::vector<SyncItem>> sync_items(RepositorySet& from, const std::string& pattern,
                                         const std::string& strip) {
  FNIMAGE_TRY(const std::vector<std::string> names, from.names());
  std::vector<SyncItem> items;
  for (const std::string& name : names) {
    if (!matches_pattern(pattern, name)) {
      continue;
    }
    if (!name.starts_with(strip) || name.size() == strip.size()) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("{} does not begin with {}", name, printable(strip)));
    }
    items.push_back({.from = &from,
                     .from_name = name,
                     .to_name = name.substr(strip.size()),
                     .is_listed = true});
  }
  if (items.empty()) {
    return fail(ErrorCode::not_found, fmt::format("no repository is called {}", printable(pattern)),
                names.empty() ? "there is none at all, or none that you may see"
                              : fmt::format("there are {} others", names.size()));
  }
  return items;
}

}  // namespace fnimage::registry
