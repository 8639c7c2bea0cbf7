// linux/capability.h: struct vfs_cap_data of revision 2, little-endian on every architecture.
#include "debian/configure/capabilities.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include <fnimage/base/text.hpp>

namespace fnimage::source::debian {
namespace {

// By number.
constexpr std::array<std::string_view, 41> capability_names{"chown",
                                                            "dac_override",
                                                            "dac_read_search",
                                                            "fowner",
                                                            "fsetid",
                                                            "kill",
                                                            "setgid",
                                                            "setuid",
                                                            "setpcap",
                                                            "linux_immutable",
                                                            "net_bind_service",
                                                            "net_broadcast",
                                                            "net_admin",
                                                            "net_raw",
                                                            "ipc_lock",
                                                            "ipc_owner",
                                                            "sys_module",
                                                            "sys_rawio",
                                                            "sys_chroot",
                                                            "sys_ptrace",
                                                            "sys_pacct",
                                                            "sys_admin",
                                                            "sys_boot",
                                                            "sys_nice",
                                                            "sys_resource",
                                                            "sys_time",
                                                            "sys_tty_config",
                                                            "mknod",
                                                            "lease",
                                                            "audit_write",
                                                            "audit_control",
                                                            "setfcap",
                                                            "mac_override",
                                                            "mac_admin",
                                                            "syslog",
                                                            "wake_alarm",
                                                            "block_suspend",
                                                            "audit_read",
                                                            "perfmon",
                                                            "bpf",
                                                            "checkpoint_restore"};

constexpr std::uint32_t revision_2 = 0x02000000;
constexpr std::uint32_t effective_flag = 1;

std::optional<std::uint64_t> capability_bits(std::string_view names) {
  std::uint64_t bits = 0;
  for (const std::string_view name : split(names, ',')) {
    if (!name.starts_with("cap_")) {
      return std::nullopt;
    }
    const auto* const found = std::ranges::find(capability_names, name.substr(4));
    if (found == capability_names.end()) {
      return std::nullopt;
    }
    bits |= std::uint64_t{1} << static_cast<unsigned>(found - capability_names.begin());
  }
  return bits;
}

void append_word(std::string& to, std::uint64_t value) {
  for (unsigned byte = 0; byte < 4; ++byte) {
    to += static_cast<char>((value >> (8U * byte)) & 0xFFU);
  }
}

}  // namespace

std::optional<std::string> capability_attribute(std::string_view text) {
  const std::size_t operation = text.find_first_of("+=");
  if (operation == std::string_view::npos) {
    return std::nullopt;
  }
  const auto bits = capability_bits(text.substr(0, operation));
  const std::string_view flags = text.substr(operation + 1);
  if (!bits || flags.find_first_not_of("eip") != std::string_view::npos) {
    return std::nullopt;
  }
  const auto in = [&](char flag) { return flags.find(flag) != std::string_view::npos; };
  const std::uint64_t permitted = in('p') ? *bits : 0;
  const std::uint64_t inheritable = in('i') ? *bits : 0;
  std::string value;
  append_word(value, revision_2 | (in('e') ? effective_flag : 0U));
  for (const unsigned half : {0U, 32U}) {
    append_word(value, permitted >> half);
    append_word(value, inheritable >> half);
  }
  return value;
}

}  // namespace fnimage::source::debian
