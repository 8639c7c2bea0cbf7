// tmpfiles.d(5): directories, files and links that packages ask for. Thread-safety: see
// script_state.hpp.
#pragma once

#include <string>
#include <vector>

#include "debian/configure/script_state.hpp"

namespace fnimage::source::debian {

/// `systemd-tmpfiles --create NAME…`. Uncovered when a line asks for something else.
Result<Effect> make_temporary_files(ScriptState& state, const std::vector<std::string>& names);

}  // namespace fnimage::source::debian
