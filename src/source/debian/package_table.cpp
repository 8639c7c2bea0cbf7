// Writing and searching of the tables of package_table.hpp. Thread-safety: no shared state.
#include "debian/package_table.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>

#include <fmt/format.h>

#include "debian/deb822.hpp"
#include "debian/dependency.hpp"
#include "debian/version.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::string_view magic = "fnpkgs2\n";
constexpr std::size_t max_packages = 2'000'000;
constexpr std::size_t buffer_bytes = std::size_t{256} << 10;
constexpr std::uint64_t max_text_bytes = std::uint64_t{1} << 30;

template <typename T>
Bytes raw(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// The first of `count` for which `is_before` is false; they are sorted by it.
template <typename Predicate>
std::uint32_t partition_point(std::uint32_t count, Predicate is_before) {
  std::uint32_t begin = 0;
  while (count > 0) {
    const std::uint32_t half = count / 2;
    if (is_before(begin + half)) {
      begin += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return begin;
}

}  // namespace

PackageTableWriter::PackageTableWriter(Writer& out, std::string architecture, std::string what)
    : out_(out), architecture_(std::move(architecture)), what_(std::move(what)) {}

std::string_view PackageTableWriter::view(Text text) const {
  return std::string_view(strings_).substr(text.offset, text.size);
}

PackageTableForm::Text PackageTableWriter::keep(std::string_view text) {
  const Text kept{static_cast<std::uint32_t>(strings_.size()),
                  static_cast<std::uint32_t>(text.size())};
  strings_ += text;
  return kept;
}

Result<void> PackageTableWriter::add(std::string_view paragraph) {
  const Paragraph fields(paragraph);
  const std::string_view name = fields.get("Package");
  const std::string_view version = fields.get("Version");
  if (name.empty() || version.empty() || records_.size() >= max_packages ||
      text_bytes_ + paragraph.size() > max_text_bytes) {
    return fail(ErrorCode::invalid_input,
                fmt::format("package index {}: paragraph {} has no package and version, or there "
                            "are too many",
                            what_, records_.size() + 1));
  }
  const auto number = static_cast<std::uint32_t>(records_.size());
  if (const std::string_view provides = fields.get("Provides"); !provides.empty()) {
    FNIMAGE_TRY(const auto provided, parse_dependencies(provides, architecture_,
                                                        fmt::format("package {}: Provides", name)));
    for (const Clause& clause : provided) {
      provisions_.push_back({keep(clause.front().name), keep(clause.front().version), number});
    }
  }
  const Text text{static_cast<std::uint32_t>(text_bytes_),
                  static_cast<std::uint32_t>(paragraph.size())};
  records_.push_back({keep(name), keep(version), text, fields.get("Essential") == "yes" ? 1U : 0U});
  buffer_ += paragraph;
  text_bytes_ += paragraph.size();
  return buffer_.size() < buffer_bytes ? Result<void>{} : flush();
}

Result<void> PackageTableWriter::flush() {
  FNIMAGE_CHECK(out_.write(as_bytes(buffer_)));
  buffer_.clear();
  return {};
}

void PackageTableWriter::sort() {
  std::vector<std::uint32_t> order(records_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    if (const int by_name = view(records_[a].name).compare(view(records_[b].name)); by_name != 0) {
      return by_name < 0;
    }
    return compare_versions(view(records_[a].version), view(records_[b].version)) > 0;
  });
  std::vector<Record> sorted;
  std::vector<std::uint32_t> place(records_.size());
  sorted.reserve(records_.size());
  for (const std::uint32_t old : order) {
    place[old] = static_cast<std::uint32_t>(sorted.size());
    sorted.push_back(records_[old]);
  }
  records_ = std::move(sorted);
  for (Provision& provision : provisions_) {
    provision.record = place[provision.record];
  }
  std::stable_sort(provisions_.begin(), provisions_.end(),
                   [&](const Provision& a, const Provision& b) {
                     const int by_name = view(a.name).compare(view(b.name));
                     return by_name != 0 ? by_name < 0 : a.record < b.record;
                   });
}

Result<void> PackageTableWriter::finish() {
  if (strings_.size() > std::numeric_limits<std::uint32_t>::max()) {
    return fail(ErrorCode::invalid_input, fmt::format("package index {}: too large", what_));
  }
  FNIMAGE_CHECK(flush());
  sort();
  Footer footer;
  footer.strings = text_bytes_;
  footer.records = footer.strings + strings_.size();
  footer.provisions = footer.records + raw(records_).size();
  footer.record_count = static_cast<std::uint32_t>(records_.size());
  footer.provision_count = static_cast<std::uint32_t>(provisions_.size());
  std::copy(magic.begin(), magic.end(), footer.magic.begin());
  FNIMAGE_CHECK(out_.write(as_bytes(strings_)));
  FNIMAGE_CHECK(out_.write(raw(records_)));
  FNIMAGE_CHECK(out_.write(raw(provisions_)));
  return out_.write(std::as_bytes(std::span(&footer, 1)));
}

Result<PackageTable> PackageTable::open(std::string_view bytes, std::shared_ptr<const void> owner) {
  PackageTable table;
  table.bytes_ = bytes;
  table.owner_ = std::move(owner);
  Footer& footer = table.footer_;
  const bool long_enough = bytes.size() >= sizeof footer;
  if (long_enough) {
    std::memcpy(&footer, bytes.data() + bytes.size() - sizeof footer, sizeof footer);
  }
  // Every part ends where the next one begins, so nothing can overflow below.
  if (!long_enough || std::string_view(footer.magic.data(), footer.magic.size()) != magic ||
      footer.strings > footer.records || footer.records > footer.provisions ||
      footer.provisions > bytes.size() ||
      footer.provisions - footer.records != sizeof(Record) * std::uint64_t{footer.record_count} ||
      bytes.size() - sizeof footer - footer.provisions !=
          sizeof(Provision) * std::uint64_t{footer.provision_count}) {
    return fail(ErrorCode::invalid_input, "not a table of packages");
  }
  return table;
}

std::string_view PackageTable::slice(std::uint64_t offset, std::uint64_t size) const {
  return offset <= bytes_.size() && size <= bytes_.size() - offset ? bytes_.substr(offset, size)
                                                                   : std::string_view{};
}

std::string_view PackageTable::string(Text text) const {
  return slice(footer_.strings + text.offset, text.size);
}

PackageTableForm::Record PackageTable::record(std::uint32_t index) const {
  Record result;
  const auto bytes = slice(footer_.records + sizeof result * std::uint64_t{index}, sizeof result);
  if (index < footer_.record_count && bytes.size() == sizeof result) {
    std::memcpy(&result, bytes.data(), sizeof result);
  }
  return result;
}

PackageTableForm::Provision PackageTable::provision(std::uint32_t index) const {
  Provision result;
  const auto bytes =
      slice(footer_.provisions + sizeof result * std::uint64_t{index}, sizeof result);
  if (index < footer_.provision_count && bytes.size() == sizeof result) {
    std::memcpy(&result, bytes.data(), sizeof result);
  }
  return result;
}

IndexedPackage PackageTable::package(const Record& record, std::uint32_t origin) const {
  return {.name = string(record.name),
          .version = string(record.version),
          .paragraph = slice(record.paragraph.offset, record.paragraph.size),
          .origin = origin};
}

void PackageTable::versions(std::string_view name, std::uint32_t origin,
                            std::vector<IndexedPackage>& out) const {
  const auto is_before = [&](std::uint32_t index) { return string(record(index).name) < name; };
  for (std::uint32_t i = partition_point(footer_.record_count, is_before); i < footer_.record_count;
       ++i) {
    const Record found = record(i);
    if (string(found.name) != name) {
      break;
    }
    out.push_back(package(found, origin));
  }
}

void PackageTable::providers(std::string_view name, std::uint32_t origin,
                             std::vector<Provider>& out) const {
  const auto is_before = [&](std::uint32_t index) { return string(provision(index).name) < name; };
  for (std::uint32_t i = partition_point(footer_.provision_count, is_before);
       i < footer_.provision_count; ++i) {
    const Provision found = provision(i);
    if (string(found.name) != name) {
      break;
    }
    out.push_back({package(record(found.record), origin), string(found.version)});
  }
}

void PackageTable::essential(std::uint32_t origin, std::vector<IndexedPackage>& out) const {
  for (std::uint32_t i = 0; i < footer_.record_count; ++i) {
    if (const Record one = record(i); one.essential != 0) {
      out.push_back(package(one, origin));
    }
  }
}

void PackageTable::names(std::vector<std::string_view>& out) const {
  for (std::uint32_t i = 0; i < footer_.record_count; ++i) {
    out.push_back(string(record(i).name));
  }
}

}  // namespace fnimage::source::debian
