// See the header. Thread-safety: see script_state.hpp.
#include "debian/configure/mail_capabilities.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_mail_file = std::uint64_t{1} << 20;
// Of all entries: an application has its command in each of its types, and its name in that.
constexpr std::size_t max_entry_bytes = std::size_t{8} << 20;
constexpr std::string_view mime_directory = "usr/lib/mime/packages";
constexpr std::string_view desktop_directory = "usr/share/applications";
constexpr std::string_view blank_characters = " \t\r\f\v";
constexpr int default_priority = 5;
constexpr int max_priority = 9;

struct MimeEntry {
  std::string text{};
  int priority = default_priority;
  int generality = 0;  ///< "text/*" comes after "text/plain", "*/*" last
};

/// The entries in their order. Too many are none.
class MimeEntries {
 public:
  void add(MimeEntry entry) {
    bytes_ += sizeof entry + entry.text.size();
    if (fits()) {
      entries_.push_back(std::move(entry));
    }
  }
  void refuse() { bytes_ = max_entry_bytes + 1; }
  [[nodiscard]] bool fits() const { return bytes_ <= max_entry_bytes; }
  [[nodiscard]] std::vector<MimeEntry> take() && { return std::move(entries_); }

 private:
  std::vector<MimeEntry> entries_{};
  std::size_t bytes_ = 0;
};

std::string_view skip_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(blank_characters), text.size()));
  return text;
}

std::string_view drop_blanks(std::string_view text) {
  return text.substr(0, text.find_last_not_of(blank_characters) + 1);
}

bool is_no_entry(std::string_view line) {
  const std::string_view text = skip_blanks(line);
  return text.empty() || text.front() == '#';
}

bool is_backup_file(std::string_view name) {
  return name.starts_with('.') || name.starts_with('#') || name.ends_with('~');
}

/// Where "priority=7" is in an entry, with the blanks before it and the semicolon after it.
struct PriorityField {
  std::size_t start = 0;
  std::size_t end = 0;
  int value = default_priority;
};

std::optional<PriorityField> find_priority(std::string_view entry) {
  constexpr std::string_view word = "priority";
  for (std::size_t at = entry.find(word); at != std::string_view::npos;
       at = entry.find(word, at + 1)) {
    std::string_view rest = skip_blanks(entry.substr(at + word.size()));
    if (!rest.starts_with('=')) {
      continue;
    }
    rest = skip_blanks(rest.substr(1));
    PriorityField field{.start = drop_blanks(entry.substr(0, at)).size()};
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), field.value);
    if (parsed.ec != std::errc{} || field.value < 0) {
      continue;
    }
    rest = skip_blanks(rest.substr(static_cast<std::size_t>(parsed.ptr - rest.data())));
    if (rest.empty() || rest.front() == ';') {
      field.end = entry.size() - rest.size() + (rest.empty() ? 0 : 1);
      return field;
    }
  }
  return std::nullopt;
}

int generality_of(std::string_view entry) {
  const std::string_view type = entry.substr(0, entry.find_first_of(blank_characters));
  const std::size_t any = type.find("/*", 1);
  return (any != std::string_view::npos ? 1 : 0) + (entry.starts_with("*/") ? 2 : 0);
}

void add_entry(MimeEntries& entries, std::string_view text) {
  MimeEntry entry{.text = std::string(text), .generality = generality_of(text)};
  if (const auto field = find_priority(text)) {
    entry.priority = field->value <= max_priority ? field->value : default_priority;
    entry.text.erase(field->start, field->end - field->start);
  }
  const std::string_view kept = drop_blanks(entry.text);
  if (kept.ends_with(';')) {
    entry.text.resize(drop_blanks(kept.substr(0, kept.size() - 1)).size());
  }
  entries.add(std::move(entry));
}

// As a shell's pattern finds them: no matter the case, and no hidden ones.
std::vector<std::string> sorted_names(const ImageView& image, std::string_view directory) {
  std::vector<std::string> names = image.names_in(directory);
  std::erase_if(names, [](const std::string& name) { return name.starts_with('.'); });
  std::ranges::sort(names, {},
                    [](const std::string& name) { return std::pair(to_lower(name), name); });
  return names;
}

// The value of "Key=value"; keys are found whatever their case.
std::optional<std::string_view> key_value(std::string_view line, std::string_view key,
                                          bool anywhere) {
  const std::string lower = to_lower(line);
  const std::size_t at = lower.find(fmt::format("{}=", key));
  if (at == std::string::npos || (at > 0 && !anywhere)) {
    return std::nullopt;
  }
  return line.substr(at + key.size() + 1);
}

// Nothing when it becomes longer than any file that is read.
std::optional<std::string> replace_all(std::string_view text, std::string_view from,
                                       std::string_view to) {
  std::string result;
  for (std::size_t at = text.find(from); at != std::string_view::npos; at = text.find(from)) {
    result.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
    if (result.size() > max_mail_file) {
      return std::nullopt;
    }
  }
  return result.append(text);
}

/// An application of a desktop.
struct DesktopEntry {
  std::string condition = "test=test -n \"$DISPLAY\"";
  std::string name{};
  std::string icon{};
  std::optional<std::string> command{};
  std::vector<std::string> types{};
};

void read_desktop_line(std::string_view line, DesktopEntry& entry) {
  if (const auto terminal = key_value(line, "terminal", false)) {
    entry.condition = drop_blanks(*terminal) == "true" ? "needsterminal" : entry.condition;
  } else if (const auto name = key_value(line, "name", false); name && !name->empty()) {
    entry.name = *name;
  } else if (const auto icon = key_value(line, "icon", false); icon && !icon->empty()) {
    entry.icon = *icon;
  } else if (const auto command = key_value(line, "exec", true)) {
    entry.command = *command;
    for (const std::string_view file : {"%f", "%F", "%u", "%U"}) {
      entry.command = replace_all(*entry.command, file, "%s").value_or("");
    }
    *entry.command += entry.command->find("%s") == std::string::npos ? " %s" : "";
  } else if (const auto types = key_value(line, "mimetype", true)) {
    const auto parts = split(*types, ';');
    for (std::size_t i = 0; i < parts.size(); ++i) {
      // Blanks around a semicolon are its.
      const std::string_view start = i > 0 ? skip_blanks(parts[i]) : parts[i];
      const std::string_view type = i + 1 < parts.size() ? drop_blanks(start) : start;
      if (!type.empty()) {
        entry.types.emplace_back(type);
      }
    }
  }
}

void read_desktop_file(std::string_view text, std::string name, MimeEntries& entries) {
  DesktopEntry entry{.name = std::move(name)};
  bool in_group = false;
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with('[') && line.ends_with(']')) {
      in_group = line == "[Desktop Entry]";
    } else if (in_group && !is_no_entry(line)) {
      read_desktop_line(line, entry);
    }
  }
  if (!entry.command) {
    return;
  }
  const auto named = replace_all(*entry.command, "%c", entry.name);
  const auto whole = named ? replace_all(*named, "%i", "--icon " + entry.icon) : std::nullopt;
  if (!whole) {
    entries.refuse();
  }
  for (auto type = entry.types.begin(); type != entry.types.end() && entries.fits(); ++type) {
    add_entry(entries, fmt::format("{}; {}; {}", *type, *whole, entry.condition));
  }
}

/// All entries of an image.
class MimeReader {
 public:
  explicit MimeReader(const ImageView& image) : image_(image) {}

  /// nullopt for more than a file should have.
  Result<std::optional<std::vector<MimeEntry>>> read() {
    FNIMAGE_CHECK(read_packages());
    FNIMAGE_CHECK(read_desktops(std::string(desktop_directory)));
    if (!entries_.fits()) {
      return std::nullopt;
    }
    std::vector<MimeEntry> entries = std::move(entries_).take();
    std::ranges::stable_sort(entries, {}, [](const MimeEntry& entry) {
      return std::pair(-entry.priority, entry.generality);
    });
    return entries;
  }

 private:
  Result<void> read_packages() {
    for (const std::string& name : sorted_names(image_, mime_directory)) {
      const std::string path = fmt::format("{}/{}", mime_directory, name);
      if (is_backup_file(name) || image_.file(path) == nullptr) {
        continue;
      }
      names_.insert(name);
      FNIMAGE_TRY(const std::string text, image_.read(path, max_mail_file));
      for (const std::string_view line : split(text, '\n')) {
        if (!is_no_entry(line)) {
          add_entry(entries_, line);
        }
      }
    }
    return {};
  }

  // Those of directories first.
  Result<void> read_desktops(const std::string& directory) {
    const std::vector<std::string> names = sorted_names(image_, directory);
    for (const std::string& name : names) {
      const std::string path = fmt::format("{}/{}", directory, name);
      if (const layer::Entry* entry = image_.find(path);
          !is_backup_file(name) && entry->type == layer::EntryType::directory) {
        FNIMAGE_CHECK(read_desktops(path));
      }
    }
    constexpr std::string_view suffix = ".desktop";
    for (const std::string& name : names) {
      const std::string path = fmt::format("{}/{}", directory, name);
      if (is_backup_file(name) || !name.ends_with(suffix) || image_.file(path) == nullptr) {
        continue;
      }
      std::string short_name = name.substr(0, name.size() - suffix.size());
      if (names_.insert(short_name).second) {
        FNIMAGE_TRY(const std::string text, image_.read(path, max_mail_file));
        read_desktop_file(text, std::move(short_name), entries_);
      }
    }
    return {};
  }

  const ImageView& image_;
  MimeEntries entries_{};
  std::set<std::string> names_{};  ///< of packages and applications
};

// The old file, or the package's, up to the end of the part that is the user's.
std::optional<std::string> users_part(std::string_view text) {
  const std::size_t start = text.find("\n# ----- User Section Begins");
  const std::size_t end =
      start != std::string_view::npos ? text.find(" Ends ", start) : std::string_view::npos;
  if (end == std::string_view::npos) {
    return std::nullopt;
  }
  return replace_all(text.substr(0, std::min(text.find('\n', end), text.size() - 1) + 1),
                     "install-mime", "update-mime");
}

Result<bool> has_own_order(const ImageView& image) {
  constexpr std::string_view order = "etc/mailcap.order";
  if (image.file("etc/update-mime.conf") != nullptr) {
    return true;
  }
  if (image.file(order) == nullptr) {
    return false;
  }
  FNIMAGE_TRY(const std::string text, image.read(order, max_mail_file));
  const auto lines = split(text, '\n');
  return !std::ranges::all_of(lines, is_no_entry);
}

}  // namespace

Result<Effect> update_mail_capabilities(ScriptState& state) {
  constexpr std::size_t line_width = 79;
  FNIMAGE_TRY(const bool ordered, has_own_order(state.image));
  const std::string_view old =
      state.image.file("etc/mailcap") != nullptr ? "etc/mailcap" : "usr/lib/mime/mailcap";
  if (ordered || state.image.file(old) == nullptr) {
    return Effect::uncovered;
  }
  FNIMAGE_TRY(const std::string text, state.image.read(old, max_mail_file));
  auto made = users_part(text);
  if (!made) {
    return Effect::uncovered;
  }
  *made += fmt::format("\n{}\n\n", std::string(line_width, '#'));
  FNIMAGE_TRY(const auto entries, MimeReader(state.image).read());
  if (!entries) {
    return Effect::uncovered;
  }
  for (const MimeEntry& entry : *entries) {
    *made += entry.text + "\n";
  }
  FNIMAGE_CHECK(state.image.add_file("etc/mailcap", std::move(*made)));
  return Effect::done;
}

}  // namespace fnimage::source::debian
