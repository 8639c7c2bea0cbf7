// What a mirror says: Release files and their clear signatures (gpgv itself is not asked), package
// indexes and the tables that are made of them, also damaged ones; and what the host's apt says:
// sources and settings.
#include <algorithm>

#include "debian/apt_sources.hpp"
#include "debian/deb822.hpp"
#include "debian/package_table.hpp"
#include "debian/release.hpp"
#include "debian/signature.hpp"
#include "fuzz.hpp"

namespace fnimage::fuzz {
namespace {

using namespace source::debian;

void read_table(const std::string& bytes) {
  const auto table = PackageTable::open(bytes, nullptr);
  if (!succeeded(table)) {
    return;
  }
  std::vector<std::string_view> names;
  table->names(names);
  std::vector<IndexedPackage> packages;
  std::vector<Provider> providers;
  constexpr std::size_t most = 200;
  for (const std::string_view name : std::span(names).first(std::min(names.size(), most))) {
    table->versions(name, 0, packages);
    table->providers(name, 0, providers);
  }
  table->essential(0, packages);
  std::size_t sum = 0;
  for (const IndexedPackage& package : packages) {
    const std::string_view paragraph = package.paragraph;
    sum += static_cast<std::size_t>(std::count(paragraph.begin(), paragraph.end(), '\n'));
  }
  require(sum < SIZE_MAX, "paragraphs can be read");
}

void check_table(std::string_view text) {
  std::string bytes;
  StringWriter out(bytes);
  PackageTableWriter writer(out, "ppc64el", "input");
  std::vector<std::string> names;
  const auto added =
      for_each_paragraph(text, "input", [&](const Paragraph& paragraph) -> Result<void> {
        FNIMAGE_CHECK(writer.add(paragraph.text()));
        names.emplace_back(paragraph.get("Package"));
        return {};
      });
  if (!succeeded(added) || !succeeded(writer.finish())) {
    return;
  }
  const auto table = PackageTable::open(bytes, nullptr);
  require(succeeded(table), "a table that was written can be read");
  std::vector<std::string_view> found;
  table->names(found);
  std::sort(names.begin(), names.end());
  require(std::equal(names.begin(), names.end(), found.begin(), found.end()),
          "a table has every package");
  for (const std::string& name : names) {
    std::vector<IndexedPackage> versions;
    table->versions(name, 0, versions);
    require(!versions.empty() && versions.front().name == name, "packages are found by name");
  }
  // Damage of any kind gives wrong packages or none.
  for (std::size_t i = 0; i < 8 && !bytes.empty(); ++i) {
    std::string damaged = bytes;
    const std::size_t at = bytes.size() - 1 - (i * 7919) % bytes.size();
    damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1U << i));
    read_table(damaged);
  }
}

void check_release_text(std::string_view text) {
  const auto release = parse_release(text, "input");
  if (succeeded(release)) {
    succeeded(check_release(*release, {}, 1'700'000'000));
  }
}

void check_sources(std::string_view text) {
  for (const auto& sources :
       {parse_one_line_sources(text, "input"), parse_deb822_sources(text, "input")}) {
    if (succeeded(sources)) {
      for (const AptSource& source : *sources) {
        require(!source.uri.empty() && !source.suite.empty(), "sources have a place");
      }
    }
  }
  parse_apt_config(text);
}

}  // namespace
}  // namespace fnimage::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage::fuzz;
  const std::string text(text_of(data, size));
  check_release_text(text);
  if (const auto inside = fnimage::source::debian::unverified_text(text, "input");
      succeeded(inside)) {
    check_release_text(*inside);
  }
  succeeded(fnimage::source::debian::remove_armour(text));
  succeeded(fnimage::source::debian::judge_signatures(text, {}, "input"));
  check_table(text);
  read_table(text);
  check_sources(text);
  return 0;
}
