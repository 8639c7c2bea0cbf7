// One .deb: deb(5). Read once as a stream; control files and file contents go to the cache, and the
// .deb is not needed again. Nothing of it is executed and the modes of its control archive are
// ignored (reliability A18). Thread-safety: may run for several packages at once.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/layer/entry.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::source::debian {

/// control, postinst, conffiles, md5sums…: name -> text.
using ControlFiles = std::map<std::string, std::string, std::less<>>;

struct UnpackedPackage {
  ControlFiles control{};
  std::vector<layer::Entry>
      entries{};  ///< as in data.tar; contents are slices of the cache's packs. See lay_out()
  std::string file_list{};  ///< their paths, as dpkg keeps them: "/." first, a line each

  /// A control file's text; empty when there is none.
  [[nodiscard]] std::string_view control_file(std::string_view name) const;
};

/// Where to get a .deb from, and under which hash its parts are cached.
struct PackageFile {
  std::string what;  ///< "python3-minimal 3.11.2-1+b1 (ppc64el)" for messages
  manifest::Digest sha256;
  std::function<Result<std::filesystem::path>()>
      fetch;  ///< where the .deb is, verified; called only when the cache lacks its parts
  bool documentation = false;  ///< also the contents of what is_left_out(), else listed as empty
};

/// The control files of a .deb alone. @param what for messages. Errors: as unpack_package().
Result<ControlFiles> read_control(const std::filesystem::path& deb, const std::string& what);

/// Takes the package's parts from `cache`, or unpacks the .deb into it. Errors: invalid_input for a
/// broken .deb, those of `fetch`.
Result<UnpackedPackage> unpack_package(const PackageFile& file, const std::filesystem::path& cache);

}  // namespace fnimage::source::debian
