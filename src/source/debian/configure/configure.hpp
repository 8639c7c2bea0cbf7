// What maintainer scripts would have done, done here from the packages' own data. Each step is one
// function over the image; none executes anything. Thread-safety: an image belongs to one thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/source/debian.hpp>

#include "debian/configure/image_view.hpp"
#include "debian/package.hpp"

namespace fnimage::source::debian {

struct ConfigureContext {
  std::span<const DebianPackage> packages;    ///< sorted by name
  std::span<const UnpackedPackage> unpacked;  ///< parallel to packages
  std::string architecture;                   ///< Debian's name
  std::string triplet;                        ///< multiarch
  std::int64_t mtime = 0;                     ///< of what is made here
  Diagnostics& diagnostics;
};

/// Top-level links of merged /usr: /bin, /sbin, /lib, and /lib64 and the like where the packages
/// have something in them.
Result<void> link_merged_usr(ImageView& image);

/// base-files and libc-bin: default profile, directories (/tmp, /run/lock, /var/mail,
/// /usr/local/…), nsswitch.conf.
Result<void> configure_base_files(ImageView& image);

/// /etc/passwd, group, shadow and, with the package passwd, gshadow from the masters of base-passwd
/// (root and nobody alone without it), with the users and groups that scripts and sysusers.d make,
/// and their homes.
Result<void> configure_accounts(ImageView& image, const ConfigureContext& context);

/// Replays the `update-alternatives --install` calls of the postinst scripts: links,
/// /etc/alternatives, dpkg's records.
Result<void> configure_alternatives(ImageView& image, const ConfigureContext& context);

/// ldconfig, which installing a library triggers: the names that libraries have for programs, as
/// links, and /etc/ld.so.cache. Nothing without libc-bin's /etc/ld.so.conf.
Result<void> configure_loader_cache(ImageView& image, const ConfigureContext& context);

/// ca-certificates: the bundle, the links by name and by subject hash. Nothing without the package.
Result<void> configure_ca_bundle(ImageView& image);

/// ca-certificates-java: the same certificates for Java. Nothing without the package.
Result<void> configure_java_keystore(ImageView& image, const ConfigureContext& context);

/// locales: the list of those that could be generated, of which none is. Nothing without the
/// package.
Result<void> configure_locales(ImageView& image, const ConfigureContext& context);

/// dpkg's database, so that scanners and dpkg see the packages.
Result<void> write_dpkg_status(ImageView& image, const ConfigureContext& context);

}  // namespace fnimage::source::debian
