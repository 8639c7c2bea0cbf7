// dpkg's database: /var/lib/dpkg/status with every package installed, the list of files and the
// md5sums of each. File lists name what the package ships, documentation included, as dpkg's do
// under path-exclude. Maintainer scripts are not kept. Thread-safety: see configure.hpp.
#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/configure.hpp"
#include "debian/configure/md5.hpp"
#include "debian/deb822.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_conffile = std::uint64_t{64} << 20;

// "Conffiles:" of the status: path and md5 of each.
Result<std::string> conffiles(const ImageView& image, const UnpackedPackage& package) {
  std::string lines;
  for (const std::string_view line : split(package.control_file("conffiles"), '\n')) {
    const auto parts = words(line);  // "/etc/x", or "remove-on-upgrade /etc/x"
    if (parts.size() != 1 || !parts[0].starts_with('/')) {
      continue;
    }
    if (image.resolve(parts[0]) != nullptr) {
      FNIMAGE_TRY(const std::string text, image.read(parts[0].substr(1), max_conffile));
      lines += fmt::format("\n {} {}", parts[0], md5_of(text));
    }
  }
  return lines.empty() ? lines : "Conffiles:" + lines + "\n";
}

Result<std::string> status_paragraph(const ImageView& image, const UnpackedPackage& package) {
  const Paragraph control(package.control_file("control"));
  std::string text;
  for (const Field& field : control.fields()) {
    text += fmt::format("{}: {}\n", field.name, field.value);
    if (equals_ignoring_case(field.name, "Package")) {
      text += "Status: install ok installed\n";
    }
  }
  FNIMAGE_TRY(const std::string files, conffiles(image, package));
  return text + files + "\n";
}

}  // namespace

Result<void> write_dpkg_status(ImageView& image, const ConfigureContext& context) {
  std::string status;
  for (std::size_t i = 0; i < context.packages.size(); ++i) {
    const UnpackedPackage& package = context.unpacked[i];
    FNIMAGE_TRY(const std::string paragraph, status_paragraph(image, package));
    status += paragraph;
    const Paragraph control(package.control_file("control"));
    const bool qualified = control.get("Multi-Arch") == "same";
    const std::string base =
        fmt::format("var/lib/dpkg/info/{}{}", context.packages[i].name,
                    qualified ? ":" + context.packages[i].architecture : std::string());
    FNIMAGE_CHECK(image.add_package_file(i, base + ".list", package.file_list));
    if (const auto sums = package.control_file("md5sums"); !sums.empty()) {
      FNIMAGE_CHECK(image.add_package_file(i, base + ".md5sums", std::string(sums)));
    }
  }
  FNIMAGE_CHECK(image.add_file("var/lib/dpkg/status", std::move(status)));
  FNIMAGE_CHECK(image.add_file("var/lib/dpkg/info/format", "1\n"));
  for (const std::string_view name : {"available", "diversions", "statoverride"}) {
    const std::string path = fmt::format("var/lib/dpkg/{}", name);
    FNIMAGE_CHECK(image.find(path) == nullptr ? image.add_file(path, {}) : Result<void>());
  }
  return {};
}

}  // namespace fnimage::source::debian
