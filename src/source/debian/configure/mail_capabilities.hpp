// /etc/mailcap, which programs show files by: update-mime(8). Thread-safety: see script_state.hpp.
#pragma once

#include "debian/configure/script_state.hpp"

namespace fnimage::source::debian {

/// What packages register in /usr/lib/mime/packages and in the entries of desktops. Uncovered when
/// somebody has set another order.
Result<Effect> update_mail_capabilities(ScriptState& state);

}  // namespace fnimage::source::debian
