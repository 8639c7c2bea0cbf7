// What is needed is told without a lock. Under it, a few files at a time, it is looked whether
// index.json names more now, and the garbage loses its names; its bytes go afterwards.
#include "store/repository_garbage.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <thread>
#include <utility>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "store/plain_directory.hpp"

namespace fnimage::server {

namespace fs = std::filesystem;

using manifest::Digest;
using SteadyClock = std::chrono::steady_clock;

namespace {

constexpr std::size_t garbage_at_once = 256;  ///< files that are looked for at a time
constexpr std::chrono::milliseconds longest_hold{2};
/// Manifests that are read under the lock, so that those who put some are not in the way for ever.
constexpr std::size_t most_read_under_lock = 16;
constexpr int most_tries = 20;

/// Whoever waits for the lock gets it now.
void let_others_in(SteadyClock::duration held) {
  constexpr SteadyClock::duration shortest = std::chrono::milliseconds(1);
  std::this_thread::sleep_for(std::max(held, shortest));
}

/// The digests that an index names, also in places where it means nothing.
Result<std::vector<Digest>> digests_in_index(const std::string& text,
                                             const manifest::ListLimits& limits,
                                             const std::function<bool(std::string_view)>& is_new) {
  std::vector<Digest> found;
  if (text.find("\\u") != std::string::npos) {  // a digest may be written with escapes
    FNIMAGE_TRY(const auto content, IndexContent::parse(text, limits));
    for (const auto& entry : content->entries()) {
      if (is_new(entry->digest.str())) {
        found.push_back(entry->digest);
      }
    }
    return found;
  }
  for_each_digest(text, [&](std::string_view digest) {
    if (is_new(digest)) {
      if (auto parsed = Digest::parse(digest)) {
        found.push_back(std::move(*parsed));
      }
    }
  });
  return found;
}

}  // namespace

RepositoryGarbage::RepositoryGarbage(std::string name, const fs::path& layout,
                                     const GcOptions& options)
    : name_(std::move(name)),
      layout_(layout),
      options_(options),
      oldest_kept_(std::chrono::system_clock::now() - options.grace),
      blobs_(layout),
      index_(layout, registry::layout_index_limits),
      graph_(blobs_) {}

Result<void> RepositoryGarbage::collect() {
  FNIMAGE_CHECK(refuse_other_than_file(layout_ / registry::layout_lock_file));
  if (options_.removes_untagged) {
    FNIMAGE_CHECK(collect_untagged());
  } else {
    FNIMAGE_TRY(const auto content, read());
    for (const auto& entry : content->entries()) {
      graph_.keep(entry->digest.str());
    }
  }
  FNIMAGE_CHECK(remove_leftovers(layout_));
  if (!is_plain_directory(layout_ / "blobs")) {
    return {};
  }
  for (const std::string_view algorithm : {"sha256", "sha512"}) {
    FNIMAGE_CHECK(sweep(algorithm));
    FNIMAGE_CHECK(remove_leftovers(layout_ / "blobs" / algorithm));
  }
  return {};
}

/// Index.json, all of whose content the graph has read.
Result<IndexContent::Ptr> RepositoryGarbage::read(bool may_rest) {
  for (int tries = 1;; ++tries) {
    FNIMAGE_TRY(auto content, index_.current());
    const auto done = read_entries(*content, may_rest);
    if (done) {
      return content;
    }
    // Perhaps a manifest was removed after its entry was read.
    FNIMAGE_TRY(const auto now, index_.current());
    if (tries == most_tries || now->says_the_same_as(*content)) {
      return fail(done.error());
    }
  }
}

Result<void> RepositoryGarbage::read_entries(const IndexContent& content, bool may_rest) {
  constexpr std::chrono::milliseconds work_at_once(5);
  auto begin = SteadyClock::now();
  for (const auto& entry : content.entries()) {
    if (options_.stop.stop_requested()) {
      return fail(ErrorCode::cancelled, "stopped");
    }
    FNIMAGE_CHECK(graph_.read_entry(entry->digest));
    if (const auto worked = SteadyClock::now() - begin; worked > work_at_once) {
      if (may_rest && options_.is_gentle) {
        std::this_thread::sleep_for(worked);
      }
      begin = SteadyClock::now();
    }
  }
  return {};
}

bool RepositoryGarbage::is_old(const Digest& manifest) const {
  const auto stamp = FileStamp::of(blobs_.path_of(manifest));
  return stamp && FileAge(std::chrono::duration_cast<FileAge::duration>(
                      std::chrono::nanoseconds(stamp->modified))) < oldest_kept_;
}

/// Entries that nothing with a name reaches, and nothing that is young. What they do not need is
/// kept afterwards.
std::set<Digest> RepositoryGarbage::untagged(const IndexContent& content) {
  std::vector<Digest> roots;
  for (const auto& entry : content.entries()) {
    if (!entry->is_nameless || !is_old(entry->digest)) {
      roots.push_back(entry->digest);
    }
  }
  std::unordered_map<std::string, Digest> entries;
  for (const auto& entry : content.entries()) {
    entries.emplace(entry->digest.str(), entry->digest);
  }
  graph_.keep_nothing();
  graph_.keep_with_referrers(roots,
                             [&](const std::string& digest) { return entries.contains(digest); });
  std::set<Digest> garbage;
  for (const auto& [text, digest] : entries) {
    if (!graph_.is_kept(text)) {
      garbage.insert(digest);
    }
  }
  return garbage;
}

Result<void> RepositoryGarbage::collect_untagged() {
  if (options_.is_dry_run) {
    FNIMAGE_TRY(const auto content, read());
    untagged_ = untagged(*content);
    counts_.manifests = untagged_.size();
    return {};
  }
  for (int tries = 1;; ++tries) {
    FNIMAGE_TRY(const bool is_done, try_remove_untagged(tries == most_tries));
    if (is_done) {
      return {};
    }
    let_others_in(std::chrono::milliseconds(10));
  }
}

/// False: others have changed something meanwhile. The last try is made under the lock as a whole.
Result<bool> RepositoryGarbage::try_remove_untagged(bool is_last_try) {
  const auto lock_now = [this] { return FileLock::acquire(layout_ / registry::layout_lock_file); };
  std::optional<FileLock> lock;
  if (is_last_try) {
    FNIMAGE_TRY(lock, lock_now());
  }
  FNIMAGE_TRY(const auto content, read(!is_last_try));
  auto garbage = untagged(*content);
  if (garbage.empty()) {
    return true;
  }
  IndexDraft draft(content, index_.limits());
  draft.remove_manifests(garbage);
  if (!lock) {
    FNIMAGE_TRY(lock, lock_now());
    FNIMAGE_TRY(const auto now, index_.current());
    if (now != content) {
      return false;
    }
  }
  // Somebody may have been told just now that one of them is there.
  if (!std::ranges::all_of(garbage, [this](const Digest& one) { return is_old(one); })) {
    return false;
  }
  FNIMAGE_CHECK(index_.write(draft.result()));
  counts_.manifests = garbage.size();
  untagged_ = std::move(garbage);
  return true;
}

/// Keeps what index.json names now, too. False: more than `most` manifests would have to be read.
/// Who changes index.json without the lock, in place, may be overlooked: see gc.hpp.
Result<bool> RepositoryGarbage::catch_up(std::size_t most) {
  FNIMAGE_TRY(auto file, OpenFile::open(layout_ / registry::layout_index));
  const auto stamp = FileStamp::of(file->descriptor());
  if (followed_ && stamp == followed_stamp_) {
    return true;
  }
  if (file->size() > index_.limits().max_bytes) {
    return fail(ErrorCode::invalid_input, "index.json is too large");
  }
  FNIMAGE_TRY(const std::string text, file->read_text(0, file->size()));
  FNIMAGE_TRY(const auto fresh,
              digests_in_index(text, index_.limits(), [this](std::string_view digest) {
                return !graph_.is_kept(digest);
              }));
  if (fresh.size() > most) {
    return false;
  }
  for (const Digest& digest : fresh) {
    FNIMAGE_CHECK(graph_.read({digest, false}));
    graph_.keep(digest.str());
  }
  followed_ = std::move(file);
  followed_stamp_ = stamp;
  return true;
}

Result<void> RepositoryGarbage::sweep(std::string_view algorithm) {
  FNIMAGE_TRY(const auto files, GarbageFiles::open(layout_ / "blobs" / algorithm, oldest_kept_));
  if (!files) {
    return {};
  }
  Result<void> removed;
  std::vector<OldFile> garbage;
  FNIMAGE_CHECK(files->for_each([&](const std::string& name) {
    const auto digest = Digest::parse(std::string(algorithm) + ":" + name);
    if (!digest || graph_.is_kept(digest->str())) {
      return true;
    }
    if (auto old = files->find_old(name)) {
      garbage.push_back(std::move(*old));
    }
    if (garbage.size() == garbage_at_once) {
      removed = remove(*files, algorithm, std::exchange(garbage, {}));
    }
    return removed.has_value() && !options_.stop.stop_requested();
  }));
  FNIMAGE_CHECK(removed);
  return remove(*files, algorithm, std::move(garbage));
}

Result<void> RepositoryGarbage::remove(const GarbageFiles& files, std::string_view algorithm,
                                       std::vector<OldFile> garbage) {
  if (options_.is_dry_run) {
    std::ranges::for_each(garbage, [&](const OldFile& file) { count_blob(algorithm, file); });
    return {};
  }
  while (!garbage.empty() && !options_.stop.stop_requested()) {
    std::vector<OldFile> gone;
    const auto begin = SteadyClock::now();
    const auto done = set_aside(files, garbage, algorithm, gone);
    const auto held = SteadyClock::now() - begin;
    for (OldFile& file : gone) {
      FNIMAGE_TRY(file.bytes, files.drop(file.name));
      count_blob(algorithm, file);
    }
    FNIMAGE_CHECK(done);
    let_others_in(held);
  }
  return {};
}

/// Takes names away for a bounded time.
Result<void> RepositoryGarbage::set_aside(const GarbageFiles& files, std::vector<OldFile>& garbage,
                                          std::string_view algorithm, std::vector<OldFile>& gone) {
  // Read without the lock first, however much it is.
  FNIMAGE_CHECK(catch_up(std::numeric_limits<std::size_t>::max()));
  FNIMAGE_TRY(const FileLock lock, FileLock::acquire(layout_ / registry::layout_lock_file));
  const auto begin = SteadyClock::now();
  FNIMAGE_TRY(const bool has_all, catch_up(most_read_under_lock));
  if (!has_all) {
    return {};
  }
  while (!garbage.empty() && SteadyClock::now() - begin < longest_hold) {
    const OldFile file = std::move(garbage.back());
    garbage.pop_back();
    if (graph_.is_kept(std::string(algorithm) + ":" + file.name)) {
      continue;
    }
    FNIMAGE_TRY(const bool is_aside, files.set_aside(file.name));
    if (is_aside) {
      gone.push_back(file);
    }
  }
  return {};
}

void RepositoryGarbage::count_blob(std::string_view algorithm, const OldFile& file) {
  const auto digest = Digest::parse(std::string(algorithm) + ":" + file.name);
  const bool is_manifest = digest && untagged_.contains(*digest);  // counted with its entry
  counts_.blobs += is_manifest ? 0U : 1U;
  counts_.bytes += file.bytes;
  if (options_.found) {
    options_.found({.kind = is_manifest ? GarbageItem::Kind::manifest : GarbageItem::Kind::blob,
                    .repository = name_,
                    .name = std::string(algorithm) + ":" + file.name,
                    .bytes = file.bytes});
  }
}

Result<void> RepositoryGarbage::remove_leftovers(const fs::path& directory) {
  FNIMAGE_TRY(const auto files, GarbageFiles::open(directory, oldest_kept_));
  if (!files) {
    return {};
  }
  return files->for_each([&](const std::string& name) {
    const auto old = name.starts_with(".tmp-") ? files->find_old(name) : std::nullopt;
    std::error_code error;
    if (old && is_stale_temporary(directory / name) &&
        (options_.is_dry_run || fs::remove(directory / name, error))) {
      ++counts_.leftovers;
      counts_.bytes += old->bytes;
      if (options_.found) {
        options_.found({.kind = GarbageItem::Kind::temporary,
                        .repository = name_,
                        .name = name,
                        .bytes = old->bytes});
      }
    }
    return true;
  });
}

}  // namespace fnimage::server
