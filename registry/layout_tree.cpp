// See layout_tree.hpp.
#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/layout_reader.hpp>
#include <fnimage/registry/layout_tree.hpp>
#include <fnimage/registry/oci_layout.hpp>

namespace fnimage::registry {

namespace fs = std::filesystem;

namespace {

/// A repository inside of another one is a directory in a layout: it must not be one of its files.
constexpr std::array<std::string_view, 3> names_in_a_layout{"blobs", "index.json", "oci-layout"};

bool clashes_with_a_layout(std::string_view part) noexcept {
  return std::ranges::find(names_in_a_layout, part) != names_in_a_layout.end();
}

bool is_part_character(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/// "." or "_" or "__" or any number of "-"
bool is_part_separator(std::string_view text) noexcept {
  return text == "." || text == "_" || text == "__" ||
         text.find_first_not_of('-') == std::string_view::npos;
}

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

/// Looks for layouts below a directory. What cannot be read is passed over: it may have gone.
class LayoutWalk {
 public:
  explicit LayoutWalk(std::vector<std::string>& found) : found_(found) {}

  void visit(int parent, const char* directory, const std::string& name) {
    const int handle =
        ::openat(parent, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (handle < 0) {
      return;
    }
    const std::unique_ptr<DIR, CloseDirectory> entries(::fdopendir(handle));
    if (!entries) {
      ::close(handle);
      return;
    }
    bool has_marker = false;
    bool has_index = false;
    std::vector<std::string> below;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this thread's own
    while (const dirent* entry = ::readdir(entries.get())) {
      const std::string_view file = entry->d_name;
      has_marker |= file == layout_marker && is_a(*entry, handle, DT_REG);
      has_index |= file == layout_index && is_a(*entry, handle, DT_REG);
      if (part_of_directory(file) && is_a(*entry, handle, DT_DIR)) {
        below.emplace_back(file);
      }
    }
    if (has_marker && has_index && !name.empty()) {
      found_.push_back(name);
    }
    for (const std::string& part : below) {
      std::string inner = (name.empty() ? "" : name + "/") + *part_of_directory(part);
      if (is_valid_repository(inner)) {
        visit(handle, part.c_str(), inner);
      }
    }
  }

 private:
  static bool is_a(const dirent& entry, int directory, unsigned char type) noexcept {
    if (entry.d_type != DT_UNKNOWN) {
      return entry.d_type == type;
    }
    struct stat status {};
    return ::fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           (type == DT_REG ? S_ISREG(status.st_mode) : S_ISDIR(status.st_mode));
  }

  std::vector<std::string>& found_;
};

/// Itself, not what a link leads to.
bool is_directory_itself(const fs::path& path) noexcept {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Result<void> make_directory_itself(const fs::path& path) {
  if (is_directory_itself(path)) {
    return {};
  }
  constexpr mode_t all = 0777;  // less the process's umask
  if (::mkdir(path.c_str(), all) == 0) {
    return sync_directory(path.parent_path());
  }
  if (errno != EEXIST) {
    return fail(error_from_errno(errno, "create directory " + path.string()));
  }
  if (is_directory_itself(path)) {
    return {};  // somebody else was faster
  }
  return fail(ErrorCode::already_exists,
              fmt::format("{} is in the way: it is not a directory", path.string()),
              "move it away; links to other places are not followed in a store");
}

}  // namespace

bool is_valid_part(std::string_view part) noexcept {
  if (part.empty() || !is_part_character(part.front()) || !is_part_character(part.back())) {
    return false;
  }
  const auto end = part.end();
  for (auto at = part.begin(); at != end;) {
    const auto separator = std::find_if_not(at, end, is_part_character);
    at = std::find_if(separator, end, is_part_character);
    if (!is_part_separator({separator, at})) {
      return false;
    }
  }
  return true;
}

bool is_valid_repository(std::string_view name) noexcept {
  constexpr std::size_t longest = 255;
  if (name.size() > longest) {
    return false;
  }
  for (std::size_t from = 0; from <= name.size();) {
    const std::size_t slash = std::min(name.find('/', from), name.size());
    if (!is_valid_part(name.substr(from, slash - from))) {
      return false;
    }
    from = slash + 1;
  }
  return true;
}

std::filesystem::path path_of_repository(std::string_view name) {
  std::filesystem::path path;
  for (const std::string_view part : split(name, '/')) {
    std::string directory(part);
    if (clashes_with_a_layout(part)) {
      directory += '_';
    }
    path /= directory;
  }
  return path;
}

std::optional<std::string> part_of_directory(std::string_view directory) {
  if (directory.ends_with('_')) {
    directory.remove_suffix(1);
    return clashes_with_a_layout(directory) ? std::optional(std::string(directory)) : std::nullopt;
  }
  return is_valid_part(directory) && !clashes_with_a_layout(directory)
             ? std::optional(std::string(directory))
             : std::nullopt;
}

std::vector<std::string> list_layouts(const fs::path& root) {
  std::vector<std::string> found;
  LayoutWalk(found).visit(AT_FDCWD, root.c_str(), {});
  std::ranges::sort(found);
  return found;
}

Result<fs::path> find_layout(const fs::path& root, std::string_view name) {
  fs::path directory = root;
  for (const fs::path& part : path_of_repository(name)) {
    directory /= part;
    if (!is_directory_itself(directory)) {
      return fail(ErrorCode::not_found, fmt::format("no {} in {}", printable(name), root.string()));
    }
  }
  return directory;
}

Result<fs::path> make_layout_in(const fs::path& root, std::string_view name) {
  FNIMAGE_CHECK(make_directories(root));
  fs::path directory = root;
  for (const fs::path& part : path_of_repository(name)) {
    directory /= part;
    FNIMAGE_CHECK(make_directory_itself(directory));
  }
  FNIMAGE_CHECK(make_directory_itself(directory / "blobs"));
  FNIMAGE_CHECK(make_directory_itself(directory / "blobs" / "sha256"));
  FNIMAGE_CHECK(make_layout(directory));
  return directory;
}

}  // namespace fnimage::registry
