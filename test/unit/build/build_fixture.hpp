// What the tests of builds share: a project directory, an environment without any network, and a
// store in memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <fnimage/build/build.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/test/elf_file.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::build {

/// Every request fails: nothing in these tests may need one.
class NoTransport final : public registry::Transport {
 public:
  Result<registry::HttpResponse> perform(const registry::HttpRequest& request) override {
    return fail(ErrorCode::internal, "a test went to the network: " + request.url);
  }
};

inline manifest::Platform platform(std::string_view text) {
  return test::unwrap(manifest::Platform::parse(text));
}

/// A project for two platforms on an empty base, with everything that depends on the platform or
/// does not.
inline BuildSpec scratch_spec(const test::TempDir& directory) {
  directory.write("handler.py", "def main(args):\n    return args\n");
  directory.write("lib/util.py", "x = 1\n");
  directory.write("model.bin", "weights");
  directory.write("build/amd64/solver", test::ElfFile().bytes());
  directory.write("build/ppc64le/solver", test::ElfFile().for_ppc64le().bytes());
  BuildSpec spec;
  spec.name = "demo";
  spec.platforms = {platform("linux/amd64"), platform("linux/ppc64le")};
  spec.base = ScratchBase{};
  spec.main = "handler.py";
  spec.files = {"lib/**"};
  spec.layers = {{.name = "model", .from = "model.bin", .to = "/action/model.bin"}};
  spec.platform_files = {
      {.from = "build/{arch}/solver", .to = "/usr/local/bin/solver", .mode = 0755}};
  spec.config.env = {{"OMP_NUM_THREADS", "2"}};
  spec.config.cmd = {"/usr/local/bin/solver"};
  spec.annotations = {{"org.example.team", "a"}};
  spec.directory = directory.path();
  return spec;
}

/// One set of caches and stores.
class World {
 public:
  explicit World(std::size_t threads = 2)
      : pool_(threads),
        client_(std::make_shared<NoTransport>(), no_credentials(), {}, null_diagnostics()) {}

  template <class Work>
  auto with_environment(const Work& work) {
    return work(Environment{.transport = std::make_shared<NoTransport>(),
                            .client = client_,
                            .pool = pool_,
                            .diagnostics = *diagnostics,
                            .cache_directory = directory / "cache",
                            .local_store = directory / "store"});
  }

  Result<BuildResult> build(const BuildSpec& spec, const BuildOptions& options = {},
                            const std::vector<std::string>& tags = {"demo:latest"}) {
    return with_environment([&](const Environment& environment) {
      return fnimage::build::build(spec, options, *store, tags, environment);
    });
  }

  manifest::ImageConfig config(const BuiltPlatform& built) {
    const auto image =
        test::unwrap(test::unwrap(store->get_manifest(built.manifest.digest)).image());
    const auto reader = test::unwrap(test::unwrap(store->blob(image.config))->open());
    return test::unwrap(manifest::ImageConfig::parse(test::unwrap(read_all(*reader, 1 << 20))));
  }

  manifest::ImageManifest image(const BuiltPlatform& built) {
    return test::unwrap(test::unwrap(store->get_manifest(built.manifest.digest)).image());
  }

  test::TempDir directory;
  Diagnostics* diagnostics = &null_diagnostics();
  std::unique_ptr<registry::ImageStore> store = registry::make_memory_store("test");

 private:
  static std::shared_ptr<const registry::CredentialStore> no_credentials() {
    return registry::fixed_credentials("registry.example", {});
  }

  WorkerPool pool_;
  registry::Client client_;
};

}  // namespace fnimage::build
