// Programs that maintainer scripts call and whose effect an image does without, see
// script_state.hpp. Each group says why. Thread-safety: pure function.
#include <algorithm>
#include <array>
#include <span>

#include "debian/configure/script_state.hpp"

namespace fnimage::source::debian {
namespace {

using Programs = std::span<const std::string_view>;

// Services and the kernel: nothing of them runs in an image, and what is to start in a container is
// its command. machine-id must not be the same in every container.
constexpr auto service_programs = std::to_array<std::string_view>({"aa-enabled",
                                                                   "aa-status",
                                                                   "apparmor_parser",
                                                                   "binfmt-support",
                                                                   "busctl",
                                                                   "dbus-send",
                                                                   "dbus-uuidgen",
                                                                   "deb-systemd-helper",
                                                                   "deb-systemd-invoke",
                                                                   "depmod",
                                                                   "insserv",
                                                                   "init",
                                                                   "invoke-rc.d",
                                                                   "journalctl",
                                                                   "kill",
                                                                   "killall",
                                                                   "logger",
                                                                   "modprobe",
                                                                   "mount",
                                                                   "pidof",
                                                                   "policy-rc.d",
                                                                   "ps",
                                                                   "pkill",
                                                                   "restorecon",
                                                                   "runit-helper",
                                                                   "selinuxenabled",
                                                                   "semodule",
                                                                   "service",
                                                                   "setupcon",
                                                                   "start-stop-daemon",
                                                                   "sync",
                                                                   "sysctl",
                                                                   "systemctl",
                                                                   "systemd-hwdb",
                                                                   "systemd-machine-id-setup",
                                                                   "systemd-notify",
                                                                   "telinit",
                                                                   "udevadm",
                                                                   "umount",
                                                                   "update-binfmts",
                                                                   "update-grub",
                                                                   "update-inetd",
                                                                   "update-initramfs",
                                                                   "update-rc.d",
                                                                   "update-service",
                                                                   "vgcfgbackup"});

// What was there before: a new image has nothing to clean up.
constexpr auto cleaning_programs =
    std::to_array<std::string_view>({"delgroup", "deluser", "dpkg-maintscript-helper", "groupdel",
                                     "py3clean", "pypy3clean", "rmdir", "userdel", "rm_conffile"});

// Text on its way from one command to the next, questions, and the language itself.
constexpr auto asking_programs = std::to_array<std::string_view>({"awk",
                                                                  "base64",
                                                                  "bc",
                                                                  "cmp",
                                                                  "comm",
                                                                  "cut",
                                                                  "date",
                                                                  "dd",
                                                                  "debconf-communicate",
                                                                  "debconf-set-selections",
                                                                  "df",
                                                                  "diff",
                                                                  "dpkg-query",
                                                                  "dpkg-realpath",
                                                                  "dpkg-vendor",
                                                                  "du",
                                                                  "egrep",
                                                                  "env",
                                                                  "exec",
                                                                  "expr",
                                                                  "file",
                                                                  "gawk",
                                                                  "head",
                                                                  "hostname",
                                                                  "iconv",
                                                                  "locale",
                                                                  "ls",
                                                                  "lsb_release",
                                                                  "mawk",
                                                                  "md5sum",
                                                                  "mktemp",
                                                                  "nl",
                                                                  "od",
                                                                  "printenv",
                                                                  "realpath",
                                                                  "rev",
                                                                  "seq",
                                                                  "setup_colors",
                                                                  "sha256sum",
                                                                  "sha512sum",
                                                                  "sleep",
                                                                  "sort",
                                                                  "stat",
                                                                  "tac",
                                                                  "tail",
                                                                  "tempfile",
                                                                  "tr",
                                                                  "tty",
                                                                  "uname",
                                                                  "uniq",
                                                                  "wc",
                                                                  "whoami",
                                                                  "xxd",
                                                                  "yes",
                                                                  "nproc",
                                                                  "ss",
                                                                  "netstat",
                                                                  "getconf"});

// Manual pages and info are not in images; menus and icon caches are for desktops, and programs
// find icons without them. fontconfig and gio make their caches, or do without, when they are not
// there.
constexpr auto cache_programs = std::to_array<std::string_view>(
    {"catman", "fc-cache", "gio-querymodules", "gtk-update-icon-cache", "gtk4-update-icon-cache",
     "install-docs", "install-info", "mandb", "mkfontdir", "mkfontscale", "update-desktop-database",
     "update-fonts-alias", "update-fonts-dir", "update-fonts-scale", "update-icon-caches",
     "update-info-dir", "update-menus", "apt-xapian-index"});

// Done by other steps of the configuration, or, like byte-code, of the layout.
constexpr auto other_steps = std::to_array<std::string_view>(
    {"grpconv", "gpasswd", "iconvconfig", "ldconfig", "pwconv", "py3compile", "py3versions",
     "pycompile", "pypy3compile", "shadowconfig", "update-ca-certificates", "update-passwd",
     "usermod", "groupmod", "chfn", "chsh", "passwd", "emacs-package-install",
     "emacs-package-remove"});

}  // namespace

bool is_without_effect(std::string_view program) {
  return std::ranges::any_of(
      std::array<Programs, 5>{service_programs, cleaning_programs, asking_programs, cache_programs,
                              other_steps},
      [&](Programs programs) { return std::ranges::find(programs, program) != programs.end(); });
}

}  // namespace fnimage::source::debian
