// bench_layer TAR none|gzip|zstd [THREADS]: packs the entries of a tar into a layer, with all
// digests, into a fresh cache, and prints "<seconds> <blob bytes> <tar bytes> <peak KiB>". The tar
// is read into a pack beforehand, unmeasured. Compared with other packers by layer.sh.
// Thread-safety: one thread and a pool.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <string>

#include <sys/resource.h>

#include <fnimage/layer/archive.hpp>
#include <fnimage/layer/layer.hpp>

namespace {

using namespace fnimage;         // NOLINT(google-build-using-namespace)
using namespace fnimage::layer;  // NOLINT(google-build-using-namespace)

Result<void> run(const std::string& tar, std::string_view compression_name, std::size_t threads) {
  FNIMAGE_TRY(const Compression compression, parse_compression(compression_name));
  FNIMAGE_TRY(const TemporaryDirectory temp, TemporaryDirectory::create("bench-layer"));
  FNIMAGE_TRY(ArchiveListing listing,
              unpack_tar([&] { return open_file(tar); }, "bench", temp.path() / "packs", tar));
  FileTree tree;
  for (Entry& entry : listing.entries) {
    FNIMAGE_CHECK(tree.add(std::move(entry)));
  }
  FNIMAGE_TRY(LayerCache cache, LayerCache::open(temp.path() / "cache"));
  WorkerPool pool(threads);
  const auto begin = std::chrono::steady_clock::now();
  FNIMAGE_TRY(const Layer layer,
              build_layer(tree, {.compression = compression}, cache, pool, null_diagnostics()));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%.3f %llu %llu %ld\n", took.count(),
              static_cast<unsigned long long>(layer.descriptor.size),
              static_cast<unsigned long long>(layer.uncompressed_size), usage.ru_maxrss);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench_layer TAR none|gzip|zstd [THREADS]\n");
    return 2;
  }
  std::size_t threads = 0;
  if (argc > 3) {
    const std::string_view text = argv[3];
    std::from_chars(text.data(), text.data() + text.size(), threads);
  }
  const Result<void> result = run(argv[1], argv[2], threads);
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().describe().c_str());
    return 1;
  }
  return 0;
}
