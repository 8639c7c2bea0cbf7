#include "store/store.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/file_lock.hpp>

#include "store/plain_directory.hpp"
#include "store/repositories.hpp"
#include "store/uploads.hpp"

namespace fnimage::server {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view server_lock = ".fnimage.server";

Result<void> check_repository_name(const std::string& name) {
  if (!is_valid_repository(name)) {
    return fail(ErrorCode::invalid_argument, "not a repository's name");
  }
  return {};
}

class DiskStore final : public Store {
 public:
  DiskStore(FileLock lock, std::shared_ptr<Repositories> repositories,
            std::shared_ptr<Uploads> uploads)
      : lock_(std::move(lock)),
        repositories_(std::move(repositories)),
        uploads_(std::move(uploads)) {}

  Result<std::vector<std::string>> repositories() override { return repositories_->list(); }

  Result<std::shared_ptr<Repository>> find(const std::string& name) override {
    FNIMAGE_CHECK(check_repository_name(name));
    FNIMAGE_TRY(auto found, repositories_->find(name));
    return std::shared_ptr<Repository>(std::move(found));
  }

  Result<std::shared_ptr<Repository>> create(const std::string& name) override {
    FNIMAGE_CHECK(check_repository_name(name));
    FNIMAGE_TRY(auto made, repositories_->create(name));
    return std::shared_ptr<Repository>(std::move(made));
  }

  Result<std::shared_ptr<Upload>> begin_upload(const std::string& repository,
                                               const std::string& owner,
                                               std::string_view algorithm) override {
    FNIMAGE_CHECK(check_repository_name(repository));
    if (algorithm != "sha256" && algorithm != "sha512") {
      return fail(ErrorCode::invalid_argument, "not sha256 or sha512");
    }
    FNIMAGE_TRY(auto upload, uploads_->begin({.repository = repository,
                                              .owner = owner,
                                              .algorithm = std::string(algorithm)}));
    return std::shared_ptr<Upload>(std::move(upload));
  }

  Result<std::shared_ptr<Upload>> find_upload(const std::string& id, const std::string& repository,
                                              const std::string& owner) override {
    return std::shared_ptr<Upload>(uploads_->find(id, repository, owner));
  }

  Result<bool> remove_upload(const std::string& id, const std::string& repository,
                             const std::string& owner) override {
    return uploads_->remove(id, repository, owner);
  }

  void remove_uploads_of(const std::string& owner) override { uploads_->remove_all_of(owner); }

  void expire_uploads() override { uploads_->expire(); }

  [[nodiscard]] StoreCounts counts() const override {
    return {.repositories = repositories_->kept(), .uploads = uploads_->count()};
  }

  Result<void> check() override { return uploads_->check(); }

 private:
  FileLock lock_;
  std::shared_ptr<Repositories> repositories_;
  std::shared_ptr<Uploads> uploads_;
};

/// Not even the age of a blob is written.
StoreLimits without_refreshing(StoreLimits limits) {
  limits.refresh_age = std::chrono::milliseconds::max();
  return limits;
}

/// A store in which nothing is changed.
class ReadOnlyStore final : public Store {
 public:
  ReadOnlyStore(fs::path root, const StoreLimits& limits)
      : root_(std::move(root)), repositories_(root_, without_refreshing(limits)) {}

  Result<std::vector<std::string>> repositories() override { return repositories_.list(); }
  Result<std::shared_ptr<Repository>> find(const std::string& name) override {
    FNIMAGE_CHECK(check_repository_name(name));
    FNIMAGE_TRY(auto found, repositories_.find(name));
    return std::shared_ptr<Repository>(std::move(found));
  }
  Result<std::shared_ptr<Repository>> create(const std::string& /*name*/) override {
    return refuse();
  }
  Result<std::shared_ptr<Upload>> begin_upload(const std::string& /*repository*/,
                                               const std::string& /*owner*/,
                                               std::string_view /*algorithm*/) override {
    return refuse();
  }
  Result<std::shared_ptr<Upload>> find_upload(const std::string& /*id*/,
                                              const std::string& /*repository*/,
                                              const std::string& /*owner*/) override {
    return std::shared_ptr<Upload>();
  }
  Result<bool> remove_upload(const std::string& /*id*/, const std::string& /*repository*/,
                             const std::string& /*owner*/) override {
    return false;
  }
  void remove_uploads_of(const std::string& /*owner*/) override {}
  void expire_uploads() override {}

  [[nodiscard]] StoreCounts counts() const override {
    return {.repositories = repositories_.kept()};
  }
  Result<void> check() override {
    std::error_code error;
    const fs::directory_iterator entries(root_, error);
    if (error) {
      return fail(error_from_errno(error.value(), "read " + root_.string()));
    }
    return {};
  }

 private:
  static tl::unexpected<Error> refuse() {
    return fail(ErrorCode::permission_denied, "the store is for reading only");
  }

  const fs::path root_;
  Repositories repositories_;
};

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const fs::path& directory, const StoreLimits& limits,
                                           StoreMode mode) {
  if (mode == StoreMode::read_write) {
    FNIMAGE_CHECK(make_directories(directory));
  }
  // What leads to the store may be links; what is in it may not.
  std::error_code error;
  const fs::path root = fs::canonical(directory, error);
  if (error) {
    return fail(error_from_errno(error.value(), "open " + directory.string()));
  }
  if (mode == StoreMode::read_only) {
    auto store = std::make_unique<ReadOnlyStore>(root, limits);
    FNIMAGE_CHECK(store->check());
    return store;
  }
  FNIMAGE_CHECK(refuse_other_than_file(root / server_lock));
  FNIMAGE_TRY(auto lock, FileLock::try_acquire(root / server_lock));
  if (!lock) {
    return fail(ErrorCode::already_exists,
                fmt::format("{} is served by another process already", root.string()),
                "stop that server, or name another directory");
  }
  auto repositories = std::make_shared<Repositories>(root, limits);
  FNIMAGE_TRY(auto uploads, Uploads::open(root / uploads_directory, repositories, limits));
  return std::make_unique<DiskStore>(std::move(*lock), std::move(repositories), std::move(uploads));
}

}  // namespace fnimage::server
