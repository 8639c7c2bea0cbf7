// dpkg's status as a list of packages, see installed.hpp. The files come from images of anybody:
// what is looked at is bounded in every direction. Thread-safety: no shared state.
#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/source/installed.hpp>

#include "debian/deb822.hpp"
#include "debian/dependency.hpp"

namespace fnimage::source {

namespace {

using debian::Alternative;
using debian::Clause;
using debian::Paragraph;

constexpr std::size_t max_installed = 10'000;
constexpr std::size_t max_edges = 100'000;
constexpr std::size_t max_alternatives = 500'000;                   // looked up in all
constexpr std::size_t max_candidates = 64;                          // of one name
constexpr std::size_t max_relation_bytes = std::size_t{128} << 10;  // of one field
constexpr std::size_t max_word_bytes = 256;                         // names and versions
constexpr std::size_t max_text_bytes = 512;

/// At most so many bytes, without cutting a UTF-8 sequence in two.
std::string shortened(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) {
    constexpr unsigned continuation_mask = 0xC0;
    constexpr unsigned continuation = 0x80;
    while (max_bytes > 0 &&
           (static_cast<unsigned char>(text[max_bytes]) & continuation_mask) == continuation) {
      --max_bytes;
    }
    text = text.substr(0, max_bytes);
  }
  return std::string(text);
}

/// "install ok installed": the last word. Paragraphs of status.d have no state.
bool has_files(const Paragraph& paragraph) {
  const auto state = debian::words(paragraph.get("Status"));
  return state.empty() || (state.back() != "not-installed" && state.back() != "config-files");
}

std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() ? number : 0;
}

/// "Source: glibc (2.36-9)"; what is not said is as in the package itself.
void set_source(std::string_view field, InstalledPackage& package) {
  const std::size_t open = field.find('(');
  const std::string_view name = trim(field.substr(0, open));
  package.source = name.empty() ? package.name : shortened(name, max_word_bytes);
  package.source_version = package.version;
  if (open != std::string_view::npos) {
    const std::string_view version = field.substr(open + 1, field.find(')', open) - open - 1);
    package.source_version = shortened(trim(version), max_word_bytes);
  }
}

/// A package with the fields that say what it needs and provides.
struct StatusRecord {
  InstalledPackage package;
  std::vector<std::string_view> relations{};
  std::string_view provides{};
};

Result<void> require_word(std::string_view word, std::string_view field, std::string_view file_name,
                          std::string_view package) {
  if (!word.empty() && word.size() <= max_word_bytes) {
    return {};
  }
  return fail(
      ErrorCode::invalid_input,
      fmt::format("{}: an installed package{}{} has {} {}", file_name, package.empty() ? "" : " ",
                  printable(package, max_word_bytes), word.empty() ? "no" : "too long a", field),
      "the image's package database is damaged: install the package again");
}

Result<StatusRecord> to_record(const Paragraph& paragraph, std::string_view file_name) {
  StatusRecord record;
  InstalledPackage& package = record.package;
  package.name = paragraph.get("Package");
  package.version = paragraph.get("Version");
  package.architecture = paragraph.get("Architecture");
  FNIMAGE_CHECK(require_word(package.name, "Package", file_name, {}));
  FNIMAGE_CHECK(require_word(package.version, "Version", file_name, package.name));
  FNIMAGE_CHECK(require_word(package.architecture, "Architecture", file_name, package.name));
  set_source(paragraph.get("Source"), package);
  const std::string_view description = paragraph.get("Description");
  package.maintainer = shortened(paragraph.get("Maintainer"), max_text_bytes);
  package.homepage = shortened(paragraph.get("Homepage"), max_text_bytes);
  package.summary = shortened(trim(description.substr(0, description.find('\n'))), max_text_bytes);
  package.installed_kib = number_of(paragraph.get("Installed-Size"));
  record.relations = {paragraph.get("Pre-Depends"), paragraph.get("Depends")};
  record.provides = paragraph.get("Provides");
  return record;
}

auto identity_of(const StatusRecord& record) {
  const InstalledPackage& package = record.package;
  return std::tie(package.name, package.architecture, package.version);
}

Result<std::vector<StatusRecord>> read_records(const std::vector<StatusFile>& files) {
  std::vector<StatusRecord> records;
  for (const StatusFile& file : files) {
    FNIMAGE_CHECK(debian::for_each_paragraph(
        file.text, file.name, [&](const Paragraph& paragraph) -> Result<void> {
          if (!has_files(paragraph)) {
            return {};
          }
          FNIMAGE_TRY(StatusRecord record, to_record(paragraph, file.name));
          records.push_back(std::move(record));
          return records.size() <= max_installed
                     ? Result<void>()
                     : fail(ErrorCode::invalid_input,
                            fmt::format("{}: more than {} packages", file.name, max_installed));
        }));
  }
  std::stable_sort(
      records.begin(), records.end(),
      [](const StatusRecord& a, const StatusRecord& b) { return identity_of(a) < identity_of(b); });
  const auto same = [](const StatusRecord& a, const StatusRecord& b) {
    return identity_of(a) == identity_of(b);
  };
  records.erase(std::unique(records.begin(), records.end(), same), records.end());
  return records;
}

/// Finds what satisfies dependencies among the installed packages.
class InstalledResolver {
 public:
  InstalledResolver(std::vector<StatusRecord>& records, std::vector<std::string>& faults)
      : records_(records), faults_(faults) {}

  Result<void> run() {
    for (std::size_t i = 0; i < records_.size(); ++i) {
      by_name_[records_[i].package.name].push_back({.package = i, .version = {}});
    }
    for (std::size_t i = 0; i < records_.size(); ++i) {
      for (const Clause& clause : clauses_of(records_[i].provides, i)) {
        for (const Alternative& provided : clause) {
          provided_[provided.name].push_back({.package = i, .version = provided.version});
        }
      }
    }
    for (std::size_t i = 0; i < records_.size(); ++i) {
      FNIMAGE_CHECK(resolve(i));
    }
    return {};
  }

 private:
  struct Candidate {
    std::size_t package = 0;
    std::string_view version{};  ///< of a virtual package; empty = it has none
  };
  using Candidates = std::map<std::string_view, std::vector<Candidate>>;

  /// Empty, with a fault noted, for what cannot be read.
  std::vector<Clause> clauses_of(std::string_view field, std::size_t place) {
    const InstalledPackage& package = records_[place].package;
    auto clauses = field.size() <= max_relation_bytes
                       ? debian::parse_dependencies(field, package.architecture, package.name)
                       : fail(ErrorCode::invalid_input,
                              fmt::format("{}: a list of packages is too long", package.name));
    if (!clauses) {
      note(printable(clauses.error().message()));
      return {};
    }
    std::size_t alternatives = 0;
    for (const Clause& clause : *clauses) {
      alternatives += clause.size();
    }
    if (alternatives > alternatives_left_) {
      note("there are more dependencies than are looked at");
      alternatives_left_ = 0;
      return {};
    }
    alternatives_left_ -= alternatives;
    return std::move(*clauses);
  }

  void note(std::string fault) {
    constexpr std::size_t most = 20;
    if (faults_.size() < most && std::ranges::find(faults_, fault) == faults_.end()) {
      faults_.push_back(std::move(fault));
    }
  }

  Result<void> resolve(std::size_t place) {
    std::vector<std::size_t>& depends = records_[place].package.depends;
    for (const std::string_view field : records_[place].relations) {
      for (const Clause& clause : clauses_of(field, place)) {
        const auto found = first_of(clause, records_[place].package.architecture);
        if (found && *found != place) {
          depends.push_back(*found);
        }
      }
    }
    std::sort(depends.begin(), depends.end());
    depends.erase(std::unique(depends.begin(), depends.end()), depends.end());
    edges_ += depends.size();
    return edges_ <= max_edges
               ? Result<void>()
               : fail(ErrorCode::invalid_input,
                      fmt::format("more than {} dependencies between packages", max_edges));
  }

  [[nodiscard]] std::optional<std::size_t> first_of(const Clause& clause,
                                                    std::string_view architecture) const {
    for (const Alternative& wanted : clause) {
      if (const auto real = pick(by_name_, wanted, architecture)) {
        return real;
      }
      if (const auto provider = pick(provided_, wanted, architecture)) {
        return provider;
      }
    }
    return std::nullopt;
  }

  /// The one of the same architecture before those of others, which Multi-Arch may allow.
  [[nodiscard]] std::optional<std::size_t> pick(const Candidates& from, const Alternative& wanted,
                                                std::string_view architecture) const {
    const auto candidates = from.find(wanted.name);
    if (candidates == from.end()) {
      return std::nullopt;
    }
    std::optional<std::size_t> other;
    const std::size_t count = std::min(candidates->second.size(), max_candidates);
    for (const Candidate& candidate : std::span(candidates->second).first(count)) {
      const InstalledPackage& package = records_[candidate.package].package;
      const bool is_virtual = &from == &provided_;
      const std::string_view version = is_virtual ? candidate.version : package.version;
      if (version.empty() ? wanted.relation != debian::Relation::any : !wanted.accepts(version)) {
        continue;
      }
      if (package.architecture == architecture || package.architecture == "all") {
        return candidate.package;
      }
      other = other ? other : candidate.package;
    }
    return other;
  }

  std::vector<StatusRecord>& records_;
  std::vector<std::string>& faults_;
  Candidates by_name_;
  Candidates provided_;
  std::size_t alternatives_left_ = max_alternatives;
  std::size_t edges_ = 0;
};

}  // namespace

Result<InstalledPackages> read_installed(const std::vector<StatusFile>& files) {
  InstalledPackages installed;
  FNIMAGE_TRY(std::vector<StatusRecord> records, read_records(files));
  FNIMAGE_CHECK(InstalledResolver(records, installed.faults).run());
  installed.packages.reserve(records.size());
  for (StatusRecord& record : records) {
    installed.packages.push_back(std::move(record.package));
  }
  return installed;
}

}  // namespace fnimage::source
