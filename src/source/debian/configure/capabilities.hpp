// File capabilities, as setcap(8) says and the kernel stores them. Thread-safety: pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fnimage::source::debian {

/// The attribute security.capability of "cap_net_raw,cap_net_admin+ep"; nullopt for what is not a
/// single clause with known names.
std::optional<std::string> capability_attribute(std::string_view text);

}  // namespace fnimage::source::debian
