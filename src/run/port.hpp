// TCP ports of this machine, told without connecting to anybody (proc(5), /proc/net/tcp).
// Thread-safety: pure functions but for what they ask.
#pragma once

#include <cstdint>
#include <optional>

#include <fnimage/base/result.hpp>

namespace fnimage::run {

/// Whether somebody listens on the port, at any address.
bool is_listening(std::uint16_t port);

struct ChosenPort {
  std::uint16_t port = 0;
  bool is_other = false;  ///< not the usual one, which is taken
};

/// @param wanted taken as it is; not given: `usual`, or a free one. Error: unavailable when the
/// wanted one is in use.
Result<ChosenPort> choose_port(std::optional<std::uint16_t> wanted, std::uint16_t usual);

}  // namespace fnimage::run
