// Grouping of packages by name and by what they provide, see index.hpp. One pass with memchr over
// the text, which is the whole cost of a warm start. Thread-safety: no shared state.
#include "debian/index.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/deb822.hpp"
#include "debian/dependency.hpp"
#include "debian/version.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::size_t max_packages = 2'000'000;

bool take_prefix(std::string_view line, std::string_view prefix, std::string_view& value) {
  if (!line.starts_with(prefix)) {
    return false;
  }
  value = trim(line.substr(prefix.size()));
  return true;
}

IndexedPackage scan_paragraph(std::string_view paragraph, std::uint32_t origin) {
  IndexedPackage package{
      .name = {}, .version = {}, .provides = {}, .paragraph = paragraph, .origin = origin};
  std::string_view rest = paragraph;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.empty()) {
      continue;
    }
    std::string_view value;
    if (line.front() == 'P') {
      if (!take_prefix(line, "Package:", package.name)) {
        take_prefix(line, "Provides:", package.provides);
      }
    } else if (line.front() == 'V') {
      take_prefix(line, "Version:", package.version);
    } else if (line.front() == 'E' && take_prefix(line, "Essential:", value)) {
      package.essential = value == "yes";
    }
  }
  return package;
}

}  // namespace

Result<std::shared_ptr<const PackageIndex>> PackageIndex::build(std::string architecture,
                                                                std::vector<Part> parts) {
  auto index = std::make_shared<PackageIndex>();
  index->architecture_ = std::move(architecture);
  index->parts_ = std::move(parts);
  FNIMAGE_CHECK(index->scan());
  FNIMAGE_CHECK(index->group());
  return index;
}

Result<void> PackageIndex::scan() {
  for (std::uint32_t origin = 0; origin < parts_.size(); ++origin) {
    const auto on_paragraph = [&](std::string_view paragraph) -> Result<void> {
      const IndexedPackage package = scan_paragraph(paragraph, origin);
      if (package.name.empty() || package.version.empty() || packages_.size() >= max_packages) {
        return fail(
            ErrorCode::invalid_input,
            fmt::format(
                "package index of {}: paragraph {} has no package and version, or there are "
                "too many",
                parts_[origin].base_url, packages_.size() + 1));
      }
      packages_.push_back(package);
      return {};
    };
    FNIMAGE_CHECK(for_each_paragraph(parts_[origin].text, on_paragraph));
  }
  return {};
}

Result<void> PackageIndex::group() {
  std::stable_sort(packages_.begin(), packages_.end(),
                   [](const IndexedPackage& a, const IndexedPackage& b) {
                     if (const int order = a.name.compare(b.name); order != 0) {
                       return order < 0;
                     }
                     return compare_versions(a.version, b.version) > 0;
                   });
  by_name_.reserve(packages_.size());
  for (std::uint32_t i = 0; i < packages_.size(); ++i) {
    Range& range = by_name_.try_emplace(packages_[i].name, Range{i, 0}).first->second;
    ++range.count;
    if (range.count > 1 || packages_[i].provides.empty()) {
      continue;
    }
    FNIMAGE_TRY(const auto provided,
                parse_dependencies(packages_[i].provides, architecture_,
                                   fmt::format("package {}: Provides", packages_[i].name)));
    for (const Clause& clause : provided) {
      providers_[clause.front().name].push_back({&packages_[i], clause.front().version});
    }
  }
  return {};
}

std::span<const IndexedPackage> PackageIndex::versions(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return {};
  }
  return std::span(packages_).subspan(found->second.begin, found->second.count);
}

std::span<const Provider> PackageIndex::providers(std::string_view name) const {
  const auto found = providers_.find(name);
  return found == providers_.end() ? std::span<const Provider>{} : std::span(found->second);
}

std::vector<const IndexedPackage*> PackageIndex::essential() const {
  std::vector<const IndexedPackage*> result;
  for (const IndexedPackage& package : packages_) {
    if (package.essential && &versions(package.name).front() == &package) {
      result.push_back(&package);
    }
  }
  return result;
}

std::vector<std::string_view> PackageIndex::names() const {
  std::vector<std::string_view> result;
  result.reserve(by_name_.size());
  for (const IndexedPackage& package : packages_) {
    if (result.empty() || result.back() != package.name) {
      result.push_back(package.name);
    }
  }
  return result;
}

}  // namespace fnimage::source::debian
