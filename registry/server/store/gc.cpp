#include <algorithm>
#include <utility>

#include <fnimage/server/gc.hpp>

#include "store/names.hpp"
#include "store/plain_directory.hpp"
#include "store/repositories.hpp"
#include "store/repository_garbage.hpp"
#include "store/uploads.hpp"

namespace fnimage::server {

namespace fs = std::filesystem;

namespace {

/// When an upload's last byte came, as far as its files tell.
FileAge last_use_of(const fs::path& upload) {
  std::error_code error;
  std::chrono::nanoseconds last{0};
  for (const auto* file : {"data", "session"}) {
    if (const auto stamp = FileStamp::of(upload / file)) {
      last = std::max(last, std::chrono::nanoseconds(stamp->modified));
    }
  }
  // Without these two it is just being made, or was: the directory tells.
  const auto made = std::chrono::file_clock::to_sys(fs::last_write_time(upload, error));
  return std::max(FileAge(std::chrono::duration_cast<FileAge::duration>(last)),
                  error ? FileAge::max() : std::chrono::time_point_cast<FileAge::duration>(made));
}

/// Uploads whose time is up. A server that runs ends its own in time: here are those of servers
/// that do not run any more, and a running one takes it well if an upload is gone.
void collect_uploads(const fs::path& directory, const GcOptions& options, GarbageCounts& counts) {
  constexpr std::chrono::hours margin(1);
  const FileAge oldest = std::chrono::system_clock::now() - StoreLimits{}.upload_lifetime - margin;
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!is_plain_directory(entry->path()) || last_use_of(entry->path()) >= oldest) {
      continue;
    }
    const auto data = FileStamp::of(entry->path() / "data");
    std::error_code ignored;
    if (!options.is_dry_run && fs::remove_all(entry->path(), ignored) == 0) {
      continue;
    }
    const GarbageItem item{.kind = GarbageItem::Kind::upload,
                           .repository = {},
                           .name = entry->path().filename().string(),
                           .bytes = data ? data->size : 0};
    ++counts.leftovers;
    counts.bytes += item.bytes;
    if (options.found) {
      options.found(item);
    }
  }
}

/// Nullopt: it has gone, or the collection was stopped.
std::optional<CollectedRepository> collect_repository(const fs::path& root, const std::string& name,
                                                      const GcOptions& options) {
  const fs::path relative = path_of_repository(name);
  if (!are_plain_directories(root, relative)) {
    return std::nullopt;
  }
  RepositoryGarbage garbage(name, root / relative, options);
  const auto done = garbage.collect();
  CollectedRepository result{.name = name, .counts = garbage.counts()};
  if (!done) {
    if (done.error().code() == ErrorCode::cancelled || !fs::exists(root / relative)) {
      return std::nullopt;
    }
    result.problem = done.error().describe();
    if (!done.error().hint().empty()) {
      result.problem += "; " + done.error().hint();
    }
  }
  return result;
}

}  // namespace

GarbageCounts& GarbageCounts::operator+=(const GarbageCounts& other) noexcept {
  manifests += other.manifests;
  blobs += other.blobs;
  leftovers += other.leftovers;
  bytes += other.bytes;
  return *this;
}

Result<GcReport> collect_garbage(const fs::path& store, const GcOptions& options) {
  std::error_code error;
  const fs::path root = fs::canonical(store, error);
  if (error) {
    return fail(error_from_errno(error.value(), "open " + store.string()));
  }
  FNIMAGE_TRY(const auto names, Repositories(root, {}).list());
  GcReport report;
  for (const std::string& name : names) {
    if (options.stop.stop_requested()) {
      return report;
    }
    const auto collected = collect_repository(root, name, options);
    if (!collected) {
      continue;
    }
    ++report.repositories;
    report.skipped += collected->problem.empty() ? 0U : 1U;
    report.counts += collected->counts;
    if (options.done) {
      options.done(*collected);
    }
  }
  if (is_plain_directory(root / uploads_directory)) {
    collect_uploads(root / uploads_directory, options, report.counts);
  }
  return report;
}

}  // namespace fnimage::server
