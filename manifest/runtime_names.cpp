// The names and versions of the runtimes.
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/runtime_match.hpp>

namespace fnimage::manifest {

namespace {

constexpr std::array<std::pair<std::string_view, RuntimeKind>, 17> runtime_names{
    {{"containerd", RuntimeKind::containerd},
     {"containerd-client", RuntimeKind::containerd_client},
     {"ctr", RuntimeKind::containerd_client},
     {"nerdctl", RuntimeKind::containerd_client},
     {"cri-o", RuntimeKind::crio},
     {"crio", RuntimeKind::crio},
     {"podman", RuntimeKind::crio},
     {"buildah", RuntimeKind::crio},
     {"skopeo", RuntimeKind::crio},
     {"docker", RuntimeKind::docker},
     {"docker+containerd", RuntimeKind::docker_containerd},
     {"go-containerregistry", RuntimeKind::go_containerregistry},
     {"ggcr", RuntimeKind::go_containerregistry},
     {"crane", RuntimeKind::go_containerregistry},
     {"ko", RuntimeKind::go_containerregistry},
     {"func", RuntimeKind::go_containerregistry},
     {"kaniko", RuntimeKind::go_containerregistry}}};

tl::unexpected<Error> refuse_runtime(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid_argument,
              fmt::format("runtime \"{}\": {}", printable(text, 80), why),
              "write containerd, ctr, cri-o, podman, docker, docker+containerd or crane, with a "
              "version if it is known: containerd:2.1");
}

/// Takes one to four digits off the front.
std::optional<unsigned> take_number(std::string_view& text) noexcept {
  unsigned number = 0;
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    if (digits == 4) {
      return std::nullopt;
    }
    number = number * 10 + static_cast<unsigned>(text[digits] - '0');
    ++digits;
  }
  text.remove_prefix(digits);
  return digits == 0 ? std::nullopt : std::optional(number);
}

/// "27", "2.1", "v1.7.27-k3s1", "2.0.0~rc.1+unknown" into `runtime`; false: not a version.
bool read_version(std::string_view text, Runtime& runtime) noexcept {
  if (text.starts_with('v')) {
    text.remove_prefix(1);
  }
  const auto major = take_number(text);
  if (!major) {
    return false;
  }
  runtime.major = *major;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const auto minor = take_number(text);
    if (!minor) {
      return false;
    }
    runtime.minor = *minor;
  }
  return text.empty() || text[0] == '.' || text[0] == '-' || text[0] == '+' || text[0] == '~';
}

std::string_view name_of(const Runtime& runtime) noexcept {
  switch (runtime.kind) {
    case RuntimeKind::containerd:
      return "containerd";
    case RuntimeKind::containerd_client:
      return "containerd's client";
    case RuntimeKind::crio:
      return runtime.major > 1 ? "Podman" : "CRI-O";  // CRI-O counts as Kubernetes does: 1.x
    case RuntimeKind::docker:
    case RuntimeKind::docker_containerd:
      return "Docker";
    case RuntimeKind::go_containerregistry:
      return "go-containerregistry";
  }
  return {};
}

}  // namespace

std::string Runtime::str() const {
  std::string text(name_of(*this));
  if (major != 0 || minor != 0) {
    text += fmt::format(" {}.{}", major, minor);
  }
  if (kind == RuntimeKind::docker_containerd) {
    text += " (containerd's image store)";
  }
  return text;
}

Result<Runtime> parse_runtime(std::string_view text) {
  constexpr std::size_t longest = 128;
  if (text.size() > longest) {
    return refuse_runtime(text, "too long");
  }
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  Runtime runtime;
  const auto known = std::find_if(
      runtime_names.begin(), runtime_names.end(),
      [&](const auto& candidate) { return equals_ignoring_case(candidate.first, name); });
  if (known == runtime_names.end()) {
    return refuse_runtime(text, "is not a known container runtime");
  }
  runtime.kind = known->second;
  if (colon == std::string_view::npos) {
    return runtime;
  }
  std::string_view version = text.substr(colon + 1);
  if (version.starts_with("//")) {
    version.remove_prefix(2);
  }
  if (!read_version(version, runtime)) {
    return refuse_runtime(text, "has no version after its name, like 2.1 or 1.7.27");
  }
  return runtime;
}

std::vector<Runtime> known_runtimes() {
  return {{RuntimeKind::containerd, 1, 7},
          {RuntimeKind::containerd, 2, 1},
          {RuntimeKind::containerd, 2, 3},
          {RuntimeKind::containerd_client, 1, 7},
          {RuntimeKind::containerd_client, 2, 3},
          {RuntimeKind::crio, 0, 0},
          {RuntimeKind::docker, 20, 10},
          {RuntimeKind::docker, 23, 0},
          {RuntimeKind::docker, 29, 6},
          {RuntimeKind::docker_containerd, 25, 0},
          {RuntimeKind::docker_containerd, 29, 6},
          {RuntimeKind::go_containerregistry, 0, 0}};
}

}  // namespace fnimage::manifest
