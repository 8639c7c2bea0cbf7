// See mirrors.hpp.
#include "mirrors.hpp"

#include <filesystem>
#include <utility>

#include <fnimage/base/atomic_file.hpp>

#include "repository_store.hpp"

namespace fnimage::registry {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t most_in_memory = std::uint64_t{4} << 20;

/// Whether an error says that the mirror is of no use, not only that it lacks something or that
/// this machine is in trouble.
bool is_fault_of_mirror(ErrorCode code) {
  switch (code) {
    case ErrorCode::unavailable:
    case ErrorCode::tls:
    case ErrorCode::protocol:
    case ErrorCode::rate_limited:
    case ErrorCode::verification:
    case ErrorCode::invalid_input:
      return true;
    default:
      return false;
  }
}

/// A file that goes away with its content.
class SpooledContent final : public Content {
 public:
  SpooledContent(AtomicFile file, std::uint64_t size)
      : file_(std::move(file)), slice_(file_slice(file_.temporary_path(), 0, size)) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return slice_->size(); }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    return slice_->open(offset);
  }

 private:
  AtomicFile file_;
  ContentPtr slice_;
};

/// Reads all of it, verified, before anybody else does.
Result<ContentPtr> fetch(const Content& content) {
  FNIMAGE_TRY(const auto reader, content.open());
  if (content.size() <= most_in_memory) {
    FNIMAGE_TRY(std::string bytes, read_all(*reader, content.size()));
    return memory_content(std::move(bytes));
  }
  std::error_code error;
  const fs::path directory = fs::temp_directory_path(error);
  FNIMAGE_TRY(AtomicFile file, AtomicFile::create(error ? fs::path("/tmp") : directory));
  FNIMAGE_CHECK(copy(*reader, file));
  return std::make_shared<SpooledContent>(std::move(file), content.size());
}

class MirroredBlob final : public Content {
 public:
  MirroredBlob(std::vector<Mirrors::Mirror> mirrors, manifest::Descriptor blob, ContentPtr origin)
      : mirrors_(std::move(mirrors)), blob_(std::move(blob)), origin_(std::move(origin)) {}

  [[nodiscard]] std::uint64_t size() const noexcept override { return origin_->size(); }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    return best().open(offset);
  }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open_unverified(
      std::uint64_t offset) const override {
    return best().open_unverified(offset);
  }

 private:
  [[nodiscard]] const Content& best() const {
    const std::lock_guard lock(mutex_);
    for (; !local_ && next_ < mirrors_.size(); ++next_) {
      local_ = from(mirrors_[next_]);
    }
    return local_ ? *local_ : *origin_;
  }

  [[nodiscard]] ContentPtr from(const Mirrors::Mirror& mirror) const {
    if (!mirror.host->is_usable()) {
      return nullptr;
    }
    auto content = mirror.store->blob(blob_);
    auto fetched = content ? fetch(**content) : std::move(content);
    if (!fetched) {
      mirror.host->failed(fetched.error());
      return nullptr;
    }
    return *fetched;
  }

  std::vector<Mirrors::Mirror> mirrors_;
  manifest::Descriptor blob_;
  ContentPtr origin_;
  mutable std::mutex mutex_;
  mutable ContentPtr local_;      // guarded by mutex_; stays once it is there
  mutable std::size_t next_ = 0;  // guarded by mutex_; the mirror to ask next
};

}  // namespace

bool MirrorHost::is_usable() {
  const std::lock_guard lock(mutex_);
  if (!reached_) {
    reached_ = true;
    if (const auto url = session_->url("/v2/"); !url) {
      failed(url.error());
    }
  }
  return usable_;
}

void MirrorHost::failed(const Error& error) {
  if (is_fault_of_mirror(error.code())) {
    if (usable_.exchange(false)) {
      session_->warn("mirror " + session_->registry() +
                     " is left out from here on: " + error.message());
    }
  } else if (error.code() != ErrorCode::cancelled) {
    session_->debug("mirror " + session_->registry() + ": " + error.message());
  }
}

Mirrors::Mirrors(const std::vector<Place>& places) {
  for (const Place& place : places) {
    mirrors_.push_back(
        {place.host, make_repository_store(place.host->session(), place.repository)});
  }
}

std::optional<manifest::Document> Mirrors::get_manifest(const manifest::Digest& digest) {
  for (const Mirror& mirror : mirrors_) {
    if (!mirror.host->is_usable()) {
      continue;
    }
    auto document = mirror.store->get_manifest(digest);
    if (document) {
      return std::move(*document);
    }
    mirror.host->failed(document.error());
  }
  return std::nullopt;
}

ContentPtr Mirrors::blob(const manifest::Descriptor& blob, ContentPtr origin) const {
  return std::make_shared<MirroredBlob>(mirrors_, blob, std::move(origin));
}

}  // namespace fnimage::registry
