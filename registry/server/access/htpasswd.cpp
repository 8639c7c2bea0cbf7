#include "access/htpasswd.hpp"

#include <memory>

#include <crypt.h>
#include <fmt/format.h>
#include <openssl/crypto.h>

#include <fnimage/base/text.hpp>

#include "access/lines.hpp"
#include "access/secrets.hpp"

namespace fnimage::server {

namespace {

/// Above, each login would take seconds of a processor.
constexpr int highest_cost = 15;
constexpr int lowest_cost = 4;
/// Of cost 5, as htpasswd makes them, of no password.
constexpr const char* decoy_of_empty_file =
    "$2y$05$uwhu8vndlCNUzaNFoU2HJ.Wq0/6IratTeg/S1eOU4Ftkb7rYJ6oa.";

/// The cost of an entry "$2y$05$" and 53 characters; 0 = it is none.
int cost_of(std::string_view entry) {
  constexpr std::size_t whole = 60;
  constexpr std::size_t salt = 7;
  constexpr std::string_view alphabet =
      "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  constexpr std::string_view kinds = "aby";
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (entry.size() != whole || !entry.starts_with("$2") ||
      kinds.find(entry[2]) == std::string_view::npos || entry[3] != '$' || !is_digit(entry[4]) ||
      !is_digit(entry[5]) || entry[6] != '$' ||
      entry.find_first_not_of(alphabet, salt) != std::string_view::npos) {
    return 0;
  }
  constexpr int base = 10;
  return (entry[4] - '0') * base + (entry[5] - '0');
}

std::string make_hint(std::string_view user) {
  return fmt::format("make it anew: htpasswd -B FILE {}", printable(user, 80));
}

Result<void> check_user(std::string_view user) {
  constexpr std::size_t longest = 255;
  if (user.empty() || user.size() > longest || printable(user) != user) {
    return fail(ErrorCode::invalid_input, "there is no usable name of a user before ':'",
                "lines are USER:ENTRY, as htpasswd -B writes them");
  }
  if (user == anonymous_name || user == "*") {
    return fail(ErrorCode::invalid_input,
                fmt::format("no user can be called {}: the name has a meaning", user),
                "choose another name");
  }
  return {};
}

Result<void> check_entry(std::string_view user, std::string_view entry) {
  const int cost = cost_of(entry);
  if (cost == 0) {
    return fail(ErrorCode::invalid_input,
                fmt::format("the entry of {} is not of bcrypt", printable(user, 80)),
                make_hint(user));
  }
  if (cost < lowest_cost || cost > highest_cost) {
    return fail(ErrorCode::invalid_input,
                fmt::format("the entry of {} has the cost {}, which is not from {} to {}",
                            printable(user, 80), cost, lowest_cost, highest_cost),
                fmt::format("make it anew: htpasswd -B -C 10 FILE {}", printable(user, 80)));
  }
  return {};
}

}  // namespace

Result<Htpasswd> Htpasswd::parse(std::string_view text, const std::string& file) {
  Htpasswd users;
  for (const Line& line : lines_of(text)) {
    const std::size_t colon = std::min(line.text.find(':'), line.text.size());
    const std::string_view user = line.text.substr(0, colon);
    const std::string_view entry = line.text.substr(std::min(colon + 1, line.text.size()));
    auto checked = check_user(user);
    if (checked) {
      checked = check_entry(user, entry);
    }
    if (checked && !users.entries_.emplace(user, entry).second) {
      checked = fail(ErrorCode::invalid_input,
                     fmt::format("{} has an entry before this one", printable(user, 80)),
                     "leave one of them");
    }
    if (!checked) {
      return fail(at_line(file, line.number, checked.error()));
    }
    users.decoys_.emplace_back(entry);
  }
  if (users.decoys_.empty()) {
    users.decoys_.emplace_back(decoy_of_empty_file);
  }
  return users;
}

const std::string* Htpasswd::find(std::string_view user) const {
  const auto found = entries_.find(user);
  return found == entries_.end() ? nullptr : &found->second;
}

const std::string& Htpasswd::decoy(std::uint64_t choice) const {
  return decoys_[choice % decoys_.size()];
}

bool verify_bcrypt(const std::string& entry, const std::string& password) {
  // The library would see a part of it only.
  if (password.find('\0') != std::string::npos) {
    return false;
  }
  const auto work = std::make_unique<crypt_data>();
  const char* made = ::crypt_r(password.c_str(), entry.c_str(), work.get());
  const bool is_same = made != nullptr && equals_in_constant_time(made, entry);
  OPENSSL_cleanse(work.get(), sizeof(crypt_data));
  return is_same;
}

}  // namespace fnimage::server
