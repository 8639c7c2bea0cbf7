// See needs.hpp. Thread-safety: all state is local.
#include "debian/needs.hpp"

#include <optional>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include "debian/deb822.hpp"
#include "debian/dependency.hpp"

namespace fnimage::source::debian {
namespace {

using Names = std::unordered_map<std::string_view, std::size_t>;

Result<std::vector<Clause>> clauses_of(const DebianPackage& package,
                                       const UnpackedPackage& unpacked, std::string_view field) {
  const Paragraph control(unpacked.control_file("control"));
  return parse_dependencies(control.get(field), package.architecture,
                            fmt::format("{}: {}", package.name, field));
}

/// A package's own name goes before what others provide.
Result<Names> names_of_set(std::span<const DebianPackage> packages,
                           std::span<const UnpackedPackage> unpacked) {
  Names names;
  for (std::size_t i = 0; i < packages.size(); ++i) {
    names.emplace(packages[i].name, i);
  }
  for (std::size_t i = 0; i < packages.size(); ++i) {
    FNIMAGE_TRY(const auto provided, clauses_of(packages[i], unpacked[i], "Provides"));
    for (const Clause& clause : provided) {
      if (!clause.empty()) {
        names.emplace(clause.front().name, i);
      }
    }
  }
  return names;
}

std::optional<std::size_t> meant_by(const Clause& clause, const Names& names) {
  for (const Alternative& alternative : clause) {
    if (const auto found = names.find(alternative.name); found != names.end()) {
      return found->second;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<PackageNeeds> needs_of(std::span<const DebianPackage> packages,
                              std::span<const UnpackedPackage> unpacked) {
  FNIMAGE_TRY(const Names names, names_of_set(packages, unpacked));
  PackageNeeds needs(packages.size());
  for (std::size_t i = 0; i < packages.size(); ++i) {
    for (const char* field : {"Pre-Depends", "Depends"}) {
      FNIMAGE_TRY(const auto clauses, clauses_of(packages[i], unpacked[i], field));
      for (const Clause& clause : clauses) {
        if (const auto package = meant_by(clause, names)) {
          needs[i].push_back(*package);
        }
      }
    }
  }
  return needs;
}

std::vector<std::size_t> closure_of(std::size_t package, const PackageNeeds& needs) {
  std::vector<bool> seen(needs.size());
  std::vector<std::size_t> found{package};
  seen[package] = true;
  for (std::size_t next = 0; next < found.size(); ++next) {
    for (const std::size_t needed : needs[found[next]]) {
      if (!seen[needed]) {
        seen[needed] = true;
        found.push_back(needed);
      }
    }
  }
  return found;
}

}  // namespace fnimage::source::debian
