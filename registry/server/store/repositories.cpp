#include "store/repositories.hpp"

#include <algorithm>
#include <array>

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fnimage/registry/layout_reader.hpp>

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

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

/// Looks for layouts below a directory. What cannot be read is passed over: it may have gone.
class LayoutWalk {
 public:
  explicit LayoutWalk(std::vector<std::string>& found) : found_(found) {}

  void visit(int parent, const char* directory, const std::string& name) {
    const int handle =
        ::openat(parent, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (handle < 0) {
      return;
    }
    const std::unique_ptr<DIR, CloseDirectory> entries(::fdopendir(handle));
    if (!entries) {
      ::close(handle);
      return;
    }
    bool has_marker = false;
    bool has_index = false;
    std::vector<std::string> below;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this thread's own
    while (const dirent* entry = ::readdir(entries.get())) {
      const std::string_view file = entry->d_name;
      has_marker |= file == registry::layout_marker && is_a(*entry, handle, DT_REG);
      has_index |= file == registry::layout_index && is_a(*entry, handle, DT_REG);
      if (part_of_directory(file) && is_a(*entry, handle, DT_DIR)) {
        below.emplace_back(file);
      }
    }
    if (has_marker && has_index && !name.empty()) {
      found_.push_back(name);
    }
    for (const std::string& part : below) {
      std::string inner = (name.empty() ? "" : name + "/") + *part_of_directory(part);
      if (is_valid_repository(inner)) {
        visit(handle, part.c_str(), inner);
      }
    }
  }

 private:
  static bool is_a(const dirent& entry, int directory, unsigned char type) noexcept {
    if (entry.d_type != DT_UNKNOWN) {
      return entry.d_type == type;
    }
    struct stat status {};
    return ::fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           (type == DT_REG ? S_ISREG(status.st_mode) : S_ISDIR(status.st_mode));
  }

  std::vector<std::string>& found_;
};

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
  std::vector<std::string> found;
  LayoutWalk(found).visit(AT_FDCWD, root_.c_str(), {});
  std::ranges::sort(found);
  return found;
}

std::size_t Repositories::kept() const {
  const std::lock_guard lock(mutex_);
  return kept_.size();
}

}  // namespace fnimage::server
