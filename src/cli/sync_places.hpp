// What SRC and DST of `fnimage sync` name: the repositories of a registry or of a directory.
// Thread-safety: belongs to one thread.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/registry/sync.hpp>

namespace fnimage::cli {

/// A side as it is written.
struct SyncPlace {
  std::string registry{};             ///< empty = a directory
  std::filesystem::path directory{};  ///< absolute
  std::string repository{};           ///< below it, or a pattern of repositories; empty = all
  std::optional<registry::Selector> image{};
};

/// "HOST", "HOST/team/", "HOST/team/*", "HOST/team/app", "HOST/team/app:v1", "oci:DIR", or a path
/// that begins with '/' or '.'. Error: invalid_argument.
Result<SyncPlace> parse_sync_source(std::string_view text);
/// "HOST", "HOST/prefix", or a directory.
Result<SyncPlace> parse_sync_destination(std::string_view text);

/// The references in a file, one in each line; empty lines and those that begin with '#' count for
/// nothing. Errors: those of reading; invalid_input, also above 16 MiB.
Result<std::vector<SyncPlace>> read_sync_list(const std::filesystem::path& file);

/// The sources of one command, and what of them goes where.
class SyncSources {
 public:
  explicit SyncSources(registry::Client& client) : client_(client) {}

  /// @param strip a beginning of names that is left out at the destination.
  Result<void> add(const SyncPlace& place, const std::string& strip);
  /// Leaves out what is at the destination already, where both are one registry.
  void leave_out(const SyncPlace& destination);

  [[nodiscard]] const std::vector<registry::SyncItem>& items() const noexcept { return items_; }

 private:
  registry::RepositorySet& set_of(const SyncPlace& place);
  Result<void> add_one(const SyncPlace& place, const std::string& strip);

  registry::Client& client_;
  std::map<std::string, std::unique_ptr<registry::RepositorySet>> sets_;  ///< by registry
  std::vector<registry::SyncItem> items_;
  std::map<std::string, std::size_t> by_source_;  ///< items of single repositories
};

std::unique_ptr<registry::RepositorySet> open_sync_place(const SyncPlace& place,
                                                         registry::Client& client);

}  // namespace fnimage::cli
