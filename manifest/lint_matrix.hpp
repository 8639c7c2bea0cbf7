// What the runtimes take of a list on the nodes that it means: the matrix that lint() judges.
// Thread-safety: value types and pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/manifest/index.hpp>
#include <fnimage/manifest/lint.hpp>
#include <fnimage/manifest/runtime_match.hpp>

namespace fnimage::manifest {

/// Default nodes of one platform.
struct MatrixRow {
  NodeMachine node;
  std::vector<std::size_t> meant{};                 ///< the entries for them, however named
  std::vector<std::optional<std::size_t>> taken{};  ///< by each runtime
};

struct Matrix {
  std::vector<Runtime> runtimes{};
  std::vector<MatrixRow> rows{};  ///< as the list names them first
  std::size_t left_out = 0;       ///< platforms: more than are looked at
};

/// The platform that the words mean, in Go's names: also of "ppc64el".
Platform meant_by(const Platform& platform);

/// Of the platforms that entries name, or that their configs do when the entry names none.
Matrix matrix_of(const Index& index, const ConfigPlatforms& configs);

/// Runtimes of Kubernetes' nodes.
bool is_of_kubernetes(const Runtime& runtime) noexcept;
/// What runs containers, unlike tools that only read images.
bool is_of_nodes(const Runtime& runtime) noexcept;

/// "containerd, CRI-O, Podman, Docker before 23.0": some of the runtimes in few words.
/// @param chosen one flag for each of known_runtimes()
std::string name_runtimes(const std::vector<bool>& chosen);

/// Not in the matrix: attestations, Windows, and what names no platform.
bool is_judged(const Platform& platform);

}  // namespace fnimage::manifest
