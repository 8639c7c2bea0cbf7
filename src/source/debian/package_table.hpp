// A Packages file in the form that the cache keeps: the paragraphs, and behind them tables by which
// a name is found without reading the others. A warm start costs a few page faults instead of a
// pass over 60 MB of text, and no memory worth naming. The form is private to this machine's cache:
// integers are the machine's own. Thread-safety: a PackageTable is immutable.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>

namespace fnimage::source::debian {

/// One version of a package. Views live as long as the table.
struct IndexedPackage {
  std::string_view name;
  std::string_view version;
  std::string_view paragraph;  ///< its address tells packages apart
  std::uint32_t origin = 0;    ///< number of the part that it is from, see PackageIndex
};

/// A package that provides a virtual one.
struct Provider {
  IndexedPackage package;
  std::string_view version{};  ///< of the virtual package; empty when it has none
};

/// The parts of a table's file, in its order behind the paragraphs.
struct PackageTableForm {
  /// A place in the strings, or (paragraphs) in the file.
  struct Text {
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
  };
  struct Record {
    Text name{}, version{}, paragraph{};
    std::uint32_t essential = 0;
  };
  struct Provision {
    Text name{}, version{};
    std::uint32_t record = 0;
  };
  struct Footer {
    std::uint64_t strings = 0;     ///< where they begin; names and versions, for dense searches
    std::uint64_t records = 0;     ///< by name, newest first
    std::uint64_t provisions = 0;  ///< by provided name
    std::uint32_t record_count = 0;
    std::uint32_t provision_count = 0;
    std::array<char, 8> magic{};
  };
};

/// Writes a table while the paragraphs of a Packages file pass by.
class PackageTableWriter : private PackageTableForm {
 public:
  /// `architecture` decides which provided names count; `what` names the file in errors.
  PackageTableWriter(Writer& out, std::string architecture, std::string what);

  /// One paragraph without the blank line after it. Errors: invalid_input when it has no name and
  /// version or its Provides is malformed, those of the writer.
  Result<void> add(std::string_view paragraph);

  /// Writes the tables. Nothing may be added after it.
  Result<void> finish();

 private:
  [[nodiscard]] std::string_view view(Text text) const;
  Text keep(std::string_view text);
  void sort();
  Result<void> flush();

  Writer& out_;
  std::string architecture_;
  std::string what_;
  std::string buffer_;
  std::uint64_t text_bytes_ = 0;
  std::string strings_;
  std::vector<Record> records_;
  std::vector<Provision> provisions_;
};

/// A written table. Damaged bytes give wrong or no packages, never an access out of bounds.
class PackageTable : private PackageTableForm {
 public:
  /// `bytes` must outlive the table; `owner` keeps them alive. Error: invalid_input when the bytes
  /// do not end as a table does.
  static Result<PackageTable> open(std::string_view bytes, std::shared_ptr<const void> owner);

  /// Appends all versions of a package, newest first. `origin` goes into what is appended.
  void versions(std::string_view name, std::uint32_t origin,
                std::vector<IndexedPackage>& out) const;
  /// Appends the packages that provide a name, all versions, by their name.
  void providers(std::string_view name, std::uint32_t origin, std::vector<Provider>& out) const;
  /// Appends all packages marked Essential, by name.
  void essential(std::uint32_t origin, std::vector<IndexedPackage>& out) const;
  /// Appends every package name, sorted; several versions repeat it.
  void names(std::vector<std::string_view>& out) const;

 private:
  [[nodiscard]] Record record(std::uint32_t index) const;
  [[nodiscard]] Provision provision(std::uint32_t index) const;
  [[nodiscard]] IndexedPackage package(const Record& record, std::uint32_t origin) const;
  [[nodiscard]] std::string_view string(Text text) const;
  [[nodiscard]] std::string_view slice(std::uint64_t offset, std::uint64_t size) const;

  std::string_view bytes_;
  std::shared_ptr<const void> owner_;
  Footer footer_;
};

}  // namespace fnimage::source::debian
