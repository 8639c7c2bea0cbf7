// Layer work in parallel, see the header.
#include "layer_work.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include <fnimage/layer/cache.hpp>

namespace fnimage::build {

namespace {

// A layer is read and hashed by one thread and compressed by all; few at once keep them busy, and
// each costs memory. zstd's own threads hold more than that for each layer.
constexpr std::size_t parallel_layers = 4;

/// One distinct tree and what has become of it.
struct Job {
  const PlannedLayer* planned;
  std::uint64_t bytes;  ///< of the tree's files
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
        table.jobs.push_back(
            {.planned = &planned, .bytes = planned.tree.content_size(), .platforms = {}});
      }
      table.jobs[job].platforms.push_back(platform.platform.str());
      row.push_back(job);
    }
  }
  return table;
}

/// So that no long one is alone at the end.
std::vector<Job*> largest_first(std::vector<Job>& jobs) {
  std::vector<Job*> order;
  order.reserve(jobs.size());
  for (Job& job : jobs) {
    order.push_back(&job);
  }
  std::ranges::stable_sort(order, std::greater<>(), &Job::bytes);
  return order;
}

class LayerMaker {
 public:
  LayerMaker(const Plan& plan, const BuildOptions& options, registry::ImageStore& store,
             const Environment& environment, layer::LayerCache& cache)
      : plan_(plan),
        options_(options),
        store_(store),
        environment_(environment),
        cache_(cache),
        blocks_(std::make_shared<layer::BlockPool>(environment.pool.threads())) {}

  Result<void> make(std::vector<Job>& jobs) {
    const std::size_t parallel =
        options_.compression == layer::Compression::zstd ? 1 : parallel_layers;
    const std::vector<Job*> order = largest_first(jobs);
    std::atomic<std::size_t> next = 0;
    TaskGroup group(environment_.pool);
    for (std::size_t i = 0; i < std::min(parallel, jobs.size()); ++i) {
      group.run([&]() -> Result<void> {
        for (std::size_t job = next++; job < order.size(); job = next++) {
          Result<void> made = make(*order[job]);
          if (!made) {
            next = jobs.size();  // what has not begun is not begun any more
            return made;
          }
        }
        return {};
      });
    }
    return group.wait();
  }

 private:
  Result<void> make(Job& job) {
    const bool own = job.platforms.size() == 1 && plan_.platforms.size() > 1;
    const layer::LayerOptions layer_options{
        .compression = options_.compression,
        .label = own ? fmt::format("{} ({})", job.planned->name, job.platforms.front())
                     : job.planned->name,
        .blocks = blocks_};
    auto built = layer::build_layer(job.planned->tree, layer_options, cache_, environment_.pool,
                                    environment_.diagnostics);
    if (!built) {
      return fail(std::move(built.error()).while_doing("pack layer " + layer_options.label));
    }
    FNIMAGE_CHECK(store_.put_blob(convert(built->descriptor, options_.format), *built->blob, {}));
    if (!built->cached && options_.on_new_layer) {
      options_.on_new_layer(built->descriptor, built->blob);
    }
    job.result = std::move(*built);
    return {};
  }

  const Plan& plan_;
  const BuildOptions& options_;
  registry::ImageStore& store_;
  const Environment& environment_;
  layer::LayerCache& cache_;
  std::shared_ptr<layer::BlockPool> blocks_;
};

}  // namespace

Result<std::vector<std::vector<NamedBlob>>> make_layers(const Plan& plan,
                                                        const BuildOptions& options,
                                                        registry::ImageStore& store,
                                                        const Environment& environment) {
  FNIMAGE_TRY(layer::LayerCache cache,
              layer::LayerCache::open(environment.cache_directory / "layers"));
  JobTable table = collect(plan);
  FNIMAGE_CHECK(LayerMaker(plan, options, store, environment, cache).make(table.jobs));

  std::vector<std::vector<NamedBlob>> layers;
  for (std::size_t p = 0; p < plan.platforms.size(); ++p) {
    auto& row = layers.emplace_back();
    for (std::size_t l = 0; l < plan.platforms[p].layers.size(); ++l) {
      const PlannedLayer& planned = plan.platforms[p].layers[l];
      row.push_back({.name = planned.name,
                     .layer = *table.jobs[table.of_platform[p][l]].result,
                     .place = planned.place});
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
