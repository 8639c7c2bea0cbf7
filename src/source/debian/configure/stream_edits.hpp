// The few programs of sed(1) and awk(1) that maintainer scripts run over files, where what they do
// is plain: replacing a fixed text, printing a field; cut(1). Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fnimage::source::debian {

/// `sed s/TEXT/OTHER/`, where TEXT is a fixed text, perhaps with "^" before it or "$" behind it;
/// nullopt for any other program. @param extended -E.
std::optional<std::string> substitute_fixed(std::string_view program, bool extended,
                                            std::string_view text);

/// `awk '{print $N}'`; nullopt for any other program.
std::optional<std::string> print_field(std::string_view program, std::string_view text);

/// `cut -d SEPARATOR -f FIELD`: lines without the separator are printed whole. nullopt for lists
/// and ranges of fields.
std::optional<std::string> cut_field(std::string_view separator, std::string_view field,
                                     std::string_view text);

}  // namespace fnimage::source::debian
