// A store that has blobs by name only, and notes what is asked of it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/store.hpp"

namespace fnimage::server {

class FakeStore final : public Store {
 public:
  void add(const std::string& name, const manifest::Digest& blob) {
    repositories_[name] = std::make_shared<FakeRepository>(*this, name, blob);
  }

  Result<std::vector<std::string>> repositories() override {
    std::vector<std::string> names;
    for (const auto& [name, repository] : repositories_) {
      names.push_back(name);
    }
    return names;
  }
  Result<std::shared_ptr<Repository>> find(const std::string& name) override {
    const auto found = repositories_.find(name);
    return found == repositories_.end() ? nullptr : found->second;
  }
  Result<std::shared_ptr<Repository>> create(const std::string& name) override {
    return std::make_shared<FakeRepository>(*this, name, std::nullopt);
  }

  Result<std::shared_ptr<Upload>> begin_upload(const std::string& /*repository*/,
                                               const std::string& owner,
                                               std::string_view /*algorithm*/) override {
    owners.push_back(owner);
    return std::make_shared<FakeUpload>();
  }
  Result<std::shared_ptr<Upload>> find_upload(const std::string& /*id*/,
                                              const std::string& /*repository*/,
                                              const std::string& owner) override {
    owners.push_back(owner);
    return nullptr;
  }
  Result<bool> remove_upload(const std::string& /*id*/, const std::string& /*repository*/,
                             const std::string& owner) override {
    owners.push_back(owner);
    return false;
  }
  void remove_uploads_of(const std::string& /*owner*/) override {}
  void expire_uploads() override {}

  std::vector<std::string> owners{};  ///< whose uploads were begun or asked for
  std::vector<std::string> mounts{};  ///< repositories that blobs were mounted from

 private:
  class FakeUpload final : public Upload {
   public:
    [[nodiscard]] const std::string& id() const noexcept override { return id_; }
    [[nodiscard]] std::uint64_t size() const noexcept override { return 0; }
    Result<std::unique_ptr<Writing>> begin() override {
      return fail(ErrorCode::unsupported, "a fake");
    }

   private:
    std::string id_ = "f00";
  };

  class FakeRepository final : public Repository {
   public:
    FakeRepository(FakeStore& store, std::string name, std::optional<manifest::Digest> blob)
        : store_(store), name_(std::move(name)), blob_(std::move(blob)) {}
    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    Result<std::optional<StoredManifest>> manifest(
        const registry::Selector& /*selector*/) override {
      return std::nullopt;
    }
    Result<Outcome> put_manifest(const NewManifest& /*manifest*/,
                                 const Condition& /*condition*/) override {
      return Outcome::done;
    }
    Result<Outcome> remove_tag(const std::string& /*tag*/,
                               const Condition& /*condition*/) override {
      return Outcome::absent;
    }
    Result<Outcome> remove_manifest(const manifest::Digest& /*digest*/,
                                    const Condition& /*condition*/) override {
      return Outcome::absent;
    }
    Result<std::shared_ptr<const std::vector<std::string>>> tags() override {
      return std::make_shared<const std::vector<std::string>>();
    }
    Result<std::vector<manifest::Descriptor>> referrers(
        const manifest::Digest& /*digest*/) override {
      return std::vector<manifest::Descriptor>();
    }
    Result<std::optional<std::shared_ptr<const OpenFile>>> blob(
        const manifest::Digest& /*digest*/) override {
      return std::nullopt;
    }
    [[nodiscard]] std::optional<std::uint64_t> blob_size(
        const manifest::Digest& digest) const override {
      return blob_ == digest ? std::optional<std::uint64_t>(1) : std::nullopt;
    }
    Result<Outcome> remove_blob(const manifest::Digest& /*digest*/) override {
      return Outcome::absent;
    }
    Result<bool> mount(const manifest::Digest& /*digest*/, Repository& from) override {
      store_.mounts.push_back(from.name());
      return true;
    }

   private:
    FakeStore& store_;
    std::string name_;
    std::optional<manifest::Digest> blob_;
  };

  std::map<std::string, std::shared_ptr<Repository>> repositories_{};
};

}  // namespace fnimage::server
