#include "serve_layout.hpp"

#include <string>
#include <utility>

#include <fnimage/base/stream.hpp>
#include <fnimage/registry/layout_reader.hpp>
#include <fnimage/registry/reading_store.hpp>

namespace fnimage::cli {

namespace {

constexpr const char* layout_name = "this repository";

class LookedAtFiles final : public registry::LayoutFiles {
 public:
  explicit LookedAtFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}
  [[nodiscard]] std::string describe() const override { return layout_name; }
  [[nodiscard]] Result<ContentPtr> content(const std::string& name) const override {
    auto file = file_content(directory_ / name);
    if (!file) {
      return fail(file.error().code(), std::string(layout_name) + " does not have " + name);
    }
    return std::move(*file);
  }

 private:
  std::filesystem::path directory_;
};

}  // namespace

Result<std::unique_ptr<registry::ImageStore>> open_layout_to_look(
    const std::filesystem::path& directory) {
  registry::LayoutReader reader(std::make_shared<LookedAtFiles>(directory),
                                registry::layout_index_limits);
  FNIMAGE_CHECK(reader.check_version());
  return registry::reading_store(std::move(reader),
                                 Error(ErrorCode::unsupported, "it is only looked at"));
}

}  // namespace fnimage::cli
