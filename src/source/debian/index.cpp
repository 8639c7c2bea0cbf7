// Tables of several suites as one, see index.hpp. Thread-safety: no shared state.
#include "debian/index.hpp"

#include <algorithm>

#include "debian/version.hpp"

namespace fnimage::source::debian {

std::vector<IndexedPackage> PackageIndex::versions(std::string_view name) const {
  std::vector<IndexedPackage> result;
  for (std::uint32_t part = 0; part < parts_.size(); ++part) {
    parts_[part].table.versions(name, part, result);
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const IndexedPackage& a, const IndexedPackage& b) {
                     return compare_versions(a.version, b.version) > 0;
                   });
  return result;
}

std::optional<IndexedPackage> PackageIndex::candidate(std::string_view name) const {
  const auto all = versions(name);
  const auto best = std::ranges::max_element(all, {}, [&](const IndexedPackage& package) {
    return parts_[package.origin].priority;  // the first of equals is the newest
  });
  return best == all.end() ? std::nullopt : std::optional(*best);
}

PackageIndex PackageIndex::with(Part part) const {
  std::vector<Part> parts;
  parts.push_back(std::move(part));
  parts.insert(parts.end(), parts_.begin(), parts_.end());
  return {architecture_, std::move(parts)};
}

bool PackageIndex::is_candidate(const IndexedPackage& package) const {
  const auto first = candidate(package.name);
  return first && first->paragraph.data() == package.paragraph.data();
}

std::vector<Provider> PackageIndex::providers(std::string_view name) const {
  std::vector<Provider> all;
  for (std::uint32_t part = 0; part < parts_.size(); ++part) {
    parts_[part].table.providers(name, part, all);
  }
  std::erase_if(all, [&](const Provider& provider) { return !is_candidate(provider.package); });
  std::stable_sort(all.begin(), all.end(), [](const Provider& a, const Provider& b) {
    return a.package.name < b.package.name;
  });
  return all;
}

std::vector<IndexedPackage> PackageIndex::essential() const {
  std::vector<IndexedPackage> all;
  for (std::uint32_t part = 0; part < parts_.size(); ++part) {
    parts_[part].table.essential(part, all);
  }
  std::erase_if(all, [&](const IndexedPackage& package) { return !is_candidate(package); });
  std::stable_sort(all.begin(), all.end(), [](const IndexedPackage& a, const IndexedPackage& b) {
    return a.name < b.name;
  });
  return all;
}

std::vector<std::string_view> PackageIndex::names() const {
  std::vector<std::string_view> result;
  for (const Part& part : parts_) {
    part.table.names(result);
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

}  // namespace fnimage::source::debian
