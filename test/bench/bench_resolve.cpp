// bench_resolve [NODES FUNCTIONS]: how many questions "which image does this node take?" the
// library answers in a second on one core once it knows the image (budget B7: a million), for a
// plain list, one whose images require something, and one with variants; then a fleet (default
// 5,000 nodes and 1,000 functions) resolved and placed from nothing, with the peak memory.
// Thread-safety: one thread, and those of the resolver.
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sys/resource.h>

#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/place/format.hpp>
#include <fnimage/place/resolved.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/selection.hpp>
#include <fnimage/require/requirements.hpp>
#include <fnimage/resolve/resolver.hpp>

namespace {

using namespace fnimage;  // NOLINT(google-build-using-namespace)

constexpr std::size_t rounds = 2'000'000;
constexpr std::size_t layers_of_image = 8;

const manifest::Platform amd64{"linux", "amd64", "", "", {}};
const manifest::Platform ppc64le{"linux", "ppc64le", "", "", {}};

/// The needs of a function: what real ones ask for.
constexpr std::string_view common_needs =
    R"({"cpu":"2","memory":"4Gi","near":{"example.com/warehouse":"dwh-1"}})";
constexpr std::string_view gpu_needs =
    R"({"cpu":"4","gpu":{"count":1,"memory":"16Gi","vendor":"nvidia"},"memory":"8Gi"})";
constexpr std::string_view level_needs = R"({"cpu-level":"v4"})";

Result<manifest::Descriptor> put_image(registry::ImageStore& store,
                                       const manifest::Platform& platform, const std::string& name,
                                       std::string_view needs) {
  manifest::ImageConfig config;
  config.platform = platform;
  config.author = name;
  const std::string bytes = manifest::emit(config);
  manifest::ImageManifest image{
      .config = {.media_type = std::string(manifest::media_type::oci_config),
                 .digest = manifest::Digest::of(bytes),
                 .size = bytes.size()},
      .layers = {}};
  for (std::size_t i = 0; i < layers_of_image; ++i) {
    image.layers.push_back({.media_type = std::string(manifest::media_type::oci_layer_gzip),
                            .digest = manifest::Digest::of(fmt::format("{} {}", name, i)),
                            .size = 1'000'000});
  }
  FNIMAGE_CHECK(store.put_blob(image.config, *memory_content(bytes), {}));
  const manifest::Document document = manifest::Document::of(image);
  FNIMAGE_CHECK(store.put_manifest(document, std::nullopt));
  manifest::Descriptor entry = document.descriptor();
  entry.platform = platform;
  if (!needs.empty()) {
    entry.annotations[std::string(require::requires_annotation)] = needs;
  }
  return entry;
}

Result<void> put_list(registry::ImageStore& store, const std::string& tag, std::string_view needs,
                      const std::string& variants = {}) {
  manifest::Index index;
  FNIMAGE_TRY(auto x86, put_image(store, amd64, tag, needs));
  FNIMAGE_TRY(auto power, put_image(store, ppc64le, tag, needs));
  index.manifests = {std::move(x86), std::move(power)};
  if (!variants.empty()) {
    index.annotations[std::string(require::variants_annotation)] = variants;
  }
  return store.put_manifest(manifest::Document::of(index), tag);
}

/// A node as Kubernetes describes it, with the labels that nodes have.
Result<node::Node> make_node(const manifest::Platform& platform, std::size_t number) {
  node::Node node{.name = fmt::format("worker-{}", number), .machine = {.platform = platform}};
  FNIMAGE_TRY(node.runtime, manifest::parse_runtime(number % 3 == 0   ? "cri-o:1.33"
                                                    : number % 3 == 1 ? "containerd:1.7"
                                                                      : "containerd:2.1"));
  node.is_described = true;
  constexpr std::size_t cpu_labels = 30;
  for (std::size_t i = 0; i < cpu_labels; ++i) {
    node.labels[fmt::format("feature.node.kubernetes.io/cpu-cpuid.FEATURE{}", i)] = "true";
  }
  node.labels["kubernetes.io/arch"] = platform.architecture;
  node.labels["example.com/warehouse"] = "dwh-1";
  node.allocatable.cpu_millis = 16'000;
  node.allocatable.memory_bytes = std::uint64_t{64} << 30;
  constexpr std::size_t gpu_share = 10;
  if (number % gpu_share == 1 && platform == amd64) {
    node.allocatable.others["nvidia.com/gpu"] = 2;
    node.labels["nvidia.com/gpu.memory"] = "40960";
  }
  return node;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Result<void> measure_warm(resolve::Resolver& resolver, std::string_view what,
                          const std::string& reference, const std::vector<node::Node>& nodes) {
  FNIMAGE_CHECK(resolver.resolve(reference, nodes.front()));
  std::size_t taken = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < rounds; ++i) {
    FNIMAGE_TRY(const auto answer, resolver.resolve(reference, nodes[i % nodes.size()]));
    taken += answer.choice ? 1U : 0U;
  }
  const double took = seconds_since(begin);
  std::printf("warm, %-28s %5.2f million/s  (%.0f ns each, %zu taken)\n", std::string(what).c_str(),
              static_cast<double>(rounds) / took / 1e6, took / static_cast<double>(rounds) * 1e9,
              taken);
  return {};
}

resolve::Opener open_from(registry::ImageStore& store) {
  return [&store](const std::string& reference) -> Result<registry::OpenedImage> {
    return registry::OpenedImage{registry::with_manifests(store, {}), reference};
  };
}

Result<void> bench_warm() {
  const auto store = registry::make_memory_store("bench");
  const std::string name = "serverless.example:30501/team/action:";
  FNIMAGE_CHECK(put_list(*store, name + "plain", {}));
  FNIMAGE_CHECK(put_list(*store, name + "needs", common_needs));
  FNIMAGE_CHECK(put_list(*store, name + "variants", common_needs, "gpu,avx512"));
  FNIMAGE_CHECK(put_list(*store, name + "variants-gpu", gpu_needs));
  FNIMAGE_CHECK(put_list(*store, name + "variants-avx512", level_needs));
  constexpr std::size_t several = 64;
  std::vector<node::Node> nodes;
  for (std::size_t i = 0; i < several; ++i) {
    FNIMAGE_TRY(nodes.emplace_back(), make_node(i % 4 == 3 ? ppc64le : amd64, i));
  }
  resolve::Resolver resolver(open_from(*store), {.tag_lifetime = std::chrono::hours(1)});
  FNIMAGE_CHECK(measure_warm(resolver, "plain list", name + "plain", nodes));
  FNIMAGE_CHECK(measure_warm(resolver, "with requirements", name + "needs", nodes));
  return measure_warm(resolver, "requirements and 2 variants", name + "variants", nodes);
}

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

Result<void> bench_fleet(std::size_t node_count, std::size_t functions) {
  const auto store = registry::make_memory_store("fleet");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < functions; ++i) {
    names.push_back(fmt::format("serverless.example:30501/team/action-{}:latest", i));
    const bool has_variant = i % 4 == 0;
    FNIMAGE_CHECK(put_list(*store, names.back(), i % 2 == 0 ? common_needs : std::string_view(),
                           has_variant ? "gpu" : ""));
    if (has_variant) {
      FNIMAGE_CHECK(put_list(*store, names.back() + "-gpu", gpu_needs));
    }
  }
  std::vector<node::Node> nodes;
  for (std::size_t i = 0; i < node_count; ++i) {
    FNIMAGE_TRY(nodes.emplace_back(), make_node(i % 4 == 3 ? ppc64le : amd64, i));
  }
  const long before = peak_kib();
  resolve::Resolver resolver(open_from(*store), {.tag_lifetime = std::chrono::hours(1)});
  auto begin = std::chrono::steady_clock::now();
  for (const auto& known : resolver.images(names)) {
    FNIMAGE_CHECK(known);
  }
  const double read = seconds_since(begin);
  begin = std::chrono::steady_clock::now();
  std::size_t taken = 0;
  std::size_t of_variants = 0;
  for (const std::string& name : names) {
    FNIMAGE_TRY(const auto chosen, resolver.resolve(name, nodes));
    for (const resolve::Choice& choice : chosen.choices) {
      taken += choice ? 1U : 0U;
      of_variants += choice.variant ? 1U : 0U;
    }
  }
  const double took = seconds_since(begin);
  const auto pairs = static_cast<double>(node_count * functions);
  std::printf(
      "fleet, %zu nodes x %zu functions: read %.2f s, %.2f s for %.1f million choices "
      "(%.2f million/s, %zu taken, %zu of variants)\n",
      node_count, functions, read, took, pairs / 1e6, pairs / took / 1e6, taken, of_variants);
  begin = std::chrono::steady_clock::now();
  const place::Options options{.runtimes = place::runtimes_of(nodes)};
  std::size_t bytes = 0;
  for (const std::string& name : names) {
    FNIMAGE_TRY(const auto known, resolver.image(name));
    FNIMAGE_TRY(const auto placement, place::place(*known.image, std::nullopt, options));
    FNIMAGE_TRY(const auto rendered, place::render(placement, place::Format::affinity, {}));
    bytes += rendered.json.size();
  }
  const double placed = seconds_since(begin);
  std::printf(
      "fleet, placed: %.3f s for %zu affinities of the whole fleet (%.1f KiB), %.0f a second\n",
      placed, functions, static_cast<double>(bytes) / 1024,
      static_cast<double>(functions) / placed);
  std::printf(
      "fleet, memory: %zu KiB kept by the resolver, peak %ld KiB, of which %ld KiB are the "
      "images and nodes themselves\n",
      resolver.statistics().bytes / 1024, peak_kib(), before);
  return {};
}

std::size_t number_of(std::string_view text, std::size_t otherwise) {
  std::size_t number = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::size_t default_nodes = 5000;
  constexpr std::size_t default_functions = 1000;
  const std::size_t nodes = argc > 1 ? number_of(argv[1], default_nodes) : default_nodes;
  const std::size_t functions =
      argc > 2 ? number_of(argv[2], default_functions) : default_functions;
  for (const Result<void>& result : {bench_warm(), bench_fleet(nodes, functions)}) {
    if (!result) {
      std::fprintf(stderr, "%s\n", result.error().describe().c_str());
      return 1;
    }
  }
  return 0;
}
