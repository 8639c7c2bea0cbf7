// See the header. A reader that starts in the middle reads and hashes what is before it too: only
// so can it know at the end that its bytes were right.
#include "blob_content.hpp"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace fnimage::registry::detail {

namespace {

class VerifiedContent final : public Content {
 public:
  VerifiedContent(ContentPtr inner, manifest::Digest digest, std::string what)
      : inner_(std::move(inner)), digest_(std::move(digest)), what_(std::move(what)) {}

  [[nodiscard]] std::uint64_t size() const noexcept override { return inner_->size(); }

  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    if (offset > size()) {
      return fail(ErrorCode::invalid_argument, "offset is beyond the end of " + what_);
    }
    FNIMAGE_TRY(std::unique_ptr<Reader> source, inner_->open());
    std::unique_ptr<Reader> reader =
        manifest::verifying_reader(std::move(source), digest_, size(), what_);
    FNIMAGE_CHECK(skip(*reader, offset));
    return reader;
  }

 private:
  static Result<void> skip(Reader& reader, std::uint64_t count) {
    constexpr std::uint64_t chunk = std::uint64_t{64} * 1024;
    std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(count, chunk)));
    while (count > 0) {
      const auto wanted = static_cast<std::size_t>(std::min(count, chunk));
      FNIMAGE_TRY(const std::size_t got, reader.read(MutableBytes(buffer).first(wanted)));
      if (got == 0) {
        return {};  // cannot be: the verifying reader fails before it ends early
      }
      count -= got;
    }
    return {};
  }

  ContentPtr inner_;
  manifest::Digest digest_;
  std::string what_;
};

class LazyBlob final : public Content {
 public:
  LazyBlob(ImageStore& from, manifest::Descriptor blob) : from_(from), blob_(std::move(blob)) {}

  [[nodiscard]] std::uint64_t size() const noexcept override { return blob_.size; }

  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    FNIMAGE_TRY(const ContentPtr content, get());
    return content->open(offset);
  }

  [[nodiscard]] std::optional<std::filesystem::path> file() const override {
    const Result<ContentPtr> content = get();
    return content ? (*content)->file() : std::nullopt;
  }

 private:
  [[nodiscard]] Result<ContentPtr> get() const {
    const std::lock_guard lock(mutex_);
    if (!content_) {
      FNIMAGE_TRY(content_, from_.blob(blob_));
    }
    return content_;
  }

  ImageStore& from_;
  manifest::Descriptor blob_;
  mutable std::mutex mutex_;
  mutable ContentPtr content_;
};

}  // namespace

ContentPtr verified_content(ContentPtr inner, manifest::Digest digest, std::string what) {
  return std::make_shared<VerifiedContent>(std::move(inner), std::move(digest), std::move(what));
}

ContentPtr lazy_blob(ImageStore& from, manifest::Descriptor blob) {
  return std::make_shared<LazyBlob>(from, std::move(blob));
}

}  // namespace fnimage::registry::detail
