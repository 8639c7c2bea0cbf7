// fnimage resolve: which image of a list each node takes, and why.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/resolve/resolve.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "node_options.hpp"
#include "resolution.hpp"

namespace fnimage::cli {

namespace {

struct ResolveArguments {
  std::string reference;
  NodeArguments nodes;
  std::vector<std::string> runtimes;
  std::vector<std::string> held;
  bool all_runtimes = false;
  bool no_variants = false;
  bool local = false;
};

Result<std::vector<manifest::Runtime>> runtimes_of(const ResolveArguments& arguments) {
  if (arguments.all_runtimes) {
    return manifest::known_runtimes();
  }
  std::vector<manifest::Runtime> runtimes;
  for (const std::string& text : arguments.runtimes) {
    FNIMAGE_TRY(runtimes.emplace_back(), manifest::parse_runtime(text));
  }
  return runtimes;
}

/// @param opened keeps what the options refer to.
Result<resolve::Options> options_of(const ResolveArguments& arguments, const NamedImage& image,
                                    std::vector<NamedImage>& opened, Session& session) {
  resolve::Options options{.variants = !arguments.no_variants};
  if (const auto* tag = std::get_if<std::string>(&image.opened.selector)) {
    options.tag = *tag;
  }
  for (const std::string& text : arguments.held) {
    if (auto digest = manifest::Digest::parse(text)) {
      options.held.push_back({.store = image.opened.store.get(), .selector = std::move(*digest)});
      continue;
    }
    FNIMAGE_TRY(NamedImage held, session.open_image(text, arguments.local));
    options.held.push_back({.store = held.opened.store.get(), .selector = held.opened.selector});
    opened.push_back(std::move(held));
  }
  return options;
}

/// The exit code's error: some node gets nothing.
Result<void> require_all_served(const std::vector<resolve::Answer>& answers) {
  std::vector<std::string> without;
  std::size_t others = 0;
  constexpr std::size_t most = 5;
  for (const resolve::Answer& answer : answers) {
    const std::string name =
        fmt::format("{} ({})", printable(answer.node, 80), answer.runtime.str());
    if (answer.taken) {
      continue;
    }
    if (without.size() < most) {
      without.push_back(name);
    } else {
      ++others;
    }
  }
  if (without.empty()) {
    return {};
  }
  const bool is_unfit =
      std::any_of(answers.begin(), answers.end(), [](const resolve::Answer& answer) {
        return answer.outcome == resolve::Choice::Outcome::unfit;
      });
  return fail(
      ErrorCode::platform_mismatch,
      fmt::format("there is no image for {}{}", join(without, ", "),
                  others == 0 ? "" : fmt::format(" and {} more", others)),
      is_unfit ? "nodes lack what the image requires (requires: in its build file)"
               : "fnimage manifest add puts an image into a list, annotate changes its platform");
}

Result<void> run_resolve(const ResolveArguments& arguments, Session& session) {
  FNIMAGE_TRY(const std::vector<manifest::Runtime> runtimes, runtimes_of(arguments));
  FNIMAGE_TRY(const std::vector<node::Node> machines, nodes_of(arguments.nodes));
  const std::vector<node::Node> nodes = resolve::with_runtimes(machines, runtimes);
  FNIMAGE_TRY(const NamedImage image, session.open_image(arguments.reference, arguments.local));
  std::vector<NamedImage> opened;
  FNIMAGE_TRY(const resolve::Options options, options_of(arguments, image, opened, session));
  FNIMAGE_TRY(manifest::Document root, image.opened.store->get_manifest(image.opened.selector));
  const ResolvedImage asked{.name = image.location.str(), .root = std::move(root)};
  constexpr std::size_t threads = 8;  // they wait for the registry
  WorkerPool pool(threads);
  FNIMAGE_TRY(const std::vector<resolve::Answer> answers,
              resolve::resolve(*image.opened.store, asked.root, nodes, options, pool));
  std::string text;
  if (session.common().json) {
    text = json_lines(to_json(asked, answers));
  } else if (arguments.nodes.files.empty() || machines.size() == 1) {
    FNIMAGE_TRY(text, to_blocks(asked, answers));
  } else {
    text = to_table(asked, answers);
  }
  session.console().result_says_error();
  session.console().print(text);
  return require_all_served(answers);
}

}  // namespace

void set_up_resolve(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ResolveArguments>();
  add_image_argument(command, arguments->reference);
  add_node_options(command, arguments->nodes);
  CLI::Option* runtime =
      command
          .add_option("--runtime", arguments->runtimes,
                      "containerd:2.1, cri-o, podman, docker, docker+containerd, ctr, crane; for "
                      "nodes instead of their own; may be repeated (default: containerd)")
          ->type_name("R");
  command.add_flag("--all-runtimes", arguments->all_runtimes, "All that differ")->excludes(runtime);
  command
      .add_option("--have", arguments->held,
                  "An image that the nodes have, or its digest in the same repository: its layers "
                  "need no download; may be repeated")
      ->type_name("REF");
  command.add_flag("--no-variants", arguments->no_variants,
                   "Only the list itself, as runtimes see it");
  command.add_flag("--local", arguments->local,
                   "Look in the local store, for a name with a registry too");
  complete_with_registry(
      command, registration,
      "Exit code 13: some node gets nothing.\n"
      "Example:\n  fnimage resolve --plain-http --node nodes.json 127.0.0.1:30501/hello:latest\n"
      "nodes.json is what `kubectl get nodes -o json` prints.",
      [arguments](Session& session) { return run_resolve(*arguments, session); });
}

}  // namespace fnimage::cli
