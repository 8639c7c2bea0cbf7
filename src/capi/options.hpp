// Options that come as a JSON object: each member is asked for once by name and type, and one that
// nobody asked for is an error. Private to capi. Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/base/result.hpp>

namespace fnimage::capi {

class Options {
 public:
  /// @param json may be null or empty, which is an empty object. @param what for messages: "options
  /// of fnimage_build". Error: invalid_argument for what is no JSON object.
  static Result<Options> parse(const char* json, std::string what);
  /// Of a value within another.
  static Result<Options> of(nlohmann::json value, std::string what);

  /// Each: nullopt when the member is absent or null. Error: invalid_argument for another type.
  Result<std::optional<std::string>> text(std::string_view name);
  Result<std::optional<bool>> flag(std::string_view name);
  Result<std::optional<std::uint64_t>> number(std::string_view name, std::uint64_t least,
                                              std::uint64_t most);
  Result<std::optional<std::vector<std::string>>> texts(std::string_view name);
  Result<std::optional<std::vector<Options>>> objects(std::string_view name);

  /// The same into a variable that stays as it is without the member.
  Result<void> read(std::string_view name, std::string& value);
  Result<void> read(std::string_view name, std::filesystem::path& value);
  Result<void> read(std::string_view name, bool& value);
  Result<void> read(std::string_view name, std::vector<std::string>& value);

  /// Error: invalid_argument for a member that was not asked for, with the nearest that was.
  [[nodiscard]] Result<void> require_all_known() const;

  [[nodiscard]] tl::unexpected<Error> refuse(std::string_view name, std::string_view problem) const;

 private:
  Options(nlohmann::json value, std::string what)
      : value_(std::move(value)), what_(std::move(what)) {}

  /// Null when absent.
  const nlohmann::json* find(std::string_view name);

  nlohmann::json value_;
  std::string what_;
  std::vector<std::string> known_{};
};

}  // namespace fnimage::capi
