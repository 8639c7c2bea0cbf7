// See repository_set.hpp.
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/layout_tree.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/repository_set.hpp>

#include "layout_repository.hpp"

namespace fnimage::registry {

namespace fs = std::filesystem;

namespace {

class PlainRepository final : public OpenRepository {
 public:
  explicit PlainRepository(std::shared_ptr<ImageStore> store) : store_(std::move(store)) {}

  ImageStore& store() override { return *store_; }
  Result<TagListing> tags() override {
    FNIMAGE_TRY(const std::vector<std::string> names, store_->tags());
    TagListing listing;
    for (const std::string& name : names) {
      listing.emplace(name, std::nullopt);
    }
    return listing;
  }
  Result<std::vector<manifest::Descriptor>> untagged() override {
    return std::vector<manifest::Descriptor>();
  }
  Result<bool> stands(const manifest::Digest& digest) override {
    FNIMAGE_TRY(const auto found, store_->resolve(digest));
    return found.has_value();
  }
  Result<void> flush() override { return {}; }

 private:
  std::shared_ptr<ImageStore> store_;
};

class RegistryRepositories final : public RepositorySet {
 public:
  RegistryRepositories(Client& client, std::string registry, const std::string& prefix)
      : client_(client),
        registry_(std::move(registry)),
        prefix_(prefix.empty() ? std::string() : prefix + "/") {}

  [[nodiscard]] std::string describe(const std::string& name) const override {
    return registry_ + "/" + prefix_ + name;
  }
  Result<std::vector<std::string>> names() override {
    FNIMAGE_TRY(const std::vector<std::string> all, client_.repositories(registry_));
    std::vector<std::string> names;
    for (const std::string& name : all) {
      if (name.starts_with(prefix_)) {
        names.push_back(name.substr(prefix_.size()));
      }
    }
    return names;
  }
  Result<std::unique_ptr<OpenRepository>> open(const std::string& name, Mode /*mode*/) override {
    if (!is_valid_repository(prefix_ + name)) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("not a repository: {}", printable(prefix_ + name)));
    }
    FNIMAGE_TRY(const auto reference, manifest::Reference::parse(describe(name)));
    FNIMAGE_TRY(std::shared_ptr<ImageStore> store, client_.repository(reference));
    return open_repository(std::move(store));
  }

 private:
  Client& client_;
  std::string registry_;
  std::string prefix_;
};

class DirectoryRepositories final : public RepositorySet {
 public:
  explicit DirectoryRepositories(fs::path directory) : directory_(std::move(directory)) {}

  [[nodiscard]] std::string describe(const std::string& name) const override {
    return fmt::format("oci:{}", (directory_ / name).string());
  }
  Result<std::vector<std::string>> names() override {
    std::error_code error;
    if (!fs::is_directory(directory_, error)) {
      return fail(ErrorCode::not_found, fmt::format("no directory {}", directory_.string()));
    }
    return list_layouts(directory_);
  }
  Result<std::unique_ptr<OpenRepository>> open(const std::string& name, Mode mode) override {
    if (!is_valid_repository(name)) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("not a repository: {}", printable(name)));
    }
    FNIMAGE_TRY(const fs::path layout, mode == Mode::write ? make_layout_in(directory_, name)
                                                           : find_layout(directory_, name));
    FNIMAGE_TRY(auto opened, OciLayout::open(layout, OciLayout::Mode::existing));
    return std::make_unique<LayoutRepository>(std::move(opened));
  }

 private:
  fs::path directory_;
};

}  // namespace

std::unique_ptr<RepositorySet> registry_repositories(Client& client, std::string registry,
                                                     const std::string& prefix) {
  return std::make_unique<RegistryRepositories>(client, std::move(registry), prefix);
}

std::unique_ptr<RepositorySet> directory_repositories(fs::path directory) {
  return std::make_unique<DirectoryRepositories>(std::move(directory));
}

std::unique_ptr<OpenRepository> open_repository(std::shared_ptr<ImageStore> store) {
  return std::make_unique<PlainRepository>(std::move(store));
}

}  // namespace fnimage::registry
