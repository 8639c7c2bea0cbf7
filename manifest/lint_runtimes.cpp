// The runtimes in few words: kinds, and from or up to which version of each. See lint_matrix.hpp.
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "lint_matrix.hpp"

namespace fnimage::manifest {

namespace {

/// A kind, its name, and the kind beside which it goes without saying when it does the same.
struct KindName {
  RuntimeKind kind;
  std::string_view name;
  RuntimeKind like;
};

constexpr std::array<KindName, 6> kind_names{
    {{RuntimeKind::containerd, "containerd", RuntimeKind::containerd},
     {RuntimeKind::containerd_client, "containerd's client (nerdctl, ctr)",
      RuntimeKind::containerd},
     {RuntimeKind::crio, "CRI-O, Podman", RuntimeKind::crio},
     {RuntimeKind::docker, "Docker", RuntimeKind::docker},
     {RuntimeKind::docker_containerd, "Docker on containerd's image store", RuntimeKind::docker},
     {RuntimeKind::go_containerregistry, "go-containerregistry (crane, ko, kaniko, func)",
      RuntimeKind::go_containerregistry}}};

std::string version_of(const Runtime& runtime) {
  return fmt::format("{}.{}", runtime.major, runtime.minor);
}

/// The chosen versions of a kind: nullopt = none, "" = all, " before 23.0", " 2.3 and newer".
std::optional<std::string> range_of(RuntimeKind kind, const std::vector<Runtime>& runtimes,
                                    const std::vector<bool>& chosen) {
  std::vector<std::pair<Runtime, bool>> versions;
  for (std::size_t i = 0; i < runtimes.size(); ++i) {
    if (runtimes[i].kind == kind) {
      versions.emplace_back(runtimes[i], chosen[i]);
    }
  }
  const auto is_chosen = [](const auto& version) { return version.second; };
  if (std::none_of(versions.begin(), versions.end(), is_chosen)) {
    return std::nullopt;
  }
  if (std::all_of(versions.begin(), versions.end(), is_chosen)) {
    return std::string();
  }
  const auto first = std::find_if(versions.begin(), versions.end(), is_chosen);
  const auto end = std::find_if_not(first, versions.end(), is_chosen);
  if (std::any_of(end, versions.end(), is_chosen)) {
    std::vector<std::string> texts;
    for (const auto& [runtime, flag] : versions) {
      if (flag) {
        texts.push_back(version_of(runtime));
      }
    }
    return " " + join(texts, " and ");
  }
  if (end == versions.end()) {
    return fmt::format(" {} and newer", version_of(first->first));
  }
  return first == versions.begin() ? " before " + version_of(end->first)
                                   : fmt::format(" from {} to before {}", version_of(first->first),
                                                 version_of(end->first));
}

}  // namespace

bool is_of_kubernetes(const Runtime& runtime) noexcept {
  return runtime.kind == RuntimeKind::containerd || runtime.kind == RuntimeKind::crio;
}

bool is_of_nodes(const Runtime& runtime) noexcept {
  return runtime.kind != RuntimeKind::go_containerregistry;
}

std::string name_runtimes(const std::vector<bool>& chosen) {
  const std::vector<Runtime> runtimes = known_runtimes();
  std::vector<std::string> texts;
  for (const KindName& kind : kind_names) {
    const auto range = range_of(kind.kind, runtimes, chosen);
    if (range && (kind.like == kind.kind || range_of(kind.like, runtimes, chosen) != range)) {
      texts.push_back(std::string(kind.name) + *range);
    }
  }
  return join(texts, ", ");
}

}  // namespace fnimage::manifest
