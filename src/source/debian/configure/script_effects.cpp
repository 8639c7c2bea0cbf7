// See the header. Scripts run by package name, all of the first installation before all triggers,
// so that the result depends on the set of packages only. Thread-safety: all state is local.
#include "debian/configure/script_effects.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/image_tests.hpp"
#include "debian/configure/pam_profiles.hpp"
#include "debian/configure/script_state.hpp"
#include "debian/deb822.hpp"
#include "debian/layout.hpp"

namespace fnimage::source::debian {
namespace {

using layer::Entry;
using layer::EntryType;

constexpr std::size_t max_named_commands = 10;  // of one package
constexpr std::size_t max_named_bytes = 100;
constexpr std::uint64_t max_account_file = std::uint64_t{1} << 20;

// Their scripts are replayed as a whole by steps of their own.
constexpr std::array<std::string_view, 7> packages_with_steps{
    "base-files", "base-passwd", "ca-certificates", "ca-certificates-java",
    "libc-bin",   "locales",     "tzdata"};

// Byte-code is another step's, manual pages are not in images.
bool is_needless(const ShellCommand& command) {
  const bool reads_key =
      command.words.front() == "ssh-keygen" && command.words.size() > 1 && command.words[1] == "-l";
  return reads_key || std::ranges::any_of(command.words, [](const std::string& word) {
           return word.ends_with("/py_compile.py") || word == "py_compile" ||
                  word == "compileall" || word.ends_with("/mandb") ||
                  word.ends_with("/compileall.py");
         });
}

class ImageHost final : public ImageTests {
 public:
  explicit ImageHost(ScriptState& state) : ImageTests(state.image), state_(state) {}

  /// @param before whether the package's own files are not there yet. @param asks_only of `config`.
  void begin(bool before, bool asks_only) {
    before_unpacking_ = before;
    asks_only_ = asks_only;
  }

  ShellAnswer run(const ShellCommand& command) override {
    ShellAnswer answer;
    if (asks_only_) {
      run_query(state_, command, answer);
      return answer;
    }
    const bool is_query = run_query(state_, command, answer);
    if (!command.outputs.empty()) {
      ShellCommand printed = command;
      printed.input = is_query ? answer.output : printed.input;
      settle(write_outputs(state_, printed), command);
    }
    if (is_query) {
      return answer;
    }
    if (auto effect = run_file_command(state_, command)) {
      settle(std::move(*effect), command);
      answer.success = true;
    } else if (auto other = run_debian_command(state_, command, answer)) {
      settle(std::move(*other), command);
    } else {
      run_program(command, answer);
    }
    return answer;
  }

  std::optional<bool> test_file(char kind, const std::string& path) override {
    const layer::Entry* entry = before_unpacking_ ? state_.image.find_real(path) : nullptr;
    const bool comes_with_it = entry != nullptr && entry->type != EntryType::directory &&
                               state_.image.owner(entry->path) == state_.number;
    return comes_with_it ? std::optional(false) : ImageTests::test_file(kind, path);
  }

  /// What was not done since the last call: sorted, each once, the first few.
  std::vector<std::string> take_uncovered() {
    std::vector<std::string> all(uncovered_.begin(), uncovered_.end());
    uncovered_.clear();
    if (all.size() > max_named_commands) {
      const std::size_t more = all.size() - max_named_commands;
      all.resize(max_named_commands);
      all.push_back(fmt::format("and {} more", more));
    }
    return all;
  }

  void name_uncovered(std::string_view text) {
    constexpr std::size_t max_kept = 1'000;
    if (uncovered_.size() < max_kept) {
      uncovered_.insert(printable(text, max_named_bytes));
    }
  }

 private:
  // A program that no rule is about. One that the image does not have does nothing.
  void run_program(const ShellCommand& command, ShellAnswer& answer) {
    const std::string& word = command.words.front();
    const std::string_view name = std::string_view(word).substr(word.rfind('/') + 1);
    if (is_without_effect(name)) {
      return;
    }
    if (word == ":") {  // "> file"
      answer.success = true;
      return;
    }
    const bool is_known = word.find('?') == std::string::npos;
    if ((!is_known && command.is_read) || is_needless(command)) {
      return;
    }
    if (is_known && program_path(state_.image, word).empty()) {
      answer = {.success = false, .output = ""};
      return;
    }
    settle(Effect::uncovered, command);
  }

  // An error of a rule is one of the script's: paths that cannot be, a directory in a file's place.
  void settle(Result<Effect> effect, const ShellCommand& command) {
    if (effect && *effect == Effect::done) {
      return;
    }
    std::string text = join(command.words, " ");
    std::ranges::replace_if(
        text, [](char c) { return c == '\n' || c == '\t'; }, ' ');
    for (const ShellOutput& output : command.outputs) {
      text += (output.appends ? " >> " : " > ") + output.path;
    }
    name_uncovered(text);
  }

  ScriptState& state_;
  bool before_unpacking_ = false;
  bool asks_only_ = false;
  std::set<std::string> uncovered_;
};

Result<std::string> account_file(const ImageView& image, std::string_view path) {
  return image.file(path) == nullptr ? Result<std::string>(std::string())
                                     : image.read(path, max_account_file);
}

class ScriptRunner {
 public:
  ScriptRunner(ScriptState& state, const ConfigureContext& context)
      : state_(state),
        context_(context),
        known_(shell_values(context.architecture, context.triplet)),
        host_(state) {
    known_["defaultpaper"] = "a4";  // libpaper's, by awk, in the C locale
  }

  std::vector<UncoveredScript> run() {
    for (std::size_t i = 0; i < context_.packages.size(); ++i) {
      install(i);
    }
    for (std::size_t i = 0; i < context_.packages.size(); ++i) {
      trigger(i);
    }
    finish_pam();
    std::vector<UncoveredScript> all;
    for (auto& [package, commands] : uncovered_) {
      all.push_back({package, {commands.begin(), commands.end()}});
    }
    return all;
  }

 private:
  [[nodiscard]] bool has_step(std::size_t number) const {
    return std::ranges::find(packages_with_steps, context_.packages[number].name) !=
           packages_with_steps.end();
  }

  void enter(std::size_t number) {
    state_.package = context_.packages[number].name;
    state_.number = number;
    state_.answers.clear();
    known_["DPKG_MAINTSCRIPT_PACKAGE"] = state_.package;
  }

  void install(std::size_t number) {
    read_activations(number);
    if (has_step(number)) {
      return;
    }
    enter(number);
    run_script_of("preinst", {"install", ""}, true);
    run_script_of("config", {"configure", ""}, false);
    run_script_of("postinst", {"configure", ""}, false);
  }

  void run_script_of(std::string_view name, std::vector<std::string> arguments, bool before) {
    const std::string_view text = context_.unpacked[state_.number].control_file(name);
    if (text.empty()) {
      return;
    }
    host_.begin(before, name == "config");
    const std::string_view interpreter = text.substr(0, text.find('\n'));
    const bool is_shell =
        !interpreter.starts_with("#!") || interpreter.find("sh") != std::string_view::npos;
    known_["DPKG_MAINTSCRIPT_NAME"] = name;
    known_["0"] = before ? "/var/lib/dpkg/tmp.ci/preinst"
                         : fmt::format("/var/lib/dpkg/info/{}.{}", state_.package, name);
    if (!is_shell) {
      host_.name_uncovered(fmt::format("{}, which is no shell script", name));
    } else if (!run_script(text, known_, std::move(arguments), host_)) {
      host_.name_uncovered(fmt::format("{}, which is too complex to follow", name));
    }
    for (std::string& command : host_.take_uncovered()) {
      uncovered_[state_.package].insert(std::move(command));
    }
  }

  // "activate NAME" of DEBIAN/triggers.
  void read_activations(std::size_t number) {
    for (const auto& [directive, name] : directives_of(number)) {
      if (directive.starts_with("activate")) {
        state_.triggers.insert(name);
      }
    }
  }

  [[nodiscard]] std::vector<std::pair<std::string, std::string>> directives_of(
      std::size_t number) const {
    std::vector<std::pair<std::string, std::string>> directives;
    for (const std::string_view line :
         split(context_.unpacked[number].control_file("triggers"), '\n')) {
      const auto parts = words(line.substr(0, line.find('#')));
      if (parts.size() == 2) {
        directives.emplace_back(parts[0], parts[1]);
      }
    }
    return directives;
  }

  // The postinst again, for triggers that something of the image activates.
  void trigger(std::size_t number) {
    if (has_step(number)) {
      return;
    }
    std::string names;
    for (const auto& [directive, name] : directives_of(number)) {
      if (directive.starts_with("interest") && is_active(name)) {
        names += (names.empty() ? "" : " ") + name;
      }
    }
    if (!names.empty()) {
      enter(number);
      run_script_of("postinst", {"triggered", names}, false);
    }
  }

  // Asked for by any package, made once.
  void finish_pam() {
    if (state_.pam_requests.empty()) {
      return;
    }
    if (const auto effect = make_pam_stacks(state_); !effect || *effect != Effect::done) {
      for (const auto& [package, command] : state_.pam_requests) {
        uncovered_[package].insert(printable(command, max_named_bytes));
      }
    }
  }

  [[nodiscard]] bool is_active(const std::string& name) const {
    if (!name.starts_with('/')) {
      return state_.triggers.contains(name);
    }
    const auto directory = state_.image.directory(name);
    return directory ? !state_.image.names_in(*directory).empty()
                     : state_.image.file(name) != nullptr;
  }

  ScriptState& state_;
  const ConfigureContext& context_;
  ShellValues known_;
  ImageHost host_;
  std::map<std::string, std::set<std::string>> uncovered_;
};

// The administrative files of dpkg and ucf.
Result<void> write_records(const ScriptState& state) {
  std::string overrides;
  for (const auto& [path, rest] : state.overrides) {
    overrides += fmt::format("{} {}\n", rest, path);
  }
  std::string diversions;
  for (const auto& [path, rest] : state.diversions) {
    diversions += fmt::format("{}\n{}\n", path, rest);
  }
  FNIMAGE_CHECK(state.image.add_file("var/lib/dpkg/statoverride", std::move(overrides)));
  FNIMAGE_CHECK(state.image.add_file("var/lib/dpkg/diversions", std::move(diversions)));
  std::string hashes;
  for (const auto& [path, hash] : state.ucf_hashes) {
    hashes += fmt::format("{}  {}\n", hash, path);
  }
  std::string owners;
  for (const auto& [path, package] : state.ucf_owners) {
    owners += fmt::format("{} \t {}\n", package, path);
  }
  if (!hashes.empty()) {
    FNIMAGE_CHECK(state.image.add_file("var/lib/ucf/hashfile", std::move(hashes)));
    FNIMAGE_CHECK(state.image.add_file("var/lib/ucf/registry", std::move(owners)));
  }
  return {};
}

}  // namespace

Result<std::vector<UncoveredScript>> configure_by_scripts(ImageView& image,
                                                          const ConfigureContext& context) {
  FNIMAGE_TRY(const std::string passwd, account_file(image, "etc/passwd"));
  FNIMAGE_TRY(const std::string group, account_file(image, "etc/group"));
  FNIMAGE_TRY(const std::string first_passwd,
              account_file(image, "usr/share/base-passwd/passwd.master"));
  FNIMAGE_TRY(const std::string first_group,
              account_file(image, "usr/share/base-passwd/group.master"));
  ScriptState state{.image = image,
                    .users = AccountNumbers(passwd),
                    .groups = AccountNumbers(group),
                    .first_users = AccountNumbers(first_passwd),
                    .first_groups = AccountNumbers(first_group),
                    .packages = context.packages,
                    .unpacked = context.unpacked};
  std::vector<UncoveredScript> uncovered = ScriptRunner(state, context).run();
  for (const std::string& path : state.scratch_files) {
    image.remove(path);
  }
  FNIMAGE_CHECK(write_records(state));
  return uncovered;
}

}  // namespace fnimage::source::debian
