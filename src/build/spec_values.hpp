// The small grammars of a build file's values. Private to build. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <fnimage/manifest/validate.hpp>

namespace fnimage::build {

/// `[a-z0-9]+` parts joined by '.', '_', "__" or '-'s: what may be a repository's last part.
bool is_function_name(std::string_view name) noexcept;
/// A layer's name: `[a-z0-9][a-z0-9._-]{0,62}`.
bool is_layer_name(std::string_view name) noexcept;
/// Debian Policy 5.6.1, optionally with "=version" or "/suite".
bool is_package_request(std::string_view text) noexcept;
/// The path of a .deb: "./solver_{deb_arch}.deb"; with a slash, so that it is told from a name.
bool is_local_deb(std::string_view text) noexcept;
/// Debian Policy 5.6.1.
bool is_package_name(std::string_view name) noexcept;
/// A Debian release: `[a-z0-9][a-z0-9./+-]*`, without "..".
bool is_release_name(std::string_view name) noexcept;
/// `[A-Za-z_][A-Za-z0-9_.-]*`
bool is_environment_name(std::string_view name) noexcept;
/// "user[:group]", each a number or a name.
bool is_user(std::string_view text) noexcept;

/// An octal file mode as people write it: "644", "0755", "0o755"; at most 07777.
std::optional<std::uint32_t> parse_mode(std::string_view text) noexcept;

/// What {…} may hold in `files`.
std::span<const std::string_view> placeholder_names() noexcept;
/// The first {…} that is none of them, or a brace without its counterpart.
std::optional<std::string> unknown_placeholder(std::string_view text);
bool has_placeholder(std::string_view text) noexcept;

/// Why no node could use this one of the platforms of a list; nullopt = some can.
std::optional<manifest::Finding> fault_among(std::span<const manifest::Platform> platforms,
                                             std::size_t position);

}  // namespace fnimage::build
