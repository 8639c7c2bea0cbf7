// The rules about what runtimes make of a list, and those that need more than one entry. See
// lint.hpp.
#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/lint.hpp>

#include "lint_matrix.hpp"

namespace fnimage::manifest {

namespace {

constexpr std::size_t longest_shown = 100;

std::string path_of(std::size_t entry) {
  return fmt::format("/manifests/{}", entry);
}

std::string name_of(const Descriptor& entry) {
  if (!entry.platform) {
    return "the entry without platform";
  }
  std::string name = printable(entry.platform->str(), longest_shown);
  if (!entry.platform->os_features.empty()) {
    name += " with os.features";
  }
  return name;
}

std::string name_of(const MatrixRow& row) {
  return printable(row.node.platform.str(), longest_shown);
}

std::string_view verb_for(std::string_view names, std::string_view one, std::string_view several) {
  return names.find(',') == std::string_view::npos ? one : several;
}

/// Finds what is wrong in one list.
class Linter {
 public:
  Linter(const Index& index, const ConfigPlatforms& configs)
      : index_(index),
        configs_(configs),
        matrix_(matrix_of(index, configs)),
        known_(validate(index)) {
    for (const Finding& finding : known_) {
      const auto entry = entry_of(finding);
      if (entry && is_about_name(finding)) {
        name_fixes_.try_emplace(*entry, finding.fix);
      } else if (entry && finding.rule == "duplicate-platform") {
        duplicates_.insert(*entry);
      }
    }
  }

  std::vector<Finding> run() && {
    for (const MatrixRow& row : matrix_.rows) {
      judge_nothing_taken(row);
      judge_different_images(row);
      judge_order(row);
      judge_pulls(row);
    }
    judge_never_taken();
    judge_digests();
    judge_configs();
    judge_nesting();
    if (matrix_.left_out > 0) {
      findings_.push_back({"many-platforms", "/manifests",
                           fmt::format("{} entries are for further platforms, which were not "
                                       "looked at",
                                       matrix_.left_out),
                           "split the list", false});
    }
    return take();
  }

 private:
  void judge_nothing_taken(const MatrixRow& row) {
    std::vector<bool> without(matrix_.runtimes.size());
    bool on_kubernetes = false;
    bool on_nodes = false;
    for (std::size_t i = 0; i < without.size(); ++i) {
      // Tools that compare literally are asked for ARM without a variant as often as with one.
      without[i] =
          !row.taken[i] && (is_of_nodes(matrix_.runtimes[i]) || row.node.platform.variant.empty());
      on_kubernetes = on_kubernetes || (row.taken[i] && is_of_kubernetes(matrix_.runtimes[i]));
      on_nodes = on_nodes || (row.taken[i] && is_of_nodes(matrix_.runtimes[i]));
    }
    const auto first = std::find(without.begin(), without.end(), true);
    if (first == without.end()) {
      return;
    }
    const std::size_t entry = row.meant.front();
    const RuntimeChoice choice = choose_for(
        index_, matrix_.runtimes[static_cast<std::size_t>(first - without.begin())], row.node);
    const std::string names = on_nodes ? name_runtimes(without) : "nodes";
    findings_.push_back(
        {"nothing-taken", path_of(entry) + "/platform",
         fmt::format("{} {} nothing on {}: {}{}", names,
                     on_nodes ? verb_for(names, "takes", "take") : "take", name_of(row),
                     row.meant.size() > 1 ? name_of(index_.manifests[entry]) + " " : "",
                     choice.verdicts[entry].reason),
         fix_of(row, "list an image for " + row.node.platform.str() +
                         " without variant and os.features"),
         !on_kubernetes, row.node.platform.str()});
    told_.insert(row.meant.begin(), row.meant.end());
  }

  /// Of what validate() says about the names, since that is the cause.
  [[nodiscard]] std::string fix_of(const MatrixRow& row, std::string otherwise) const {
    for (const std::size_t entry : row.meant) {
      if (const auto fix = name_fixes_.find(entry); fix != name_fixes_.end()) {
        return fix->second;
      }
    }
    return otherwise;
  }

  static bool is_about_name(const Finding& finding) {
    return finding.rule == "platform-name" || finding.rule == "platform-variant";
  }

  /// The entry that a finding of validate() is about.
  static std::optional<std::size_t> entry_of(const Finding& finding) {
    constexpr std::string_view prefix = "/manifests/";
    std::size_t entry = 0;
    const std::string& path = finding.path;
    return path.starts_with(prefix) &&
                   std::from_chars(path.data() + prefix.size(), path.data() + path.size(), entry)
                           .ec == std::errc()
               ? std::optional(entry)
               : std::nullopt;
  }

  /// The image that most nodes take.
  [[nodiscard]] std::optional<std::size_t> usual_of(const MatrixRow& row) const {
    std::map<std::size_t, std::size_t> counts;
    for (std::size_t i = 0; i < row.taken.size(); ++i) {
      if (row.taken[i] && is_of_nodes(matrix_.runtimes[i])) {
        ++counts[*row.taken[i]];
      }
    }
    const auto most =
        std::max_element(counts.begin(), counts.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == counts.end() ? std::nullopt : std::optional(most->first);
  }

  void judge_different_images(const MatrixRow& row) {
    const auto usual = usual_of(row);
    std::map<std::size_t, std::vector<bool>> others;
    for (std::size_t i = 0; usual && i < row.taken.size(); ++i) {
      const auto taken = row.taken[i];
      if (taken && is_of_nodes(matrix_.runtimes[i]) &&
          index_.manifests[*taken].digest != index_.manifests[*usual].digest) {
        auto& chosen = others[*taken];
        chosen.resize(row.taken.size());
        chosen[i] = true;
      }
    }
    if (others.empty()) {
      return;
    }
    std::vector<std::string> parts;
    for (const auto& [entry, chosen] : others) {
      const std::string names = name_runtimes(chosen);
      parts.push_back(
          fmt::format("{} {} {}", names, verb_for(names, "takes", "take"), described(entry)));
      told_.insert(entry);
    }
    findings_.push_back({"different-images", path_of(others.begin()->first),
                         fmt::format("on {} {}, others take {}", name_of(row), join(parts, ", "),
                                     described(*usual)),
                         "keep one entry for each platform, and publish others under tags of "
                         "their own",
                         false, row.node.platform.str()});
  }

  /// An entry beside others for the same nodes.
  [[nodiscard]] std::string described(std::size_t entry) const {
    const Descriptor& descriptor = index_.manifests[entry];
    constexpr int shown_digits = 12;
    return fmt::format("{} ({}:{:.{}})", name_of(descriptor), descriptor.digest.algorithm(),
                       descriptor.digest.hex(), shown_digits);
  }

  /// Tools that take the first entry of the architecture, whatever its variant.
  void judge_order(const MatrixRow& row) {
    const auto usual = usual_of(row);
    for (std::size_t i = 0; usual && i < row.taken.size(); ++i) {
      const auto taken = row.taken[i];
      if (is_of_nodes(matrix_.runtimes[i]) || !taken || *taken >= *usual ||
          index_.manifests[*taken].digest == index_.manifests[*usual].digest) {
        continue;
      }
      std::vector<bool> tool(row.taken.size());
      tool[i] = true;
      findings_.push_back({"baseline-not-first", path_of(*taken),
                           fmt::format("on {} {} takes {}, which stands before {}", name_of(row),
                                       name_runtimes(tool), described(*taken), described(*usual)),
                           "list the entry without variant and os.features first", false,
                           row.node.platform.str()});
    }
  }

  void judge_pulls(const MatrixRow& row) {
    std::vector<bool> chosen(matrix_.runtimes.size());
    std::size_t most = 1;
    for (std::size_t i = 0; i < chosen.size() && row.meant.size() > 1; ++i) {
      if (matrix_.runtimes[i].kind != RuntimeKind::containerd) {
        continue;
      }
      const RuntimeChoice choice = choose_for(index_, matrix_.runtimes[i], row.node);
      const auto pulled = static_cast<std::size_t>(std::count_if(
          choice.verdicts.begin(), choice.verdicts.end(),
          [](const EntryVerdict& verdict) { return verdict.is_pulled || verdict.is_taken; }));
      chosen[i] = pulled > 1;
      most = std::max(most, pulled);
    }
    if (most == 1 || std::all_of(row.meant.begin() + 1, row.meant.end(), [&](std::size_t entry) {
          return is_duplicate(entry);  // which says so itself
        })) {
      return;
    }
    findings_.push_back({"pulled-twice", path_of(row.meant[1]),
                         fmt::format("on {} {} downloads {} images of the list, and runs one",
                                     name_of(row), name_runtimes(chosen), most),
                         "keep one entry for each platform", false, row.node.platform.str()});
  }

  void judge_never_taken() {
    std::set<std::size_t> taken;
    for (const MatrixRow& row : matrix_.rows) {
      for (std::size_t i = 0; i < row.taken.size(); ++i) {
        if (row.taken[i] && is_of_nodes(matrix_.runtimes[i])) {
          taken.insert(*row.taken[i]);
        }
      }
    }
    for (const MatrixRow& row : matrix_.rows) {
      for (const std::size_t entry : row.meant) {
        const Descriptor& descriptor = index_.manifests[entry];
        // Nodes that have the os.features may take it.
        if (taken.contains(entry) || told_.contains(entry) || is_duplicate(entry) ||
            !descriptor.platform || !descriptor.platform->os_features.empty()) {
          continue;
        }
        findings_.push_back({"never-taken", path_of(entry) + "/platform",
                             fmt::format("no node takes {}: nodes of {} do not look for it",
                                         name_of(descriptor), name_of(row)),
                             "publish it under a tag of its own", false, row.node.platform.str()});
        told_.insert(entry);
      }
    }
  }

  [[nodiscard]] bool is_duplicate(std::size_t entry) const { return duplicates_.contains(entry); }

  void judge_digests() {
    std::map<Digest, std::size_t> firsts;
    for (std::size_t i = 0; i < index_.manifests.size(); ++i) {
      const Descriptor& entry = index_.manifests[i];
      if (!entry.platform || !is_judged(*entry.platform)) {
        continue;
      }
      const auto [first, is_first] = firsts.try_emplace(entry.digest, i);
      if (!is_first && !is_duplicate(i)) {
        findings_.push_back({"digest-twice", path_of(i) + "/digest",
                             fmt::format("the image of {} is listed for {} too",
                                         name_of(index_.manifests[first->second]), name_of(entry)),
                             "list each image for the platform that its files are for", false});
      }
    }
  }

  void judge_configs() {
    for (std::size_t i = 0; i < index_.manifests.size(); ++i) {
      const Descriptor& entry = index_.manifests[i];
      const auto config = configs_.find(entry.digest);
      if (!entry.platform || config == configs_.end() || config->second.os.empty() ||
          config->second.architecture.empty()) {
        continue;
      }
      const Platform said = normalize(config->second);
      const Platform listed = meant_by(*entry.platform);
      const bool is_other = said.os != listed.os || said.architecture != listed.architecture;
      if (is_other || (!config->second.variant.empty() && said.variant != listed.variant)) {
        findings_.push_back({"config-platform", path_of(i) + "/platform",
                             fmt::format("is listed for {}, and its config says {}",
                                         printable(listed.str(), longest_shown),
                                         printable(said.str(), longest_shown)),
                             "list it for the platform that its files are for", is_other});
      }
    }
  }

  void judge_nesting() {
    for (std::size_t i = 0; i < index_.manifests.size(); ++i) {
      if (is_index_type(index_.manifests[i].media_type)) {
        findings_.push_back({"nested-list", path_of(i) + "/mediaType",
                             "is a list itself, which not all runtimes look into",
                             "name the images in it: `fnimage manifest create` does so", false});
      }
    }
  }

  /// All findings: those of validate() that the matrix has not told, and equal ones as one.
  std::vector<Finding> take() {
    std::vector<Finding> all;
    for (Finding& finding : known_) {
      const auto entry = entry_of(finding);
      if (!(entry && is_about_name(finding) && told_.contains(*entry))) {
        all.push_back(std::move(finding));
      }
    }
    std::move(findings_.begin(), findings_.end(), std::back_inserter(all));
    std::map<std::tuple<std::string, std::string, std::string>, std::size_t> places;
    std::vector<Finding> merged;
    for (Finding& finding : all) {
      const auto [place, is_new] =
          places.try_emplace({finding.rule, finding.message, finding.fix}, merged.size());
      if (is_new) {
        merged.push_back(std::move(finding));
      } else {
        merged[place->second].also.push_back(std::move(finding.path));
      }
    }
    std::stable_sort(merged.begin(), merged.end(),
                     [](const Finding& a, const Finding& b) { return a.fatal && !b.fatal; });
    return merged;
  }

  const Index& index_;
  const ConfigPlatforms& configs_;
  const Matrix matrix_;
  std::vector<Finding> known_;                       ///< validate()'s
  std::map<std::size_t, std::string> name_fixes_{};  ///< of entries with odd names or variants
  std::set<std::size_t> duplicates_{};               ///< second entries of a platform
  std::vector<Finding> findings_{};
  std::set<std::size_t> told_{};  ///< entries whose names are told by a finding about nodes
};

}  // namespace

std::vector<Finding> lint(const Index& index, const ConfigPlatforms& configs) {
  return Linter(index, configs).run();
}

Result<std::vector<Finding>> lint(const Document& list, const ConfigPlatforms& configs) {
  FNIMAGE_TRY(const Index index, list.index());
  std::vector<Finding> findings = lint(index, configs);
  FNIMAGE_TRY(const nlohmann::json value, parse_json(list.bytes(), "list"));
  if (!value.contains("mediaType")) {
    findings.push_back({"no-media-type", "/mediaType",
                        "missing: what the list is has to be guessed where it is kept as a file",
                        "write " + list.media_type(), false});
  }
  return findings;
}

Result<void> require_publishable(const std::vector<Finding>& findings, std::string_view what) {
  const Result<void> valid = require_valid(findings, what);
  return valid ? valid
               : fail(valid.error().code(), valid.error().message(),
                      valid.error().hint() + "; --no-lint publishes it as it is");
}

}  // namespace fnimage::manifest
