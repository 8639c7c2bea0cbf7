#include "support.hpp"

#include <fmt/format.h>

#include <fnimage/test/result_matchers.hpp>

namespace fnimage::check {

using test::ElfFile;

LayerOf& LayerOf::file(std::string_view path, std::string bytes, std::uint32_t mode) {
  entries_.push_back({.path = std::string(path),
                      .mode = mode,
                      .content = bytes.empty() ? nullptr : memory_content(std::move(bytes))});
  return *this;
}

LayerOf& LayerOf::link(std::string_view path, std::string text) {
  entries_.push_back(
      {.path = std::string(path), .type = layer::EntryType::symlink, .link = std::move(text)});
  return *this;
}

LayerOf& LayerOf::hard_link(std::string_view path, std::string target) {
  entries_.push_back(
      {.path = std::string(path), .type = layer::EntryType::hardlink, .link = std::move(target)});
  return *this;
}

LayerOf& LayerOf::directory(std::string_view path) {
  entries_.push_back(
      {.path = std::string(path), .type = layer::EntryType::directory, .mode = 0755});
  return *this;
}

std::string loader_for(const ElfFile& like) {
  ElfFile loader = like;
  loader.soname = "ld-linux-x86-64.so.2";
  loader.padding = std::string(
      "\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0"
      "/usr/lib/\0\0\0",
      65);
  return loader.bytes();
}

LayerOf good_layer() {
  const ElfFile app{.interpreter = "/lib64/ld-linux-x86-64.so.2",
                    .needed = {"libx.so.1", "libc.so.6"},
                    .version_needs = {{"libc.so.6", {"GLIBC_2.34"}}}};
  const ElfFile library{.soname = "libx.so.1", .needed = {"libc.so.6"}};
  const ElfFile libc{.soname = "libc.so.6", .versions = {"GLIBC_2.17", "GLIBC_2.34"}};
  LayerOf layer;
  layer.link("bin", "usr/bin").link("lib", "usr/lib").link("lib64", "usr/lib64");
  layer.program("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", loader_for({}));
  layer.link("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
  layer.file("usr/lib/x86_64-linux-gnu/libc.so.6", libc.bytes());
  layer.file("usr/lib/x86_64-linux-gnu/libx.so.1.2", library.bytes());
  layer.link("usr/lib/x86_64-linux-gnu/libx.so.1", "libx.so.1.2");
  layer.program("usr/bin/app", app.bytes());
  return layer;
}

manifest::ImageConfig good_config() {
  manifest::ImageConfig config;
  config.platform = test::unwrap(manifest::Platform::parse("linux/amd64"));
  config.entrypoint = {"/usr/bin/app"};
  return config;
}

Report check_layers(const std::vector<LayerOf>& layers, const manifest::ImageConfig& config,
                    std::string_view platform) {
  ImageFiles files;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    files.add_layer(fmt::format("{}", i + 1), layers[i].entries());
  }
  return test::unwrap(
      check_image(files, config, test::unwrap(manifest::Platform::parse(platform))));
}

std::vector<std::string> briefly(const Report& report) {
  std::vector<std::string> lines;
  for (const Finding& finding : report.findings) {
    lines.push_back(fmt::format("{} {} {}", to_string(finding.level), finding.rule, finding.path));
  }
  return lines;
}

}  // namespace fnimage::check
