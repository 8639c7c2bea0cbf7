// Control files of Debian packages: paragraphs, relations between packages, version numbers, and
// dpkg's status as bills of materials read it.
#include <algorithm>

#include <fnimage/source/installed.hpp>

#include "debian/deb822.hpp"
#include "debian/dependency.hpp"
#include "debian/version.hpp"
#include "fuzz.hpp"

namespace fnimage::fuzz {
namespace {

using source::debian::Clause;
using source::debian::Paragraph;

int sign(int value) {
  return (value > 0) - (value < 0);
}

void check_versions(std::vector<std::string_view> versions) {
  constexpr std::size_t most = 8;
  versions.resize(std::min(versions.size(), most));
  const auto order = [](std::string_view a, std::string_view b) {
    return sign(source::debian::compare_versions(a, b));
  };
  for (const std::string_view a : versions) {
    require(order(a, a) == 0, "a version is equal to itself");
    for (const std::string_view b : versions) {
      require(order(a, b) == -order(b, a), "the order of versions has two directions");
      for (const std::string_view c : versions) {
        require(order(a, b) > 0 || order(b, c) > 0 || order(a, c) <= 0,
                "the order of versions is transitive");
      }
    }
  }
}

void check_relations(std::string_view text) {
  const auto clauses = source::debian::parse_dependencies(text, "ppc64el", "input");
  if (!succeeded(clauses)) {
    return;
  }
  for (const Clause& clause : *clauses) {
    require(!clause.empty(), "a clause has alternatives");
    const std::string emitted = source::debian::to_string(clause);
    const auto again = source::debian::parse_dependencies(emitted, "ppc64el", "emitted");
    require(succeeded(again) && again->size() == 1 && again->front().size() == clause.size(),
            "a clause can be read again");
    require(source::debian::to_string(again->front()) == emitted, "and is the same");
    for (std::size_t i = 0; i < clause.size(); ++i) {
      require(again->front()[i].accepts("1.0-1") == clause[i].accepts("1.0-1"),
              "and accepts the same versions");
    }
  }
}

void check_paragraph(const Paragraph& paragraph, std::string_view whole) {
  for (const source::debian::Field& field : paragraph.fields()) {
    require(field.name.data() >= whole.data() &&
                field.value.data() + field.value.size() <= whole.data() + whole.size(),
            "fields are parts of the text");
    require(paragraph.has(field.name), "fields are found by their names");
    check_relations(field.value);
  }
}

void check_status(std::string_view text) {
  const auto installed = source::read_installed({{.name = "status", .text = text}});
  if (!succeeded(installed)) {
    return;
  }
  for (const source::InstalledPackage& package : installed->packages) {
    require(!package.name.empty() && !package.version.empty() && !package.architecture.empty(),
            "installed packages have name, version and architecture");
    require(std::is_sorted(package.depends.begin(), package.depends.end()),
            "dependencies are sorted");
    for (const std::size_t place : package.depends) {
      require(place < installed->packages.size(), "dependencies are in the list");
    }
  }
}

}  // namespace
}  // namespace fnimage::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage::fuzz;
  const std::string text(text_of(data, size));
  const auto paragraphs = fnimage::source::debian::parse_paragraphs(text, "input");
  if (succeeded(paragraphs)) {
    for (const Paragraph& paragraph : *paragraphs) {
      check_paragraph(paragraph, text);
    }
  }
  check_status(text);
  std::vector<std::string_view> versions = fnimage::source::debian::words(text);
  std::reverse(versions.begin(), versions.end());
  check_versions(std::move(versions));
  return 0;
}
