// Clear-signed release files, verified by the host's gpgv (apt's own way). Only what gpgv hands
// back as signed text is used; the file as it came never is. Thread-safety: pure but for temporary
// files and one child process.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::source::debian {

/// Who may sign.
struct TrustedKeys {
  std::vector<std::filesystem::path> keyrings{};  ///< binary or armoured
  std::vector<std::string> armoured{};            ///< keys as text
  std::vector<std::string> fingerprints{};        ///< when given, one of them must have signed
};

/// The keys meant by a Signed-By value (or by nothing): files, fingerprints or one armoured key.
/// Fingerprints and an empty value use the default keyrings: Debian's archive keyring, else what
/// apt trusts. Error: not_found without any keyring.
Result<TrustedKeys> trusted_keys(const std::vector<std::string>& signed_by,
                                 const std::filesystem::path& apt_directory);

/// Verifies a clear-signed text and returns the signed part. Errors: verification (no good
/// signature by a trusted key, a bad one, text around the signature), unsupported (no gpgv).
Result<std::string> verify_clear_signed(const std::string& text, const TrustedKeys& keys,
                                        std::string_view what);

/// The text of a clear-signed message without any verification, for sources whose administrator
/// asked for that. Error: verification when it is not one clear-signed message.
Result<std::string> unverified_text(std::string_view text, std::string_view what);

/// Binary form of an ASCII-armoured key file, all its blocks (RFC 4880 section 6.2). Error:
/// invalid_input.
Result<std::string> remove_armour(std::string_view text);

/// What gpgv's status lines say about the signatures; exposed for tests.
Result<void> judge_signatures(std::string_view status_output, const TrustedKeys& keys,
                              std::string_view what);

}  // namespace fnimage::source::debian
