// Which nodes a list means, and what each runtime takes there. See lint_matrix.hpp.
#include "lint_matrix.hpp"

#include <algorithm>
#include <utility>

#include "platform_names.hpp"

namespace fnimage::manifest {

namespace {

constexpr std::size_t max_rows = 64;
/// Entries times platforms: each is looked at by every runtime.
constexpr std::size_t max_cells = 200'000;

/// Nodes find out a variant only of ARM, and of arm64 none above the baseline.
NodeMachine default_node(Platform platform) {
  std::string cpu_variant;
  if (is_baseline_only(platform.architecture) || platform.architecture == "arm64") {
    cpu_variant = platform.architecture == "amd64" ? platform.variant : "";
    platform.variant.clear();
  }
  return {.platform = std::move(platform), .cpu_variant = std::move(cpu_variant)};
}

std::optional<Platform> platform_said(const Descriptor& entry, const ConfigPlatforms& configs) {
  if (entry.platform) {
    return entry.platform;
  }
  const auto config = configs.find(entry.digest);
  return config == configs.end() ? std::nullopt : std::optional(config->second);
}

class MatrixMaker {
 public:
  MatrixMaker(const Index& index, const ConfigPlatforms& configs)
      : index_(index), configs_(configs) {}

  Matrix make() && {
    matrix_.runtimes = known_runtimes();
    most_ = std::clamp(max_cells / std::max<std::size_t>(index_.manifests.size(), 1),
                       std::size_t{1}, max_rows);
    for (std::size_t i = 0; i < index_.manifests.size(); ++i) {
      const auto platform = platform_said(index_.manifests[i], configs_);
      if (platform && is_judged(*platform)) {
        add(default_node(meant_by(*platform)), i);
      }
    }
    for (MatrixRow& row : matrix_.rows) {
      for (const Runtime& runtime : matrix_.runtimes) {
        row.taken.push_back(taken_by(index_, runtime, row.node));
      }
    }
    return std::move(matrix_);
  }

 private:
  void add(NodeMachine node, std::size_t entry) {
    auto row = std::find_if(matrix_.rows.begin(), matrix_.rows.end(), [&](const MatrixRow& known) {
      return known.node.platform == node.platform;
    });
    if (row == matrix_.rows.end()) {
      if (matrix_.rows.size() == most_) {
        ++matrix_.left_out;
        return;
      }
      row = matrix_.rows.insert(row, {.node = {.platform = std::move(node.platform)}});
    }
    // Those processors whose variants the list has: Docker finds that out.
    if (level_of(node.cpu_variant) > level_of(row->node.cpu_variant)) {
      row->node.cpu_variant = std::move(node.cpu_variant);
    }
    row->meant.push_back(entry);
  }

  const Index& index_;
  const ConfigPlatforms& configs_;
  std::size_t most_ = 0;
  Matrix matrix_;
};

}  // namespace

Platform meant_by(const Platform& platform) {
  Platform meant = normalize({.os = platform.os,
                              .architecture = platform.architecture,
                              .variant = platform.variant,
                              .os_version = {},
                              .os_features = {}});
  const std::string_view right = suggestion_for(meant.architecture);
  if (!right.empty()) {
    const std::size_t slash = right.find('/');
    meant.architecture = right.substr(0, slash);
    meant.variant = slash == std::string_view::npos ? "" : right.substr(slash + 1);
  }
  return meant;
}

bool is_judged(const Platform& platform) {
  const Platform normal = normalize({platform.os, platform.architecture, {}, {}, {}});
  return !normal.os.empty() && !normal.architecture.empty() && normal.os != "unknown" &&
         normal.architecture != "unknown" && normal.os != "windows";
}

Matrix matrix_of(const Index& index, const ConfigPlatforms& configs) {
  return MatrixMaker(index, configs).make();
}

}  // namespace fnimage::manifest
