// Images made entry by entry, and a small one that has nothing wrong with it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>

#include <fnimage/check/check.hpp>
#include <fnimage/layer/entry.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/test/elf_file.hpp>

namespace fnimage::check {

/// The entries of one layer.
class LayerOf {
 public:
  LayerOf& file(std::string_view path, std::string bytes, std::uint32_t mode = 0644);
  LayerOf& program(std::string_view path, std::string bytes) { return file(path, bytes, 0755); }
  LayerOf& link(std::string_view path, std::string text);
  LayerOf& hard_link(std::string_view path, std::string target);
  LayerOf& directory(std::string_view path);

  [[nodiscard]] const std::vector<layer::Entry>& entries() const noexcept { return entries_; }

 private:
  std::vector<layer::Entry> entries_;
};

/// A loader that knows Debian's default directories.
std::string loader_for(const test::ElfFile& like);

/// /usr/bin/app, the libraries that it needs, glibc's loader: Debian's directories with merged
/// /usr.
LayerOf good_layer();
manifest::ImageConfig good_config();

Report check_layers(const std::vector<LayerOf>& layers,
                    const manifest::ImageConfig& config = good_config(),
                    std::string_view platform = "linux/amd64");

/// The findings as "error library /usr/bin/app".
std::vector<std::string> briefly(const Report& report);

}  // namespace fnimage::check
