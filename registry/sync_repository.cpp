// See sync_repository.hpp.
#include "sync_repository.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/list_publisher.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/tagging.hpp>

namespace fnimage::registry {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

namespace {

/// Images that one transfer takes, so that what is held in memory is bounded.
constexpr std::size_t images_at_once = 32;
/// After so many failures in a row that speak of the place and not of the image, the rest of a
/// repository is not tried.
constexpr int hopeless = 3;

bool speaks_of_the_place(ErrorCode code) {
  switch (code) {
    case ErrorCode::unavailable:
    case ErrorCode::unauthorized:
    case ErrorCode::rate_limited:
    case ErrorCode::no_space:
    case ErrorCode::permission_denied:
    case ErrorCode::tls:
      return true;
    default:
      return false;
  }
}

/// What refers to images, cosign's tags among it, before the images: whoever sees a tag finds what
/// belongs to it.
int rank(const SyncRoot& root) {
  const bool attached = std::ranges::any_of(
      root.moved, [](const SyncedTag& tag) { return is_companion_tag(tag.tag); });
  return root.is_untagged ? 0 : attached ? 1 : 2;
}

}  // namespace

Result<SyncedRepository> RepositorySync::go() {
  result_.from = item_.from->describe(item_.from_name);
  result_.to = run_.to.describe(item_.to_name);
  const auto task = run_.diagnostics.begin(result_.to, 0);
  if (auto done = attempt(); !done) {
    FNIMAGE_CHECK(note_failure(item_.from_name, std::move(done).error()));
  }
  if (sharing_) {
    const SharingStore::Counts counts = sharing_->counts();
    result_.blobs_uploaded += counts.uploaded;
    result_.blobs_mounted += counts.mounted;
    result_.blobs_existed += counts.existed;
    result_.bytes_uploaded += counts.bytes_uploaded;
  }
  result_.referrers = referrers_.size();
  task->finish(!result_.failures.empty() ? "failed" : result_.is_same() ? "same" : "done");
  return std::move(result_);
}

Result<void> RepositorySync::attempt() {
  FNIMAGE_TRY(from_, item_.from->open(item_.from_name, RepositorySet::Mode::read));
  FNIMAGE_TRY(to_, open_destination());
  WorkerPool pool(std::max<std::size_t>(run_.options.parallel, 1), run_.options.stop);
  FNIMAGE_TRY(SyncPlan plan, make_sync_plan(item_, *from_, *to_, run_.options, pool));
  std::ranges::stable_sort(plan.roots, {}, rank);
  result_.kept = std::move(plan.kept);
  result_.same = plan.same;
  for (SyncFailure& failure : plan.failures) {
    FNIMAGE_CHECK(note_failure(std::move(failure.what), std::move(failure.error)));
  }
  return run_.options.dry_run ? foresee(plan, pool) : carry_out(plan);
}

/// A dry run makes no directories.
Result<std::unique_ptr<OpenRepository>> RepositorySync::open_destination() {
  const bool dry = run_.options.dry_run;
  auto opened =
      run_.to.open(item_.to_name, dry ? RepositorySet::Mode::read : RepositorySet::Mode::write);
  if (!opened && dry && opened.error().code() == ErrorCode::not_found) {
    return open_repository(make_memory_store(item_.to_name));
  }
  return opened;
}

Result<void> RepositorySync::carry_out(const SyncPlan& plan) {
  sharing_ = std::make_unique<SharingStore>(*to_, run_.blobs);
  FNIMAGE_CHECK(send_all(plan.roots));
  return remove(plan.removed);
}

Result<void> RepositorySync::send_all(Roots roots) {
  while (!roots.empty()) {
    FNIMAGE_CHECK(require_not_stopped(run_.options.stop));
    const Roots some = roots.first(std::min(roots.size(), images_at_once));
    roots = roots.subspan(some.size());
    auto sent = send(some);
    if (sent) {
      failures_in_a_row_ = 0;
      std::ranges::for_each(some, [this](const SyncRoot& root) { note_sent(root); });
    } else if (sent.error().code() == ErrorCode::cancelled) {
      return sent;
    } else {
      FNIMAGE_CHECK(send_each(some, roots.size()));
    }
  }
  return {};
}

/// One of them has failed: the others must not fail with it.
Result<void> RepositorySync::send_each(Roots roots, std::size_t left) {
  for (std::size_t i = 0; i < roots.size(); ++i) {
    auto sent = send(roots.subspan(i, 1));
    if (sent) {
      failures_in_a_row_ = 0;
      note_sent(roots[i]);
      continue;
    }
    const ErrorCode code = sent.error().code();
    FNIMAGE_CHECK(note_failure(sync_name(item_.from_name, roots[i]), std::move(sent).error()));
    failures_in_a_row_ = last_failure_ == code ? failures_in_a_row_ + 1 : 1;
    last_failure_ = code;
    const std::size_t untried = roots.size() - i - 1 + left;
    if (speaks_of_the_place(code) && failures_in_a_row_ >= hopeless && untried > 0) {
      return fail(code, fmt::format("{} more images are not tried", untried));
    }
  }
  return {};
}

Result<void> RepositorySync::send(Roots roots) {
  std::vector<Destination> destinations;
  for (const SyncRoot& root : roots) {
    if (root.stands() && (!run_.options.repair || root.same.empty())) {
      continue;
    }
    Destination& one = destinations.emplace_back(Destination{.selector = root.descriptor.digest,
                                                             .store = sharing_.get(),
                                                             .repair = run_.options.repair});
    if (root.referrers.empty()) {
      std::ranges::transform(root.moved, std::back_inserter(one.tags), &SyncedTag::tag);
    }
    if (run_.options.repair) {
      one.tags.insert(one.tags.end(), root.same.begin(), root.same.end());
    }
  }
  FNIMAGE_CHECK(
      transfer_all(from_->store(), destinations, run_.options.parallel, run_.diagnostics));
  for (const SyncRoot& root : roots) {
    FNIMAGE_CHECK(send_referrers(root));
  }
  return to_->flush();
}

/// What refers to an image is there before a tag says that the image is.
Result<void> RepositorySync::send_referrers(const SyncRoot& root) {
  if (root.referrers.empty()) {
    return {};
  }
  FNIMAGE_CHECK(copy_companions(from_->store(), {.referrers = root.referrers}, *sharing_,
                                run_.options.parallel, run_.diagnostics));
  if (root.moved.empty()) {
    return {};
  }
  std::vector<std::string> tags;
  std::ranges::transform(root.moved, std::back_inserter(tags), &SyncedTag::tag);
  FNIMAGE_TRY(const Document document, from_->store().get_manifest(root.descriptor.digest));
  return sharing_->put_tags(document, tags);
}

void RepositorySync::note_sent(const SyncRoot& root) {
  result_.moved.insert(result_.moved.end(), root.moved.begin(), root.moved.end());
  result_.untagged += root.is_untagged ? 1U : 0U;
  for (const auto& [subject, referrers] : root.referrers) {
    for (const Descriptor& referrer : referrers) {
      referrers_.insert(referrer.digest);
    }
  }
}

/// Only when all else is well: what is there may be all that is left of something.
Result<void> RepositorySync::remove(const std::vector<std::string>& tags) {
  for (const std::string& tag : result_.failures.empty() ? tags : std::vector<std::string>()) {
    FNIMAGE_CHECK(require_not_stopped(run_.options.stop));
    auto removed = remove_single_tag(to_->store(), tag);
    if (removed) {
      result_.removed.push_back({.tag = tag, .digest = *removed, .previous = *removed});
    } else if (removed.error().code() != ErrorCode::not_found) {
      FNIMAGE_CHECK(note_failure(fmt::format("{}:{}", result_.to, printable(tag)),
                                 std::move(removed).error()));
    }
  }
  return {};
}

Result<void> RepositorySync::foresee(const SyncPlan& plan, WorkerPool& pool) {
  std::ranges::for_each(plan.roots, [this](const SyncRoot& root) { note_sent(root); });
  TaskGroup group(pool);
  for (const SyncRoot& root : plan.roots) {
    group.run([this, &root]() -> Result<void> {
      auto seen = foresee(root);
      if (!seen && seen.error().code() != ErrorCode::cancelled) {
        const std::lock_guard lock(mutex_);
        return note_failure(sync_name(item_.from_name, root), std::move(seen).error());
      }
      return seen;
    });
  }
  FNIMAGE_CHECK(group.wait());
  for (const std::string& tag :
       result_.failures.empty() ? plan.removed : std::vector<std::string>()) {
    FNIMAGE_TRY(const auto standing, to_->store().resolve(tag));
    if (standing) {
      result_.removed.push_back(
          {.tag = tag, .digest = standing->digest, .previous = standing->digest});
    }
  }
  return {};
}

Result<void> RepositorySync::foresee(const SyncRoot& root) {
  ImageParts parts;
  if (!root.stands()) {
    FNIMAGE_CHECK(parts.add(from_->store(), root.descriptor.digest));
  }
  for (const auto& [subject, referrers] : root.referrers) {
    for (const Descriptor& referrer : referrers) {
      FNIMAGE_CHECK(parts.add(from_->store(), referrer.digest));
    }
  }
  for (const Descriptor& blob : parts.blobs()) {
    FNIMAGE_TRY(const bool there, to_->store().has_blob(blob));
    foresee_blob(blob, there);
  }
  return {};
}

/// As a run would do it: a blob that another repository gets is mounted, if that is worth it.
void RepositorySync::foresee_blob(const Descriptor& blob, bool is_there) {
  const std::lock_guard lock(mutex_);
  if (is_there || !foreseen_.insert(blob.digest).second) {
    result_.blobs_existed += is_there ? 1U : 0U;
    return;
  }
  const std::lock_guard all(run_.mutex);
  if (blob.size >= SharingStore::worth_sharing && !run_.foreseen.insert(blob.digest).second) {
    ++result_.blobs_mounted;
    return;
  }
  ++result_.blobs_uploaded;
  result_.bytes_uploaded += blob.size;
}

Result<void> RepositorySync::note_failure(std::string what, Error error) {
  if (error.code() == ErrorCode::cancelled) {
    return fail(std::move(error));
  }
  result_.failures.push_back({std::move(what), std::move(error)});
  return {};
}

}  // namespace fnimage::registry
