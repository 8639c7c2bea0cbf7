// fnimage push: from the local store to registries.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "command.hpp"
#include "json_text.hpp"
#include "push.hpp"

namespace fnimage::cli {

namespace {

struct PushArguments {
  std::vector<std::string> references;
};

/// The local store and the digest that each reference stands for there.
Result<std::vector<manifest::Digest>> find_all(registry::ImageStore& local,
                                               const std::vector<manifest::Reference>& wanted) {
  std::vector<manifest::Digest> found;
  for (const manifest::Reference& reference : wanted) {
    FNIMAGE_TRY(const auto descriptor, local.resolve(reference.str()));
    if (!descriptor) {
      return fail(ErrorCode::not_found,
                  fmt::format("no image {} in the local store", reference.str()),
                  fmt::format("build it with `fnimage build -t {}`; `fnimage images` lists what is "
                              "there",
                              reference.str()));
    }
    found.push_back(descriptor->digest);
  }
  return found;
}

Result<void> run_push(const PushArguments& arguments, Session& session) {
  std::vector<manifest::Reference> references;
  for (const std::string& text : arguments.references) {
    FNIMAGE_TRY(manifest::Reference reference, parse_destination(text));
    references.push_back(std::move(reference));
  }
  FNIMAGE_TRY(const auto local, Session::local_store(registry::OciLayout::Mode::create));
  FNIMAGE_TRY(const std::vector<manifest::Digest> digests, find_all(*local, references));
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < references.size(); ++i) {
    FNIMAGE_TRY(const Pushed pushed, push(*local, digests[i], references[i], true, session));
    if (session.common().json) {
      results.push_back(to_json(pushed));
    } else {
      session.console().print(session.common().quiet ? pushed.result.root.digest.str() + "\n"
                                                     : to_text(pushed));
    }
  }
  if (session.common().json) {
    session.console().print(json_lines({{"pushed", std::move(results)}}));
  }
  return {};
}

}  // namespace

void add_push(CLI::App& app, Registration registration) {
  const auto arguments = std::make_shared<PushArguments>();
  CLI::App& command = *app.add_subcommand("push", "Publish images of the local store");
  command.add_option("REF", arguments->references, "registry/name:tag, as built with -t")
      ->required();
  add_common_options(command, registration.settings.common);
  add_registry_options(command, registration.settings.registry);
  command.footer(
      "Each platform is tagged <tag>-<arch> too.\n"
      "Example:\n  fnimage push --plain-http 127.0.0.1:30501/hello:latest");
  command.callback([arguments, registration] {
    registration.action = [arguments](Session& session) { return run_push(*arguments, session); };
  });
}

}  // namespace fnimage::cli
