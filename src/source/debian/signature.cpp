// gpgv as verifier, see signature.hpp. Status lines: GnuPG doc/DETAILS. Thread-safety: no shared
// state.
#include "debian/signature.hpp"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/bytes.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>

#include "debian/deb822.hpp"
#include "debian/process.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_keyring = std::uint64_t{16} << 20;
constexpr std::string_view begin_message = "-----BEGIN PGP SIGNED MESSAGE-----\n";
constexpr std::string_view begin_signature = "\n-----BEGIN PGP SIGNATURE-----\n";
constexpr std::string_view end_signature = "\n-----END PGP SIGNATURE-----";
constexpr std::string_view begin_key = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
constexpr std::string_view end_key = "-----END PGP PUBLIC KEY BLOCK-----";
constexpr std::string_view archive_keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

bool exists(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

std::vector<std::filesystem::path> default_keyrings(const std::filesystem::path& apt_directory) {
  if (exists(archive_keyring)) {
    return {archive_keyring};
  }
  std::vector<std::filesystem::path> keyrings;
  std::error_code error;
  for (std::filesystem::directory_iterator it(apt_directory / "trusted.gpg.d", error), end;
       !error && it != end; it.increment(error)) {
    if (const auto extension = it->path().extension(); extension == ".gpg" || extension == ".asc") {
      keyrings.push_back(it->path());
    }
  }
  std::sort(keyrings.begin(), keyrings.end());
  return keyrings;
}

// Exactly one signed message and nothing around it: what stands outside is not signed.
bool is_one_clear_signed_message(std::string_view text) {
  const std::size_t signature = text.find(begin_signature);
  if (!text.starts_with(begin_message) || signature == std::string_view::npos) {
    return false;
  }
  const std::size_t end = text.find(end_signature, signature);
  return end != std::string_view::npos && trim(text.substr(end + end_signature.size())).empty() &&
         text.find(begin_message, 1) == std::string_view::npos;
}

Result<void> write_keyrings(const TrustedKeys& keys, const std::filesystem::path& directory,
                            std::vector<std::string>& command) {
  std::size_t number = 0;
  const auto add = [&](std::string_view bytes) -> Result<void> {
    const auto path = directory / fmt::format("keys-{}.gpg", ++number);
    FNIMAGE_CHECK(write_file_atomically(path, bytes, /*durable=*/false));
    command.insert(command.end(), {"--keyring", path.string()});
    return {};
  };
  for (const std::filesystem::path& keyring : keys.keyrings) {
    FNIMAGE_TRY(const std::string bytes, read_file(keyring, max_keyring));
    if (std::string_view(bytes).find(begin_key) != std::string_view::npos) {
      FNIMAGE_TRY(const std::string binary, remove_armour(bytes));
      FNIMAGE_CHECK(add(binary));
    } else {
      FNIMAGE_CHECK(add(bytes));
    }
  }
  for (const std::string& text : keys.armoured) {
    FNIMAGE_TRY(const std::string binary, remove_armour(text));
    FNIMAGE_CHECK(add(binary));
  }
  return {};
}

bool is_wanted_fingerprint(const std::vector<std::string>& wanted,
                           const std::vector<std::string_view>& valid_signature) {
  if (wanted.empty()) {
    return true;
  }
  // VALIDSIG <fingerprint> … <fingerprint of the primary key>
  return std::any_of(wanted.begin(), wanted.end(), [&](std::string_view fingerprint) {
    const bool exact = fingerprint.ends_with('!');  // "!" = this very key, no subkeys
    fingerprint = exact ? fingerprint.substr(0, fingerprint.size() - 1) : fingerprint;
    return equals_ignoring_case(fingerprint, valid_signature[2]) ||
           (!exact && equals_ignoring_case(fingerprint, valid_signature.back()));
  });
}

bool is_weak_hash(std::string_view algorithm) {
  return algorithm == "1" || algorithm == "2" || algorithm == "3";  // MD5, SHA-1, RIPEMD-160
}

}  // namespace

Result<TrustedKeys> trusted_keys(const std::vector<std::string>& signed_by,
                                 const std::filesystem::path& apt_directory) {
  TrustedKeys keys;
  for (const std::string& value : signed_by) {
    if (value.starts_with('/')) {
      keys.keyrings.emplace_back(value);
    } else if (value.find(begin_key) != std::string::npos) {
      keys.armoured.push_back(value);
    } else {
      keys.fingerprints.push_back(value);
    }
  }
  if (keys.keyrings.empty() && keys.armoured.empty()) {
    keys.keyrings = default_keyrings(apt_directory);
  }
  if (keys.keyrings.empty() && keys.armoured.empty()) {
    return fail(ErrorCode::not_found, "no keyring to verify Debian's release files with",
                "install debian-archive-keyring, or name a keyring in the build file");
  }
  return keys;
}

Result<std::string> remove_armour(std::string_view text) {
  std::string binary;
  std::size_t at = text.find(begin_key);
  if (at == std::string_view::npos) {
    return fail(ErrorCode::invalid_input, "no armoured key in the keyring");
  }
  while (at != std::string_view::npos) {
    const std::size_t end = text.find(end_key, at);
    if (end == std::string_view::npos) {
      return fail(ErrorCode::invalid_input, "armoured key without an end line");
    }
    std::string base64;
    bool in_headers = true;
    std::string_view block = text.substr(at + begin_key.size(), end - at - begin_key.size());
    block.remove_prefix(std::min(block.find('\n') + 1, block.size()));
    for (const std::string_view raw : split(block, '\n')) {
      const std::string_view line = trim(raw);
      in_headers = in_headers && line.find(':') != std::string_view::npos;
      if (!in_headers && !line.starts_with('=')) {
        base64 += line;
      }
    }
    FNIMAGE_TRY(const std::string bytes, from_base64(base64));
    binary += bytes;
    at = text.find(begin_key, end);
  }
  return binary;
}

Result<void> judge_signatures(std::string_view status_output, const TrustedKeys& keys,
                              std::string_view what) {
  bool good = false;
  bool accepted = false;
  std::string reason = "not signed by a trusted key";
  for (const std::string_view line : split(status_output, '\n')) {
    const auto parts = words(line);
    if (parts.size() < 2 || parts[0] != "[GNUPG:]") {
      continue;
    }
    if (parts[1] == "BADSIG") {
      return fail(ErrorCode::verification,
                  fmt::format("{}: bad signature: the text was changed", what),
                  "the mirror or a proxy changes the file; use another mirror");
    }
    if (parts[1] == "GOODSIG") {
      good = true;
    } else if (parts[1] == "NEWSIG" || parts[1] == "ERRSIG") {
      good = false;
    } else if (parts[1] == "EXPSIG" || parts[1] == "EXPKEYSIG" || parts[1] == "REVKEYSIG") {
      good = false;
      reason = parts[1] == "REVKEYSIG" ? "signed by a revoked key" : "signed by an expired key";
    } else if (parts[1] == "NO_PUBKEY" && parts.size() > 2) {
      reason = fmt::format("signed by the key {}, which is not trusted", printable(parts[2], 40));
    } else if (parts[1] == "VALIDSIG" && parts.size() > 9 && good) {
      if (is_weak_hash(parts[9])) {
        reason = "signed with a weak hash algorithm";
      } else {
        accepted = accepted || is_wanted_fingerprint(keys.fingerprints, parts);
      }
    }
  }
  if (!accepted) {
    return fail(ErrorCode::verification, fmt::format("{}: {}", what, reason),
                "update debian-archive-keyring, or name the archive's keyring in the build file");
  }
  return {};
}

Result<std::string> unverified_text(std::string_view text, std::string_view what) {
  const std::size_t body = text.find("\n\n");
  const std::size_t signature = text.find(begin_signature);
  if (!is_one_clear_signed_message(text) || body >= signature) {
    return fail(ErrorCode::verification, fmt::format("{}: not one clear-signed message", what));
  }
  std::string result;
  for (std::string_view line : split(text.substr(body + 2, signature - body - 2), '\n')) {
    result += line.starts_with("- ") ? line.substr(2) : line;
    result += '\n';
  }
  return result;
}

Result<std::string> verify_clear_signed(const std::string& text, const TrustedKeys& keys,
                                        std::string_view what) {
  if (!is_one_clear_signed_message(text)) {
    return fail(ErrorCode::verification, fmt::format("{}: not one clear-signed message", what),
                "the mirror or a proxy delivers another page; open the address in a browser");
  }
  FNIMAGE_TRY(const auto directory, TemporaryDirectory::create("fnimage-verify"));
  const auto message = directory.path() / "message";
  FNIMAGE_CHECK(write_file_atomically(message, text, /*durable=*/false));
  std::vector<std::string> command{"gpgv", "--homedir", directory.path().string(), "--status-fd",
                                   "2"};
  FNIMAGE_CHECK(write_keyrings(keys, directory.path(), command));
  command.insert(command.end(), {"--output", "-", message.string()});
  auto output = run_program(command);
  if (!output && output.error().code() == ErrorCode::not_found) {
    return fail(ErrorCode::unsupported,
                "gpgv, which verifies Debian's release files, is not installed",
                "install it: apt-get install gpgv");
  }
  FNIMAGE_CHECK(output);
  FNIMAGE_CHECK(judge_signatures(output->standard_error, keys, what));
  return std::move(output->standard_output);
}

}  // namespace fnimage::source::debian
