// See the header.
#include "debian/local_debs.hpp"

#include <memory>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/digest.hpp>

#include "debian/deb822.hpp"
#include "debian/package.hpp"

namespace fnimage::source::debian {
namespace {

class HashingWriter final : public Writer {
 public:
  Result<void> write(Bytes bytes) override {
    hasher_.update(bytes);
    return {};
  }
  manifest::Digest finish() { return hasher_.finish(); }

 private:
  manifest::Hasher hasher_;
};

/// The package's paragraph, as an index would have it.
Result<std::string> paragraph_of(const std::string& path, const std::filesystem::path& file,
                                 const std::string& architecture) {
  const std::string what = printable(path);
  FNIMAGE_TRY(const ControlFiles control, read_control(file, what));
  const std::string& text = control.find("control")->second;
  FNIMAGE_TRY(const auto paragraphs, parse_paragraphs(text, what));
  if (paragraphs.size() != 1 || !paragraphs.front().has("Package") ||
      !paragraphs.front().has("Version")) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: its control file names no package", what));
  }
  const std::string_view built_for = paragraphs.front().get("Architecture");
  if (built_for != "all" && built_for != architecture) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("{} is for {}, not for {}", what, printable(built_for), architecture),
                "write {deb_arch} in its name, and have one for each platform");
  }
  FNIMAGE_TRY(const auto reader, open_file(file));
  HashingWriter hash;
  FNIMAGE_TRY(const std::uint64_t size, copy(*reader, hash));
  std::string paragraph(trim(text));
  return paragraph +
         fmt::format("\nFilename: {}\nSize: {}\nSHA256: {}\n", path, size, hash.finish().hex());
}

}  // namespace

Result<LocalDebs> index_local_debs(std::span<const std::string> paths,
                                   const std::filesystem::path& directory,
                                   const std::string& architecture) {
  const auto bytes = std::make_shared<std::string>();
  StringWriter text(*bytes);
  PackageTableWriter table(text, architecture, "packages of this machine");
  std::vector<std::string> requests;
  for (const std::string& path : paths) {
    FNIMAGE_TRY(const std::string paragraph, paragraph_of(path, directory / path, architecture));
    FNIMAGE_CHECK(table.add(paragraph));
    const Paragraph fields(paragraph);
    requests.push_back(fmt::format("{}={}", fields.get("Package"), fields.get("Version")));
  }
  FNIMAGE_CHECK(table.finish());
  FNIMAGE_TRY(PackageTable opened, PackageTable::open(*bytes, bytes));
  return LocalDebs{
      .part = {.suite = "", .table = std::move(opened), .priority = PackageIndex::local_priority},
      .requests = std::move(requests)};
}

}  // namespace fnimage::source::debian
