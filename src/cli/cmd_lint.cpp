// fnimage lint: whether the nodes of a cluster can use a list, whatever container runtime they
// have. Only the list and the configs of its images are read.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/check/list.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "lint_report.hpp"

namespace fnimage::cli {

namespace {

struct LintArguments {
  std::vector<std::string> references;
  bool strict = false;
  bool local = false;
};

struct Linted {
  std::string name;
  manifest::Document root;
  std::size_t entries = 0;  ///< of a list
  std::vector<manifest::Finding> findings{};
};

Result<Linted> lint_reference(const std::string& reference, bool local, Session& session) {
  FNIMAGE_TRY(const NamedImage image, session.open_image(reference, local));
  FNIMAGE_TRY(manifest::Document root, image.opened.store->get_manifest(image.opened.selector));
  Linted linted{.name = image.location.str(), .root = std::move(root)};
  if (linted.root.is_index()) {
    FNIMAGE_TRY(const manifest::Index index, linted.root.index());
    linted.entries = index.manifests.size();
  }
  FNIMAGE_TRY(linted.findings, check::lint_stored(*image.opened.store, linted.root,
                                                  session.registry_options().connections));
  return linted;
}

std::string lint_text(const Linted& linted) {
  const std::string kind = linted.root.is_index()
                               ? fmt::format("list of {}", linted.entries)
                               : std::string("single image, pulled by nodes of any platform");
  return fmt::format("{}\n{}  {}: {}\n", printable(linted.name), linted.root.digest().str(), kind,
                     count_findings(linted.findings)) +
         cli::to_text(linted.findings, "  ");
}

nlohmann::ordered_json lint_json(const Linted& linted, bool is_good) {
  return {{"reference", linted.name},
          {"digest", linted.root.digest().str()},
          {"mediaType", linted.root.media_type()},
          {"list", linted.root.is_index()},
          {"good", is_good},
          {"findings", to_json(linted.findings)}};
}

/// Prints what was found of all before it says what is wrong with the first.
Result<void> run_lint(const LintArguments& arguments, Session& session) {
  std::string text;
  nlohmann::ordered_json values = nlohmann::ordered_json::array();
  Result<void> verdict;
  for (const std::string& reference : arguments.references) {
    FNIMAGE_TRY(const Linted linted, lint_reference(reference, arguments.local, session));
    const Result<void> good = require_good(linted.findings, arguments.strict, linted.name);
    verdict = verdict ? good : verdict;
    text += lint_text(linted);
    values.push_back(lint_json(linted, good.has_value()));
  }
  session.console().result_says_error();
  session.console().print(session.common().json ? json_lines({{"lists", std::move(values)}})
                                                : text);
  return verdict;
}

}  // namespace

void set_up_lint(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<LintArguments>();
  command
      .add_option(
          "REF", arguments->references,
          "registry/name:tag, name@digest, oci:DIR[:tag], oci-archive:FILE[:tag], or a name "
          "of the local store")
      ->required();
  command.add_flag("--strict", arguments->strict, "Warnings count as errors");
  command.add_flag("--local", arguments->local,
                   "Look in the local store, for a name with a registry too");
  complete_with_registry(
      command, registration,
      "Exit code 13: nodes of some platform get nothing, or another platform's image; 3: the list\n"
      "is wrong otherwise. Layers are not read: `fnimage check` does that.\n"
      "Example:\n  fnimage lint --plain-http 127.0.0.1:30501/hello:latest",
      [arguments](Session& session) { return run_lint(*arguments, session); });
}

}  // namespace fnimage::cli
