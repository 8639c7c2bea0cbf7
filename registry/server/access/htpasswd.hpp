// Users and what their passwords are verified by: an htpasswd file with entries of bcrypt, which is
// the one kind that is slow to guess at. Thread-safety: values; pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::server {

/// The name that stands for whoever has not logged in.
inline constexpr std::string_view anonymous_name = "anonymous";

class Htpasswd {
 public:
  /// @param file its name for messages. Error: invalid_input, with the line.
  static Result<Htpasswd> parse(std::string_view text, const std::string& file);

  /// The entry of a user, "$2y$05$…"; null = there is no such user.
  [[nodiscard]] const std::string* find(std::string_view user) const;
  /// The entry to verify by for a user that does not exist, so that it takes as long as with one
  /// that does. @param choice the same for the same name, and not to be foreseen.
  [[nodiscard]] const std::string& decoy(std::uint64_t choice) const;

 private:
  std::map<std::string, std::string, std::less<>> entries_{};
  std::vector<std::string> decoys_{};
};

/// Whether an entry was made of this password. Takes from milliseconds to seconds, as the entry
/// says.
bool verify_bcrypt(const std::string& entry, const std::string& password);

}  // namespace fnimage::server
