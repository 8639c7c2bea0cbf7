// Layer work in parallel, see the header.
#include "layer_work.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include <fnimage/layer/cache.hpp>

namespace fnimage::build {

namespace {

/// One distinct tree and what has become of it.
struct Job {
  const PlannedLayer* planned;
  std::vector<std::string> platforms;
  std::optional<layer::Layer> result{};
};

/// The jobs of a plan, and which job makes which layer.
struct JobTable {
  std::vector<Job> jobs;
  std::vector<std::vector<std::size_t>> of_platform;
};

JobTable collect(const Plan& plan) {
  JobTable table;
  std::map<manifest::Digest, std::size_t> by_key;
  for (const PlatformPlan& platform : plan.platforms) {
    auto& row = table.of_platform.emplace_back();
    for (const PlannedLayer& planned : platform.layers) {
      std::size_t job = table.jobs.size();
      if (const auto key = planned.tree.key()) {
        job = by_key.emplace(*key, job).first->second;
      }
      if (job == table.jobs.size()) {
        table.jobs.push_back({.planned = &planned, .platforms = {}});
      }
      table.jobs[job].platforms.push_back(platform.platform.str());
      row.push_back(job);
    }
  }
  return table;
}

}  // namespace

Result<std::vector<std::vector<NamedBlob>>> make_layers(const Plan& plan,
                                                        const BuildOptions& options,
                                                        registry::ImageStore& store,
                                                        const Environment& environment) {
  FNIMAGE_TRY(layer::LayerCache cache,
              layer::LayerCache::open(environment.cache_directory / "layers"));
  JobTable table = collect(plan);
  TaskGroup group(environment.pool);
  for (Job& job : table.jobs) {
    group.run([&job, &plan, &options, &cache, &store, &environment]() -> Result<void> {
      const bool own = job.platforms.size() == 1 && plan.platforms.size() > 1;
      const layer::LayerOptions layer_options{
          .compression = options.compression,
          .label = own ? fmt::format("{} ({})", job.planned->name, job.platforms.front())
                       : job.planned->name};
      auto built = layer::build_layer(job.planned->tree, layer_options, cache, environment.pool,
                                      environment.diagnostics);
      if (!built) {
        return fail(std::move(built.error()).while_doing("pack layer " + layer_options.label));
      }
      FNIMAGE_CHECK(store.put_blob(convert(built->descriptor, options.format), *built->blob, {}));
      job.result = std::move(*built);
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());

  std::vector<std::vector<NamedBlob>> layers;
  for (std::size_t p = 0; p < plan.platforms.size(); ++p) {
    auto& row = layers.emplace_back();
    for (std::size_t l = 0; l < plan.platforms[p].layers.size(); ++l) {
      row.push_back({.name = plan.platforms[p].layers[l].name,
                     .layer = *table.jobs[table.of_platform[p][l]].result});
    }
  }
  return layers;
}

Result<void> copy_base_layers(const Plan& plan, registry::ImageStore& store,
                              const Environment& environment) {
  std::map<manifest::Digest, const manifest::Descriptor*> wanted;
  for (const PlatformPlan& platform : plan.platforms) {
    if (platform.base) {
      for (const manifest::Descriptor& layer : platform.base->manifest.layers) {
        wanted.emplace(layer.digest, &layer);
      }
    }
  }
  TaskGroup group(environment.pool);
  for (const auto& [digest, descriptor] : wanted) {
    group.run([&plan, &store, &environment, layer = descriptor]() -> Result<void> {
      FNIMAGE_TRY(const bool present, store.has_blob(*layer));
      if (present) {
        return {};
      }
      FNIMAGE_TRY(const ContentPtr content, plan.base_store->blob(*layer));
      const auto progress = environment.diagnostics.begin(
          fmt::format("base layer {:.12}", layer->digest.hex()), layer->size);
      const auto outcome =
          store.put_blob(*layer, *content,
                         {.mount_from = plan.base_store->repository(), .progress = progress.get()});
      progress->finish(outcome ? "done" : "failed");
      FNIMAGE_CHECK(outcome);
      return {};
    });
  }
  return group.wait();
}

}  // namespace fnimage::build
