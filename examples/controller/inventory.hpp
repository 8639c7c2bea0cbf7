// What the controller decides by: the nodes of the cluster and the images that are functions, each
// from files of a directory, as a ConfigMap or `kubectl get nodes -o json` leaves them there.
// Thread-safety: refresh() belongs to one thread, state() to any.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/runtime_match.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/place/place.hpp>

namespace controller {

/// Images that are placed, and how.
struct Function {
  std::string images;               ///< a pattern (* and ?) for names without tag and digest
  bool pin = true;                  ///< pods get the list's digest
  std::optional<bool> fail_closed;  ///< nullopt: as the program was told
  std::vector<fnimage::manifest::Runtime> runtimes;  ///< empty = those of the nodes
};

/// Error: invalid_input, beginning with `name`.
fnimage::Result<std::vector<Function>> read_functions(const std::string& text,
                                                      const std::string& name);

struct State {
  std::vector<fnimage::node::Node> nodes{};
  std::vector<Function> functions{};
  fnimage::place::Runtimes runtimes{};  ///< of the nodes, or the usual ones
  std::vector<std::string> problems{};  ///< files that could not be read; printable

  /// The first whose pattern the name matches; null = it is no function.
  [[nodiscard]] const Function* function_of(const std::string& image_name) const;
};

class Inventory {
 public:
  Inventory(std::filesystem::path nodes, std::filesystem::path functions);

  /// Looks at the directories again. What is broken stays as it was when it was good.
  void refresh();
  /// Never null.
  [[nodiscard]] std::shared_ptr<const State> state() const;

 private:
  /// What tells that a file was written or replaced.
  struct Stamp {
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
    std::uintmax_t size = 0;
    std::uintmax_t inode = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  template <class Item>
  struct File {
    Stamp stamp{};
    std::vector<Item> items{};
    std::string problem{};
  };
  template <class Item>
  using Files = std::map<std::string, File<Item>>;

  template <class Item, class Reader>
  bool refresh_files(const std::filesystem::path& directory, Files<Item>& files,
                     std::string& problem, Reader read);

  std::filesystem::path nodes_directory_;
  std::filesystem::path functions_directory_;
  Files<fnimage::node::Node> nodes_;
  Files<Function> functions_;
  std::string nodes_problem_;
  std::string functions_problem_;
  mutable std::mutex mutex_;
  std::shared_ptr<const State> state_;
};

}  // namespace controller
