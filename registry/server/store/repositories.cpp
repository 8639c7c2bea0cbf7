#include "store/repositories.hpp"

#include <algorithm>
#include <array>

#include <sys/resource.h>

#include <fnimage/registry/layout_reader.hpp>
#include <fnimage/registry/layout_tree.hpp>

#include "store/names.hpp"
#include "store/plain_directory.hpp"

namespace fnimage::server {

namespace fs = std::filesystem;

namespace {

/// Each repository in memory holds up to two files open.
std::size_t affordable(std::size_t wanted) noexcept {
  constexpr std::size_t fewest = 16;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) {
    return wanted;
  }
  return std::min(wanted, std::max<std::size_t>(files.rlim_cur / 4, fewest));
}

bool is_layout_directory(const fs::path& directory) noexcept {
  return FileStamp::of(directory / registry::layout_marker) &&
         FileStamp::of(directory / registry::layout_index);
}

}  // namespace

Repositories::Repositories(fs::path root, const StoreLimits& limits)
    : root_(std::move(root)),
      cache_(std::make_shared<ManifestCache>(limits.manifest_bytes)),
      limit_(affordable(limits.repositories)),
      limits_(limits) {}

std::shared_ptr<DiskRepository> Repositories::known(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return nullptr;
  }
  kept_.splice(kept_.begin(), kept_, found->second);
  return *found->second;
}

std::shared_ptr<DiskRepository> Repositories::object(const std::string& name) {
  auto made = std::make_shared<DiskRepository>(name, root_, cache_, limits_);
  const std::lock_guard lock(mutex_);
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    return *found->second;
  }
  kept_.push_front(made);
  by_name_.emplace(name, kept_.begin());
  forget_some();
  return made;
}

/// Only those that nobody else holds: copies are made under the mutex, or from other copies.
void Repositories::forget_some() {
  for (auto one = kept_.end(); kept_.size() > limit_ && one != kept_.begin();) {
    --one;
    if (one->use_count() == 1) {
      by_name_.erase((*one)->name());
      one = kept_.erase(one);
    }
  }
}

Result<std::shared_ptr<DiskRepository>> Repositories::find(const std::string& name) {
  if (auto repository = known(name)) {
    return repository->exists() ? repository : nullptr;
  }
  const fs::path relative = path_of_repository(name);
  if (!are_plain_directories(root_, relative) || !is_layout_directory(root_ / relative)) {
    return std::shared_ptr<DiskRepository>();
  }
  return object(name);
}

Result<std::shared_ptr<DiskRepository>> Repositories::create(const std::string& name) {
  auto repository = known(name);
  if (!repository) {
    repository = object(name);
  }
  FNIMAGE_CHECK(repository->begin_writing());
  return repository;
}

Result<std::vector<std::string>> Repositories::list() const {
  return registry::list_layouts(root_);
}

std::size_t Repositories::kept() const {
  const std::lock_guard lock(mutex_);
  return kept_.size();
}

}  // namespace fnimage::server
