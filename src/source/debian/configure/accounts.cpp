// /etc/passwd, /etc/group and /etc/shadow as base-passwd and shadowconfig leave them.
// Thread-safety: see configure.hpp.
#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/configure.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_master = std::uint64_t{1} << 20;
constexpr std::uint32_t group_shadow = 42;

constexpr std::string_view minimal_passwd =
    "root:*:0:0:root:/root:/bin/sh\n"
    "nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
constexpr std::string_view minimal_group =
    "root:*:0:\n"
    "mail:*:8:\n"
    "shadow:*:42:\n"
    "utmp:*:43:\n"
    "nogroup:*:65534:\n";

Result<std::string> master(const ImageView& image, std::string_view path,
                           std::string_view otherwise) {
  return image.resolve(path) == nullptr ? Result<std::string>(std::string(otherwise))
                                        : image.read(path, max_master);
}

// Moves the passwords (all locked) to shadow: "root:*:0:…" -> "root:x:0:…" and
// "root:*:<day>:0:99999:7:::".
void split_passwords(std::string_view text, std::int64_t day, std::string& passwd,
                     std::string& shadow) {
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t name_end = line.find(':');
    const std::size_t password_end =
        name_end == std::string_view::npos ? name_end : line.find(':', name_end + 1);
    if (password_end == std::string_view::npos) {
      continue;
    }
    const std::string_view name = line.substr(0, name_end);
    passwd += fmt::format("{}:x{}\n", name, line.substr(password_end));
    shadow += fmt::format("{}:*:{}:0:99999:7:::\n", name, day);
  }
}

}  // namespace

Result<void> configure_accounts(ImageView& image, const ConfigureContext& context) {
  FNIMAGE_TRY(const std::string passwd_master,
              master(image, "usr/share/base-passwd/passwd.master", minimal_passwd));
  FNIMAGE_TRY(std::string group,
              master(image, "usr/share/base-passwd/group.master", minimal_group));
  std::string passwd;
  std::string shadow;
  split_passwords(passwd_master, context.mtime / 86400, passwd, shadow);
  FNIMAGE_CHECK(image.add_file("etc/passwd", std::move(passwd)));
  FNIMAGE_CHECK(image.add_file("etc/group", std::move(group)));
  return image.add_file("etc/shadow", std::move(shadow), 0640, group_shadow);
}

}  // namespace fnimage::source::debian
