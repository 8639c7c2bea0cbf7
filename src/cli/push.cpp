#include "push.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>

namespace fnimage::cli {

build::PublishOptions publish_options(const Session& session) {
  build::PublishOptions options;
  options.parallel = session.registry_options().connections;
  return options;
}

void add_no_lint_flag(CLI::App& command, bool& no_lint) {
  command.add_flag("--no-lint", no_lint,
                   "Publish a list that nodes cannot use, too, see fnimage lint");
}

std::string to_text(const build::Published& published) {
  const registry::TransferResult& result = published.result;
  const std::string referrers = published.referrers == 0
                                    ? std::string()
                                    : fmt::format("; {} referrer{}", published.referrers,
                                                  published.referrers == 1 ? "" : "s");
  return fmt::format("pushed {}@{}  blobs: {} uploaded ({}), {} mounted, {} there already{}\n",
                     published.reference.str(), result.root.digest.str(), result.blobs_uploaded,
                     human_size(result.bytes_uploaded), result.blobs_mounted, result.blobs_existed,
                     referrers);
}

}  // namespace fnimage::cli
