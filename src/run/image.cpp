// An image run in namespaces of its own, see run.hpp.
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/check/images.hpp>
#include <fnimage/layer/archive.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/run/run.hpp>

#include "port.hpp"
#include "process.hpp"
#include "root_files.hpp"
#include "tree_writer.hpp"

namespace fnimage::run {
namespace {

/// A stream that ends with `cancelled` once it is asked to.
class StoppableReader final : public Reader {
 public:
  StoppableReader(std::unique_ptr<Reader> from, std::stop_token stop)
      : from_(std::move(from)), stop_(std::move(stop)) {}
  Result<std::size_t> read(MutableBytes buffer) override {
    if (stop_.stop_requested()) {
      return fail(ErrorCode::cancelled, "stopped");
    }
    return from_->read(buffer);
  }

 private:
  std::unique_ptr<Reader> from_;
  std::stop_token stop_;
};

Result<check::Image> image_for_this_machine(registry::ImageStore& store,
                                            const registry::Selector& selector,
                                            const std::string& name) {
  FNIMAGE_TRY(std::vector<check::Image> images, check::find_images(store, selector, {}));
  std::vector<manifest::Descriptor> entries;
  std::vector<std::string> platforms;
  for (const check::Image& image : images) {
    entries.push_back(image.descriptor);
    entries.back().platform = image.platform;
    platforms.push_back(printable(image.platform.str()));
  }
  const manifest::Platform host = manifest::host_platform();
  const auto best = manifest::best_match(entries, host);
  if (!best) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("{} is not for this machine, which is {}, but for {}", name, host.str(),
                            join(platforms, ", ")),
                fmt::format("run it on another machine, or in a container engine that has qemu for "
                            "it: podman run --platform {}",
                            platforms.front()));
  }
  return std::move(images[*best]);
}

/// The image's layers laid over each other; contents are in `packs`.
Result<check::ImageFiles> files_of(registry::ImageStore& store, const check::Image& image,
                                   const std::filesystem::path& packs, const Options& options,
                                   WorkerPool& pool, Diagnostics& diagnostics) {
  const check::LayerReader unpack =
      [&](const manifest::Descriptor& blob,
          const Content& content) -> Result<std::vector<layer::Entry>> {
    const auto open = [&]() -> Result<std::unique_ptr<Reader>> {
      FNIMAGE_TRY(auto reader, content.open());
      return std::make_unique<StoppableReader>(std::move(reader), options.stop);
    };
    FNIMAGE_TRY(layer::ArchiveListing listing,
                layer::unpack_tar(open, blob.digest.hex(), packs, "layer " + blob.digest.str()));
    return std::move(listing.entries);
  };
  FNIMAGE_TRY(const check::LayerEntries layers,
              check::read_layers(store, {image}, unpack, pool, diagnostics));
  return check::lay_files(image, layers);
}

/// Made by fnimage, whose runtimes listen where they are told to.
bool takes_port(const manifest::ImageConfig& config) {
  return config.env_value("FNIMAGE_ACTION_MAIN").has_value();
}

/// Where an image listens that is told nothing: the first port that it says, else 8080.
std::uint16_t own_port(const manifest::ImageConfig& config) {
  for (const std::string& text : config.exposed_ports) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    const std::string_view rest(end, text.data() + text.size());
    if (error == std::errc() && port != 0 && (rest.empty() || rest == "/tcp")) {
      return port;
    }
  }
  return default_port;
}

Result<ChosenPort> port_for(const manifest::ImageConfig& config, const std::string& name,
                            const Options& options) {
  if (takes_port(config)) {
    return choose_port(options.port, default_port);
  }
  const std::uint16_t port = own_port(config);
  if (options.port && *options.port != port) {
    return fail(ErrorCode::unsupported,
                fmt::format("{} cannot be told where to listen: it listens on port {}", name, port),
                "only images that fnimage built with a runtime can; leave out --port");
  }
  if (is_listening(port)) {
    return fail(ErrorCode::unavailable,
                fmt::format("port {} is in use, and {} listens on no other", port, name),
                "end what listens there");
  }
  return ChosenPort{.port = port};
}

Result<Program> program_of(const manifest::ImageConfig& config, const ImageUser& user,
                           std::uint16_t port, const std::string& name,
                           const std::filesystem::path& root, const Options& options) {
  constexpr const char* default_path =
      "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  std::vector<std::string> command = config.entrypoint;
  command.insert(command.end(), config.cmd.begin(), config.cmd.end());
  if (command.empty()) {
    return fail(ErrorCode::unsupported, fmt::format("{} has no command to run", name),
                "set config.entrypoint or a runtime in its build file");
  }
  std::vector<std::string> environment{fmt::format("PATH={}", default_path),
                                       fmt::format("HOME={}", user.home)};
  set_variables(config.env, environment);
  if (takes_port(config)) {
    set_variables({fmt::format("FNIMAGE_PORT={}", port), "FNIMAGE_ADDRESS=127.0.0.1"}, environment);
  }
  set_variables(options.env, environment);
  const std::string path = config.env_value("PATH").value_or(default_path);
  return Program{.name = name,
                 .candidates = program_candidates(command.front(), path),
                 .arguments = std::move(command),
                 .environment = std::move(environment),
                 .directory = config.working_dir.empty() ? "/" : config.working_dir,
                 .jail = Jail{.root = root, .uid = user.uid, .gid = user.gid}};
}

Result<void> check_place(const std::filesystem::path& directory) {
  struct statvfs status {};
  if (::statvfs(directory.c_str(), &status) == 0 && (status.f_flag & ST_NOEXEC) != 0) {
    return fail(ErrorCode::unsupported,
                fmt::format("nothing can be run in {}, which is mounted noexec",
                            printable(directory.string())),
                "set XDG_CACHE_HOME to another directory");
  }
  return {};
}

}  // namespace

Result<int> run_image(registry::ImageStore& store, const registry::Selector& selector,
                      const std::string& name, const Options& options, WorkerPool& pool,
                      Diagnostics& diagnostics) {
  constexpr mode_t root_mode = 0755;
  FNIMAGE_TRY(const check::Image image, image_for_this_machine(store, selector, name));
  FNIMAGE_TRY(const ChosenPort chosen, port_for(image.config, name, options));

  remove_stale_temporaries(options.directory);
  FNIMAGE_TRY(const TemporaryDirectory directory, TemporaryDirectory::create_in(options.directory));
  FNIMAGE_CHECK(check_place(directory.path()));
  const std::filesystem::path root = std::filesystem::absolute(directory.path() / "root");
  const std::filesystem::path packs = directory.path() / "packs";
  FNIMAGE_CHECK(make_directories(root));
  // Above it only this process's user gets in; below it, the image's.
  if (::chmod(root.c_str(), root_mode) != 0) {
    return fail(error_from_errno(errno, fmt::format("open {}", root.string())));
  }
  ImageUser user;
  {
    FNIMAGE_TRY(const check::ImageFiles files,
                files_of(store, image, packs, options, pool, diagnostics));
    FNIMAGE_TRY(user, resolve_user(files, image.config.user));
    FNIMAGE_TRY(const layer::FileTree::Map entries, root_files(files));
    FNIMAGE_CHECK(write_tree(entries, root, {.owners = ::geteuid() == 0, .stop = options.stop}));
  }
  std::error_code ignored;  // it goes with the rest at the end
  std::filesystem::remove_all(packs, ignored);

  FNIMAGE_TRY(const Program program,
              program_of(image.config, user, chosen.port, name, root, options));
  if (chosen.is_other) {
    diagnostics.report(Severity::warning,
                       fmt::format("port {} is in use: taking port {}", default_port, chosen.port));
  }
  return run_in_foreground(
      program, {.port = chosen.port, .stop = options.stop, .kill = options.kill}, diagnostics);
}

}  // namespace fnimage::run
