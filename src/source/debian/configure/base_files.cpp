// The postinst of base-files and of libc-bin as a table, and the links of merged /usr.
// Thread-safety: see configure.hpp.
#include <array>

#include "debian/configure/configure.hpp"

namespace fnimage::source::debian {
namespace {

struct Directory {
  std::string_view path;
  std::uint32_t mode;
  std::uint32_t gid;
};

struct Link {
  std::string_view path;
  std::string_view text;
};

constexpr std::uint32_t group_mail = 8;
constexpr std::uint32_t group_utmp = 43;

constexpr std::array<Directory, 26> base_directories{{
    {"dev", 0755, 0},
    {"etc/opt", 0755, 0},
    {"home", 0755, 0},
    {"media", 0755, 0},
    {"mnt", 0755, 0},
    {"opt", 0755, 0},
    {"proc", 0755, 0},
    {"root", 0700, 0},
    {"run", 0755, 0},
    {"run/lock", 01777, 0},
    {"srv", 0755, 0},
    {"sys", 0755, 0},
    {"tmp", 01777, 0},
    {"usr/local", 0755, 0},
    {"usr/local/bin", 0755, 0},
    {"usr/local/etc", 0755, 0},
    {"usr/local/games", 0755, 0},
    {"usr/local/include", 0755, 0},
    {"usr/local/lib", 0755, 0},
    {"usr/local/sbin", 0755, 0},
    {"usr/local/share", 0755, 0},
    {"usr/local/share/man", 0755, 0},
    {"usr/local/src", 0755, 0},
    {"var/mail", 02775, group_mail},
    {"var/opt", 0755, 0},
    {"var/tmp", 01777, 0},
}};

constexpr std::array<Link, 4> base_links{{{"var/run", "/run"},
                                          {"var/lock", "/run/lock"},
                                          {"var/spool/mail", "../mail"},
                                          {"usr/local/man", "share/man"}}};

constexpr std::array<Link, 5> defaults{{{"root/.profile", "usr/share/base-files/dot.profile"},
                                        {"root/.bashrc", "usr/share/base-files/dot.bashrc"},
                                        {"etc/profile", "usr/share/base-files/profile"},
                                        {"etc/motd", "usr/share/base-files/motd"},
                                        {"etc/nsswitch.conf", "usr/share/libc-bin/nsswitch.conf"}}};

// Without libc-bin there is no default, and glibc's own looks names up by DNS before /etc/hosts.
constexpr std::string_view minimal_nsswitch =
    "passwd:         files\n"
    "group:          files\n"
    "shadow:         files\n"
    "hosts:          files dns\n"
    "networks:       files\n"
    "protocols:      files\n"
    "services:       files\n";

}  // namespace

Result<void> link_merged_usr(ImageView& image) {
  for (const std::string_view name : {"bin", "lib", "sbin"}) {
    FNIMAGE_CHECK(image.add_link(name, "usr/" + std::string(name)));
    if (image.find("usr/" + std::string(name)) == nullptr) {
      FNIMAGE_CHECK(image.add_directory("usr/" + std::string(name), 0755));
    }
  }
  for (const std::string_view name : {"lib32", "lib64", "libo32", "libx32"}) {
    if (image.find("usr/" + std::string(name)) != nullptr) {
      FNIMAGE_CHECK(image.add_link(name, "usr/" + std::string(name)));
    }
  }
  return {};
}

Result<void> configure_base_files(ImageView& image) {
  for (const Directory& directory : base_directories) {
    const layer::Entry* existing = image.find(directory.path);
    if (existing == nullptr || directory.mode != 0755) {
      FNIMAGE_CHECK(image.add_directory(directory.path, directory.mode, directory.gid));
    }
  }
  for (const Link& link : base_links) {
    // base-files ships some of them as empty directories that its postinst replaces.
    const layer::Entry* existing = image.find(link.path);
    if (existing == nullptr || existing->type == layer::EntryType::directory) {
      FNIMAGE_CHECK(image.replace_with_link(link.path, link.text));
    }
  }
  for (const Link& file : defaults) {
    FNIMAGE_CHECK(image.copy_default(file.text, file.path));
  }
  if (image.find("etc/nsswitch.conf") == nullptr) {
    FNIMAGE_CHECK(image.add_file("etc/nsswitch.conf", std::string(minimal_nsswitch)));
  }
  // tzdata: what debconf's answer is when nobody is asked.
  if (image.file("usr/share/zoneinfo/Etc/UTC") != nullptr &&
      image.find("etc/localtime") == nullptr) {
    FNIMAGE_CHECK(image.add_link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC"));
    FNIMAGE_CHECK(image.add_file("etc/timezone", "Etc/UTC\n"));
  }
  if (image.find("etc/dpkg/origins/default") == nullptr &&
      image.find("etc/dpkg/origins/debian") != nullptr) {
    FNIMAGE_CHECK(image.add_link("etc/dpkg/origins/default", "debian"));
  }
  for (const Directory& log :
       {Directory{"var/log/btmp", 0660, group_utmp}, Directory{"var/log/lastlog", 0664, group_utmp},
        Directory{"var/log/wtmp", 0664, group_utmp}}) {
    if (image.find(log.path) == nullptr) {
      FNIMAGE_CHECK(image.add_file(log.path, {}, log.mode, log.gid));
    }
  }
  return {};
}

}  // namespace fnimage::source::debian
