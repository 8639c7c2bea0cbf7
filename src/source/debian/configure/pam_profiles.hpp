// The authentication stacks of /etc/pam.d/common-*, put together from what packages describe in
// /usr/share/pam-configs, as pam-auth-update(8) does when nobody is asked. Thread-safety: see
// script_state.hpp.
#pragma once

#include "debian/configure/script_state.hpp"

namespace fnimage::source::debian {

/// `pam-auth-update --package …` of a script: remembered, since scripts of other packages ask
/// whether the stacks are there, as on a first installation they are not. Uncovered: what such an
/// installation does not do.
Result<Effect> request_pam_stacks(ScriptState& state, const ShellCommand& command);

/// All profiles of the image at once, so that neither the order of packages nor who has asked
/// matters. Uncovered: stacks that something else has made, profiles or templates that are not
/// understood, and a choice that leaves no profile.
Result<Effect> make_pam_stacks(ScriptState& state);

}  // namespace fnimage::source::debian
