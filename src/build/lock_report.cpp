// See the header. What an exclusion would save is found by taking a package away and seeing what
// can still be reached from what was asked for: a set has some hundred packages, so that once for
// each is a matter of milliseconds.
#include "lock_report.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

namespace fnimage::build {

namespace {

using source::DebianPackage;
using source::PackageSet;

/// platform -> version, for each package.
using Versions = std::map<std::string, std::map<std::string, std::string>>;

Versions versions_of(const std::vector<PackageSet>& sets) {
  Versions versions;
  for (const PackageSet& set : sets) {
    for (const DebianPackage& package : set.packages) {
      versions[package.name][set.platform.str()] = package.version;
    }
  }
  return versions;
}

std::string version_in(const Versions& versions, const std::string& name,
                       const std::string& platform) {
  const auto package = versions.find(name);
  if (package == versions.end()) {
    return {};
  }
  const auto version = package->second.find(platform);
  return version == package->second.end() ? std::string() : version->second;
}

/// The dependencies between the packages of a set, as numbers.
class Graph {
 public:
  explicit Graph(const PackageSet& set) : set_(set), needs_(set.packages.size()) {
    for (std::size_t i = 0; i < set.packages.size(); ++i) {
      numbers_.emplace(set.packages[i].name, i);
    }
    for (std::size_t i = 0; i < set.packages.size(); ++i) {
      for (const std::string& need : set.packages[i].needs) {
        if (const auto found = numbers_.find(need); found != numbers_.end()) {
          needs_[i].push_back(found->second);
        }
      }
    }
  }

  /// Which packages would still be there without one of them.
  [[nodiscard]] std::vector<bool> reached_without(std::size_t missing) const {
    std::vector<bool> reached(needs_.size(), false);
    std::vector<std::size_t> open;
    const auto visit = [&](std::size_t i) {
      if (i != missing && !reached[i]) {
        reached[i] = true;
        open.push_back(i);
      }
    };
    for (std::size_t i = 0; i < needs_.size(); ++i) {
      if (set_.packages[i].wanted_by.empty()) {
        visit(i);
      }
    }
    while (!open.empty()) {
      const std::size_t at = open.back();
      open.pop_back();
      std::ranges::for_each(needs_[at], visit);
    }
    return reached;
  }

  [[nodiscard]] std::vector<std::string> chain_to(const DebianPackage& package) const {
    std::vector<std::string> chain;
    std::string at = package.wanted_by;
    while (!at.empty() && chain.size() < needs_.size()) {
      chain.push_back(at);
      const auto found = numbers_.find(at);
      at = found == numbers_.end() ? std::string() : set_.packages[found->second].wanted_by;
    }
    std::ranges::reverse(chain);
    return chain;
  }

 private:
  const PackageSet& set_;
  std::vector<std::vector<std::size_t>> needs_;
  std::unordered_map<std::string, std::size_t> numbers_;
};

}  // namespace

std::vector<LockChange> changes_between(const std::vector<PackageSet>& old,
                                        const std::vector<PackageSet>& sets) {
  const Versions before = versions_of(old);
  const Versions after = versions_of(sets);
  std::map<std::tuple<std::string, std::string, std::string>, LockChange> changes;
  const auto compare = [&](const std::string& name, const std::string& platform) {
    const std::string from = version_in(before, name, platform);
    const std::string to = version_in(after, name, platform);
    if (from != to) {
      LockChange& change =
          changes.try_emplace(std::tuple(name, from, to), LockChange{name, from, to}).first->second;
      if (std::ranges::find(change.platforms, platform) == change.platforms.end()) {
        change.platforms.push_back(platform);
      }
    }
  };
  for (const Versions* versions : {&before, &after}) {
    for (const auto& [name, platforms] : *versions) {
      for (const auto& [platform, version] : platforms) {
        compare(name, platform);
      }
    }
  }
  std::vector<LockChange> result;
  result.reserve(changes.size());
  for (auto& [key, change] : changes) {
    result.push_back(std::move(change));
  }
  return result;
}

std::vector<PackageSkew> skew_of(const std::vector<PackageSet>& sets) {
  std::vector<PackageSkew> skew;
  for (const auto& [name, platforms] : versions_of(sets)) {
    PackageSkew one{.name = name,
                    .versions = {platforms.begin(), platforms.end()},
                    .partial = platforms.size() < sets.size()};
    const std::string& first = one.versions.front().second;
    bool same = true;
    bool same_source = true;
    for (const auto& [platform, version] : one.versions) {
      same = same && version == first;
      same_source = same_source && source::source_version(version) == source::source_version(first);
    }
    one.rebuild = !same && same_source;
    if (!same || one.partial) {
      skew.push_back(std::move(one));
    }
  }
  return skew;
}

std::vector<PackageReason> explain(const PackageSet& set) {
  const Graph graph(set);
  std::vector<PackageReason> reasons;
  reasons.reserve(set.packages.size());
  for (std::size_t i = 0; i < set.packages.size(); ++i) {
    const DebianPackage& package = set.packages[i];
    PackageReason reason{.name = package.name,
                         .version = package.version,
                         .size = package.size,
                         .installed_size = package.installed_size,
                         .chain = graph.chain_to(package)};
    const std::vector<bool> reached = graph.reached_without(i);
    for (std::size_t other = 0; other < reached.size(); ++other) {
      if (!reached[other]) {
        reason.saves += set.packages[other].installed_size;
        ++reason.saves_packages;
      }
    }
    reasons.push_back(std::move(reason));
  }
  std::ranges::stable_sort(reasons, [](const PackageReason& a, const PackageReason& b) {
    return a.saves != b.saves ? a.saves > b.saves : a.name < b.name;
  });
  return reasons;
}

}  // namespace fnimage::build
