// fnimage lock: the Debian packages of every platform into fnimage.lock, and what there is to know
// about them.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/lock.hpp>

#include "build_session.hpp"
#include "command.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

using build::LockChange;
using build::LockResult;
using build::PackageReason;
using build::PackageSkew;

struct LockArguments {
  BuildFileOptions build_file;
  bool check = false;
  bool explain = false;
  std::string bundle;
};

std::uint64_t download_size(const source::PackageSet& set) {
  std::uint64_t size = 0;
  for (const source::DebianPackage& package : set.packages) {
    size += package.size;
  }
  return size;
}

std::uint64_t installed_size(const source::PackageSet& set) {
  std::uint64_t size = 0;
  for (const source::DebianPackage& package : set.packages) {
    size += package.installed_size;
  }
  return size;
}

std::string to_line(const LockChange& change) {
  const std::string where = join(change.platforms, ", ");
  if (change.from.empty()) {
    return fmt::format("  + {} {} ({})\n", change.name, change.to, where);
  }
  if (change.to.empty()) {
    return fmt::format("  - {} {} ({})\n", change.name, change.from, where);
  }
  return fmt::format("  ~ {} {} -> {} ({})\n", change.name, change.from, change.to, where);
}

std::string to_line(const PackageSkew& skew) {
  std::vector<std::string> versions;
  for (const auto& [platform, version] : skew.versions) {
    versions.push_back(fmt::format("{} on {}", version, platform));
  }
  return fmt::format("  {} {}{}{}\n", skew.name, skew.partial ? "only " : "", join(versions, ", "),
                     skew.rebuild ? " (rebuilt from the same source)" : "");
}

std::string sets_text(const LockResult& result) {
  std::string text;
  for (const source::PackageSet& set : result.sets) {
    text += fmt::format("{:18} {:>5} packages, {} to download\n", set.platform.str(),
                        set.packages.size(), human_size(download_size(set)));
  }
  return text;
}

std::string to_text(const LockResult& result, const std::string& file, bool check) {
  std::string text = sets_text(result);
  if (!result.skew.empty()) {
    text += "not the same on every platform:\n";
    for (const PackageSkew& skew : result.skew) {
      text += to_line(skew);
    }
  }
  const bool is_new = std::ranges::all_of(
      result.changes, [](const LockChange& change) { return change.from.empty(); });
  if (!is_new) {
    text += "changed:\n";
    for (const LockChange& change : result.changes) {
      text += to_line(change);
    }
  }
  const std::string_view done = check ? (result.changed ? "would change" : "is current")
                                      : (result.changed ? "written" : "unchanged");
  return text + fmt::format("{}: {}\n", printable(file), done);
}

std::string reasons_text(const source::PackageSet& set) {
  std::string text =
      fmt::format("{}: {} packages, {} to download, {} installed\n{:>10} {:>10}  {:<32}  {}\n",
                  set.platform.str(), set.packages.size(), human_size(download_size(set)),
                  human_size(installed_size(set)), "INSTALLED", "SAVES", "PACKAGE", "WANTED BY");
  for (const PackageReason& reason : build::explain(set)) {
    text += fmt::format("{:>10} {:>10}  {:<32}  {}\n", human_size(reason.installed_size),
                        human_size(reason.saves), fmt::format("{} {}", reason.name, reason.version),
                        reason.chain.empty() ? "asked for" : join(reason.chain, " -> "));
  }
  return text;
}

nlohmann::ordered_json package_json(const source::DebianPackage& package) {
  return {{"name", package.name},         {"version", package.version},
          {"arch", package.architecture}, {"suite", package.suite},
          {"size", package.size},         {"sha256", std::string(package.sha256.hex())}};
}

nlohmann::ordered_json reason_json(const PackageReason& reason) {
  return {{"name", reason.name},
          {"version", reason.version},
          {"size", reason.size},
          {"installed_size", reason.installed_size},
          {"wanted_by", reason.chain},
          {"saves", reason.saves},
          {"saves_packages", reason.saves_packages}};
}

nlohmann::ordered_json skew_json(const PackageSkew& skew) {
  nlohmann::ordered_json versions = nlohmann::ordered_json::object();
  for (const auto& [platform, version] : skew.versions) {
    versions[platform] = version;
  }
  return {{"name", skew.name},
          {"versions", std::move(versions)},
          {"partial", skew.partial},
          {"rebuild", skew.rebuild}};
}

nlohmann::ordered_json result_json(const LockResult& result, const std::string& file,
                                   bool explain) {
  nlohmann::ordered_json platforms = nlohmann::ordered_json::array();
  for (const source::PackageSet& set : result.sets) {
    nlohmann::ordered_json packages = nlohmann::ordered_json::array();
    if (explain) {
      for (const PackageReason& reason : build::explain(set)) {
        packages.push_back(reason_json(reason));
      }
    } else {
      for (const source::DebianPackage& package : set.packages) {
        packages.push_back(package_json(package));
      }
    }
    platforms.push_back({{"platform", set.platform.str()}, {"packages", std::move(packages)}});
  }
  nlohmann::ordered_json changes = nlohmann::ordered_json::array();
  for (const LockChange& change : result.changes) {
    changes.push_back({{"name", change.name},
                       {"from", change.from},
                       {"to", change.to},
                       {"platforms", change.platforms}});
  }
  nlohmann::ordered_json skews = nlohmann::ordered_json::array();
  for (const PackageSkew& skew : result.skew) {
    skews.push_back(skew_json(skew));
  }
  return {{"file", file},
          {"changed", result.changed},
          {"platforms", std::move(platforms)},
          {"changes", std::move(changes)},
          {"skew", std::move(skews)}};
}

std::string output_of(const LockResult& result, const LockArguments& arguments,
                      const std::string& file, const CommonOptions& common) {
  if (common.json) {
    return json_lines(result_json(result, file, arguments.explain));
  }
  if (common.quiet) {
    return {};
  }
  if (!arguments.explain) {
    return to_text(result, file, arguments.check);
  }
  std::string text;
  for (const source::PackageSet& set : result.sets) {
    text += reasons_text(set);
  }
  return text;
}

Result<void> run_lock(const LockArguments& arguments, Session& session) {
  const bool look_only = arguments.check || arguments.explain;
  if (look_only && !arguments.bundle.empty()) {
    return fail(ErrorCode::invalid_argument, "--bundle writes, --check and --explain do not",
                "run the command twice");
  }
  FNIMAGE_TRY(const build::BuildSpec spec, read_spec(arguments.build_file));
  FNIMAGE_TRY(const auto builder, BuildSession::open(arguments.build_file, 0, session));
  const build::LockOptions options{.lock_file = build::lock_path(spec),
                                   .write = !look_only,
                                   .bundle = arguments.bundle,
                                   .offline = arguments.build_file.offline};
  FNIMAGE_TRY(const LockResult result, build::lock(spec, options, builder->environment()));
  const std::string file = options.lock_file.string();
  session.console().print(output_of(result, arguments, file, session.common()));
  if (arguments.check && result.changed) {
    return fail(ErrorCode::verification,
                fmt::format("{} is not what the package sources give now", printable(file)),
                "run `fnimage lock` and look at what changes");
  }
  return {};
}

}  // namespace

void set_up_lock(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<LockArguments>();
  add_build_file_options(command, arguments->build_file);
  command.add_flag("--check", arguments->check, "Write nothing; fail when the file would change");
  command.add_flag("--explain", arguments->explain,
                   "Write nothing; show what pulls in what, and what\nleaving it out would save");
  command
      .add_option("--bundle", arguments->bundle,
                  "Also put the packages here, for a site without mirror;\na lock that is there is "
                  "kept")
      ->type_name("DIR");
  add_cache_options(command, arguments->build_file);
  complete_with_registry(
      command, registration,
      "`fnimage build` uses exactly the packages of fnimage.lock when it is there.\n"
      "Example:\n  fnimage lock --explain digits",
      [arguments](Session& session) { return run_lock(*arguments, session); });
}

}  // namespace fnimage::cli
