// What the tests of sync() share: places with repositories in memory that act as registries do,
// note what is put, and fail where a test says so.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/sync.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "forwarding_store.hpp"

namespace fnimage::registry {

/// A repository of the registry "registry.example".
class PlayedRepository final : public ForwardingStore {
 public:
  PlayedRepository(std::string name, std::shared_ptr<ImageStore> content)
      : ForwardingStore(*content), name_(std::move(name)), content_(std::move(content)) {}

  [[nodiscard]] std::string describe() const override { return "registry.example/" + name_; }
  [[nodiscard]] std::optional<RepositoryName> repository() const override {
    return RepositoryName{"registry.example", name_};
  }
  Result<std::optional<manifest::Descriptor>> resolve(const Selector& selector) override {
    FNIMAGE_CHECK(act("HEAD " + to_string(selector)));
    return below().resolve(selector);
  }
  Result<manifest::Document> get_manifest(const Selector& selector) override {
    FNIMAGE_CHECK(act("GET " + to_string(selector)));
    return below().get_manifest(selector);
  }
  Result<void> put_manifest(const manifest::Document& document,
                            const std::optional<std::string>& tag) override {
    FNIMAGE_CHECK(act("PUT " + tag.value_or(document.digest().str())));
    return below().put_manifest(document, tag);
  }
  Result<void> put_tags(const manifest::Document& document,
                        const std::vector<std::string>& tags) override {
    return ImageStore::put_tags(document, tags);
  }
  Result<BlobOutcome> put_blob(const manifest::Descriptor& blob, const Content& content,
                               const PutBlobOptions& options) override {
    FNIMAGE_CHECK(act((options.mount_from ? "MOUNT " : "BLOB ") + blob.digest.str()));
    FNIMAGE_TRY(const BlobOutcome outcome, below().put_blob(blob, content, options));
    return options.mount_from && outcome == BlobOutcome::uploaded ? BlobOutcome::mounted : outcome;
  }
  Result<std::vector<std::string>> tags() override {
    FNIMAGE_CHECK(act("LIST"));
    return below().tags();
  }
  Result<void> remove_tag(const std::string& tag) override {
    FNIMAGE_CHECK(act("DELETE " + tag));
    return below().remove_tag(tag);
  }
  Result<std::vector<manifest::Descriptor>> referrers(const manifest::Digest& digest) override {
    FNIMAGE_CHECK(act("REFERRERS " + digest.str()));
    return below().referrers(digest);
  }

  /// Asked before everything that is done.
  std::function<Result<void>(const std::string&)> hook{};
  std::vector<std::string> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  std::size_t count(std::string_view beginning) const {
    std::size_t count = 0;
    for (const std::string& one : seen()) {
      count += one.starts_with(beginning) ? 1U : 0U;
    }
    return count;
  }

 private:
  Result<void> act(std::string what) {
    if (hook) {
      FNIMAGE_CHECK(hook(what));
    }
    const std::lock_guard lock(mutex_);
    seen_.push_back(std::move(what));
    return {};
  }

  std::string name_;
  std::shared_ptr<ImageStore> content_;
  mutable std::mutex mutex_;
  std::vector<std::string> seen_;
};

class PlayedPlace final : public RepositorySet {
 public:
  explicit PlayedPlace(std::string name) : name_(std::move(name)) {}

  [[nodiscard]] std::string describe(const std::string& name) const override {
    return name_ + "/" + name;
  }
  Result<std::vector<std::string>> names() override {
    std::vector<std::string> all;
    for (const auto& [name, repository] : repositories_) {
      all.push_back(name);
    }
    return all;
  }
  Result<std::unique_ptr<OpenRepository>> open(const std::string& name, Mode mode) override {
    const std::lock_guard lock(mutex_);
    if (mode == Mode::read && !repositories_.contains(name)) {
      return fail(ErrorCode::not_found, "no " + name);
    }
    return open_repository(find(name));
  }
  PlayedRepository& operator[](const std::string& name) {
    const std::lock_guard lock(mutex_);
    return *find(name);
  }

 private:
  std::shared_ptr<PlayedRepository> find(const std::string& name) {
    std::shared_ptr<PlayedRepository>& known = repositories_[name];
    if (!known) {
      known = std::make_shared<PlayedRepository>(name, make_memory_store(name));
    }
    return known;
  }

  std::string name_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<PlayedRepository>> repositories_;
};

}  // namespace fnimage::registry
