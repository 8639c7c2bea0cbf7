// Nodes and resolvers of fnimage.h. A resolver has a transport of its own, which is stopped when it
// is freed: nobody waits for a registry then.
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/place/format.hpp>
#include <fnimage/place/resolved.hpp>
#include <fnimage/registry/host_config.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/report/json.hpp>
#include <fnimage/resolve/resolver.hpp>

#include "handles.hpp"
#include "options.hpp"

struct fnimage_nodes {
  std::vector<fnimage::node::Node> nodes;
};

struct fnimage_resolver {
  std::shared_ptr<const fnimage::capi::ContextState> context;  ///< whose diagnostics are used
  std::stop_source stop;
  std::unique_ptr<fnimage::resolve::Resolver> resolver;
};

namespace fnimage::capi {

namespace {

Result<void> read_time(Options& json, std::string_view name, std::chrono::milliseconds& value) {
  constexpr std::uint64_t longest = std::uint64_t{30} * 24 * 3600 * 1000;  // thirty days
  FNIMAGE_TRY(const auto given, json.number(name, 0, longest));
  value = given ? std::chrono::milliseconds(*given) : value;
  return {};
}

Result<resolve::ResolverOptions> resolver_options(const char* text) {
  constexpr std::uint64_t least_bytes = std::uint64_t{1} << 20;
  constexpr std::uint64_t most_bytes = std::uint64_t{1} << 40;
  constexpr std::uint64_t most_waiting = 1024;
  FNIMAGE_TRY(Options json, Options::parse(text, "options of the resolver"));
  resolve::ResolverOptions options;
  FNIMAGE_CHECK(read_time(json, "tagLifetimeMs", options.tag_lifetime));
  FNIMAGE_CHECK(read_time(json, "missingLifetimeMs", options.missing_lifetime));
  FNIMAGE_CHECK(read_time(json, "failureLifetimeMs", options.failure_lifetime));
  FNIMAGE_CHECK(read_time(json, "patienceMs", options.patience));
  std::chrono::milliseconds max_stale(-1);
  FNIMAGE_CHECK(read_time(json, "maxStaleMs", max_stale));
  if (max_stale.count() >= 0) {
    options.max_stale = max_stale;
  }
  FNIMAGE_TRY(const auto bytes, json.number("maxBytes", least_bytes, most_bytes));
  options.max_bytes = bytes.value_or(options.max_bytes);
  FNIMAGE_TRY(const auto threads, json.number("threads", 1, most_waiting));
  options.threads = threads.value_or(options.threads);
  FNIMAGE_CHECK(json.read("variants", options.variants));
  FNIMAGE_CHECK(json.require_all_known());
  return options;
}

/// The store of the user's is looked into when there is one; a controller often has no home.
std::filesystem::path store_directory(const build::EnvironmentOptions& options) {
  if (!options.local_store.empty()) {
    return options.local_store;
  }
  return registry::local_store_directory().value_or(std::filesystem::path());
}

/// Registries as open_with() opens them, layouts, and the local store.
resolve::Opener opener_of(const std::shared_ptr<registry::Client>& client,
                          const std::filesystem::path& local_store) {
  return [client, local_store, others = resolve::open_with(client, local_store)](
             const std::string& reference) -> Result<registry::OpenedImage> {
    FNIMAGE_TRY(const registry::Location location, registry::parse_location(reference));
    if (location.kind == registry::Location::Kind::layout) {
      return registry::open_for_reading(location, *client, local_store);
    }
    return others(reference);
  };
}

Result<std::unique_ptr<fnimage_resolver>> make_resolver(const fnimage_context* context,
                                                        const char* text) {
  FNIMAGE_CHECK(require_given(context, "the context"));
  FNIMAGE_TRY(resolve::ResolverOptions resolver_settings, resolver_options(text));
  const build::EnvironmentOptions& options = context->state->options;
  auto made = std::make_unique<fnimage_resolver>();
  made->context = context->state;
  FNIMAGE_TRY(std::shared_ptr<registry::Transport> transport,
              registry::make_curl_transport({.connections_per_host = options.connections,
                                             .rate_limit = options.rate_limit,
                                             .hosts = registry::host_limits(options.client.hosts),
                                             .stop = made->stop.get_token()}));
  const auto client = std::make_shared<registry::Client>(
      std::move(transport), options.credentials, options.client, made->context->diagnostics());
  made->resolver = std::make_unique<resolve::Resolver>(opener_of(client, store_directory(options)),
                                                       std::move(resolver_settings));
  return made;
}

Result<void> require_resolver(const fnimage_resolver* resolver, const char* reference) {
  FNIMAGE_CHECK(require_given(resolver, "the resolver"));
  return require_given(reference, "the reference");
}

Result<std::string> run_resolve(const fnimage_resolver* resolver, const char* reference,
                                const char* node_text, const fnimage_cancel* cancel) {
  FNIMAGE_CHECK(require_resolver(resolver, reference));
  FNIMAGE_CHECK(require_given(node_text, "the node"));
  FNIMAGE_TRY(const std::vector<node::Node> nodes, node::read_nodes(node_text, "the node"));
  if (nodes.size() != 1) {
    return fail(ErrorCode::invalid_argument,
                "the node is a list of " + std::to_string(nodes.size()),
                "fnimage_resolver_choose() takes many");
  }
  FNIMAGE_TRY(const resolve::NodeChoice found,
              resolver->resolver->resolve(reference, nodes.front(), token_of(cancel)));
  nlohmann::ordered_json json =
      report::to_json(resolve::KnownImage{.image = found.image, .stale = found.stale});
  json.update(report::to_json(*found.image, nodes.front(), found.choice));
  return to_json_text(json);
}

Result<std::string> run_choose(const fnimage_resolver* resolver, const char* reference,
                               const fnimage_nodes* nodes, const fnimage_cancel* cancel) {
  FNIMAGE_CHECK(require_resolver(resolver, reference));
  FNIMAGE_CHECK(require_given(nodes, "the list of nodes"));
  FNIMAGE_TRY(const resolve::Resolver::NodeChoices found,
              resolver->resolver->resolve(reference, nodes->nodes, token_of(cancel)));
  nlohmann::ordered_json json = report::to_json(found.image);
  nlohmann::ordered_json choices = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < found.choices.size(); ++i) {
    choices.push_back(report::to_json(*found.image.image, nodes->nodes[i], found.choices[i]));
  }
  json["nodes"] = std::move(choices);
  return to_json_text(json);
}

/// The variant of that suffix; nullopt: the list itself is meant.
Result<std::optional<std::size_t>> variant_named(const resolve::ResolvedImage& image,
                                                 const std::optional<std::string>& suffix) {
  if (!suffix) {
    return std::nullopt;
  }
  const auto variants = image.variants();
  const auto found =
      std::find_if(variants.begin(), variants.end(),
                   [&](const resolve::Variant& variant) { return variant.suffix == *suffix; });
  if (found == variants.end()) {
    return fail(ErrorCode::not_found,
                image.name() + " has no variant \"" + printable(*suffix) + "\"");
  }
  return static_cast<std::size_t>(found - variants.begin());
}

/// What the function is called, from the last part of the repository.
std::string function_name(const char* reference) {
  const auto parsed = manifest::Reference::parse(reference);
  const std::string repository = parsed ? parsed->repository() : std::string("function");
  return repository.substr(repository.rfind('/') + 1);
}

Result<std::string> run_place(const fnimage_resolver* resolver, const char* reference,
                              const fnimage_nodes* nodes, const char* options_text,
                              const fnimage_cancel* cancel) {
  FNIMAGE_CHECK(require_resolver(resolver, reference));
  FNIMAGE_TRY(Options json, Options::parse(options_text, "options of the placement"));
  FNIMAGE_TRY(const auto word, json.text("format"));
  FNIMAGE_TRY(const auto suffix, json.text("variant"));
  FNIMAGE_CHECK(json.require_all_known());
  FNIMAGE_TRY(const place::Format format, place::parse_format(word.value_or("affinity")));
  FNIMAGE_TRY(const resolve::KnownImage known,
              resolver->resolver->image(reference, token_of(cancel)));
  const resolve::ResolvedImage& image = *known.image;
  FNIMAGE_TRY(const auto variant, variant_named(image, suffix));
  place::Options options;
  if (nodes != nullptr && !nodes->nodes.empty()) {
    options.runtimes = place::runtimes_of(nodes->nodes);
  }
  FNIMAGE_TRY(const place::Placement placement, place::place(image, variant, options));
  const manifest::Descriptor& root = variant ? *image.variant_root(*variant) : image.root();
  FNIMAGE_TRY(const place::Rendered rendered,
              place::render(placement, format,
                            {.image = image.name() + "@" + root.digest.str(),
                             .name = function_name(reference)}));
  nlohmann::ordered_json result = report::to_json(known);
  result["format"] = std::string(place::to_string(format));
  result["placement"] = nlohmann::ordered_json::parse(rendered.json);
  result["notes"] = placement.notes;
  return to_json_text(result);
}

Result<std::string> statistics_of(const fnimage_resolver* resolver) {
  FNIMAGE_CHECK(require_given(resolver, "the resolver"));
  const resolve::ResolverStatistics seen = resolver->resolver->statistics();
  return to_json_text({{"hits", seen.hits},
                       {"refreshes", seen.refreshes},
                       {"failures", seen.failures},
                       {"stale", seen.stale},
                       {"images", seen.images},
                       {"bytes", seen.bytes}});
}

}  // namespace

}  // namespace fnimage::capi

int fnimage_nodes_parse(const char* text, fnimage_nodes** nodes, fnimage_error** error) {
  using namespace fnimage;
  return capi::handle_at_border(nodes, error, [&]() -> Result<std::unique_ptr<fnimage_nodes>> {
    FNIMAGE_CHECK(capi::require_given(text, "the text"));
    auto made = std::make_unique<fnimage_nodes>();
    FNIMAGE_TRY(made->nodes, node::read_nodes(text, "the nodes"));
    return made;
  });
}

size_t fnimage_nodes_count(const fnimage_nodes* nodes) {
  return nodes == nullptr ? 0 : nodes->nodes.size();
}

void fnimage_nodes_free(fnimage_nodes* nodes) {
  delete nodes;
}

int fnimage_resolver_create(const fnimage_context* context, const char* options_json,
                            fnimage_resolver** resolver, fnimage_error** error) {
  return fnimage::capi::handle_at_border(
      resolver, error, [&] { return fnimage::capi::make_resolver(context, options_json); });
}

void fnimage_resolver_free(fnimage_resolver* resolver) {
  if (resolver != nullptr) {
    resolver->stop.request_stop();
    delete resolver;
  }
}

int fnimage_resolver_resolve(const fnimage_resolver* resolver, const char* reference,
                             const char* node_json, const fnimage_cancel* cancel,
                             char** result_json, fnimage_error** error) {
  return fnimage::capi::text_at_border(result_json, error, [&] {
    return fnimage::capi::run_resolve(resolver, reference, node_json, cancel);
  });
}

int fnimage_resolver_choose(const fnimage_resolver* resolver, const char* reference,
                            const fnimage_nodes* nodes, const fnimage_cancel* cancel,
                            char** result_json, fnimage_error** error) {
  return fnimage::capi::text_at_border(result_json, error, [&] {
    return fnimage::capi::run_choose(resolver, reference, nodes, cancel);
  });
}

int fnimage_resolver_place(const fnimage_resolver* resolver, const char* reference,
                           const fnimage_nodes* nodes, const char* options_json,
                           const fnimage_cancel* cancel, char** result_json,
                           fnimage_error** error) {
  return fnimage::capi::text_at_border(result_json, error, [&] {
    return fnimage::capi::run_place(resolver, reference, nodes, options_json, cancel);
  });
}

int fnimage_resolver_expire(const fnimage_resolver* resolver, const char* reference,
                            fnimage_error** error) {
  using namespace fnimage;
  return capi::at_border(error, [&]() -> Result<void> {
    FNIMAGE_CHECK(capi::require_resolver(resolver, reference));
    resolver->resolver->expire(reference);
    return {};
  });
}

int fnimage_resolver_statistics(const fnimage_resolver* resolver, char** result_json,
                                fnimage_error** error) {
  return fnimage::capi::text_at_border(result_json, error,
                                       [&] { return fnimage::capi::statistics_of(resolver); });
}
