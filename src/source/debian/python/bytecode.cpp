// See bytecode.hpp. A package's sources are compiled in one process and in at most two batches:
// those that name the architecture, and the others, whose byte-code is the same for every
// architecture and goes to a layer of its own.
#include "debian/python/bytecode.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/layer/archive.hpp>

#include "debian/configure/shell.hpp"
#include "debian/python/embedded.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_source = std::uint64_t{64} << 20;
constexpr std::uint64_t max_record = 4096;
/// In the names of all of Debian's architectures, so that a source that names one is told apart
/// from the others in the same way on each of them.
constexpr std::string_view any_triplet = "-linux-gnu";
constexpr std::string_view common_word = "common ";
constexpr std::string_view specific_word = "specific ";

/// Hashes texts so that different lists cannot give the same bytes.
class TextHasher {
 public:
  void add(std::string_view text) {
    const std::string size = fmt::format("{} ", text.size());
    hasher_.update(as_bytes(size));
    hasher_.update(as_bytes(text));
  }
  std::string finish() { return std::string(hasher_.finish().hex()); }

 private:
  manifest::Hasher hasher_;
};

Result<std::string> read_source(const layer::Entry& entry) {
  if (entry.content == nullptr) {
    return std::string();
  }
  FNIMAGE_TRY(const auto reader, entry.content->open());
  return read_all(*reader, max_source);
}

/// Directories that a package's postinst has compiled: `py3compile -p package /usr/share/x`.
void add_private_directories(std::string_view script, const ShellValues& known,
                             std::set<std::string>& directories) {
  if (script.find("py3compile") == std::string_view::npos) {
    return;
  }
  for (const ShellCommand& command : simple_commands(script, known)) {
    if (command.words.empty() || command.words.front() != "py3compile" || !command.exact) {
      continue;
    }
    for (const std::string& word : command.words) {
      if (word.starts_with("/usr/") && word.find("..") == std::string::npos) {
        std::string directory = word.substr(1);
        directories.insert(directory.ends_with('/') ? directory : directory + '/');
      }
    }
  }
}

}  // namespace

std::vector<PythonPackage> python_packages(std::span<const DebianPackage> packages) {
  constexpr std::string_view prefix = "python3.";
  constexpr std::string_view suffix = "-minimal";
  std::vector<PythonPackage> found;
  for (std::size_t i = 0; i < packages.size(); ++i) {
    std::string_view name = packages[i].name;
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) {
      continue;
    }
    name.remove_suffix(suffix.size());
    const std::string_view minor = name.substr(std::min(prefix.size(), name.size()));
    if (!minor.empty() && std::ranges::all_of(minor, [](char c) { return c >= '0' && c <= '9'; })) {
      found.push_back({.number = i, .version = std::string(name.substr(prefix.size() - 2))});
    }
  }
  return found;
}

std::uint64_t BytecodeMaker::Batch::source_bytes() const {
  return std::accumulate(
      sources.begin(), sources.end(), std::uint64_t{0},
      [](std::uint64_t sum, const layer::Entry* source) { return sum + source->size(); });
}

std::vector<BytecodeMaker::PackageSources> BytecodeMaker::find_sources(
    const Layout& layout, const ConfigureContext& context, const PythonPackage& python) {
  std::set<std::string> directories{"usr/lib/python3/dist-packages/",
                                    fmt::format("usr/lib/python{}/", python.version)};
  const ShellValues known = shell_values(context.architecture, context.triplet);
  for (const UnpackedPackage& package : context.unpacked) {
    add_private_directories(package.control_file("postinst"), known, directories);
  }
  std::map<std::size_t, std::vector<const layer::Entry*>> by_package;
  for (const auto& [path, entry] : layout.tree.entries()) {
    const auto owner = layout.owners.find(path);
    const bool is_source = entry.type == layer::EntryType::file && path.ends_with(".py") &&
                           path.find('\n') == std::string::npos && owner != layout.owners.end();
    if (is_source && std::ranges::any_of(directories, [&path = path](const std::string& one) {
          return path.starts_with(one);
        })) {
      by_package[owner->second].push_back(&entry);
    }
  }
  std::vector<PackageSources> found;
  found.reserve(by_package.size());
  for (auto& [package, sources] : by_package) {
    found.push_back({.package = package,
                     .is_for_all = context.packages[package].architecture == "all",
                     .sources = std::move(sources)});
  }
  return found;
}

Result<std::vector<BytecodeMaker::Batch>> BytecodeMaker::divide(const PackageSources& package,
                                                                const std::string& key) {
  Batch specific{.package = package.package};
  Batch common{.package = package.package, .common = true};
  TextHasher specific_id;
  TextHasher common_id;
  specific_id.add(key);
  common_id.add(key);
  for (const layer::Entry* source : package.sources) {
    FNIMAGE_TRY(const std::string text, read_source(*source));
    const bool is_specific =
        !package.is_for_all && (source->path.find(any_triplet) != std::string::npos ||
                                text.find(any_triplet) != std::string::npos);
    TextHasher& id = is_specific ? specific_id : common_id;
    id.add(source->path);
    id.add(text);
    (is_specific ? specific : common).sources.push_back(source);
  }
  specific.id = specific_id.finish() + "-bytecode";
  common.id = common_id.finish() + "-bytecode";
  std::vector<Batch> batches;
  for (Batch* batch : {&specific, &common}) {
    if (!batch->sources.empty()) {
      batches.push_back(std::move(*batch));
    }
  }
  return batches;
}

void BytecodeMaker::take_from_cache(Batch& batch) const {
  batch.bytecode = layer::unpacked_tar(batch.id, cache_ / "packs");
}

Result<void> BytecodeMaker::compile(Batch& batch, const PythonInterpreter& interpreter) {
  const auto mutex = locks_.get(batch.id);
  const std::lock_guard lock(*mutex);
  take_from_cache(batch);
  if (batch.bytecode) {
    return {};  // another platform's
  }
  FNIMAGE_TRY(const auto scratch, TemporaryDirectory::create_in(cache_ / "python"));
  const auto input = scratch.path() / "sources";
  const auto output = scratch.path() / "bytecode.tar";
  {
    FNIMAGE_TRY(AtomicFile file, AtomicFile::create(scratch.path()));
    for (const layer::Entry* source : batch.sources) {
      FNIMAGE_TRY(const std::string text, read_source(*source));
      FNIMAGE_CHECK(file.write(as_bytes(fmt::format("{} {}\n", text.size(), source->path))));
      FNIMAGE_CHECK(file.write(as_bytes(text)));
    }
    FNIMAGE_CHECK(file.commit(input, /*durable=*/false));
  }
  FNIMAGE_CHECK(interpreter.compile(input, output));
  FNIMAGE_TRY(batch.bytecode, layer::unpack_tar([&] { return open_file(output); }, batch.id,
                                                cache_ / "packs", "byte-code"));
  return {};
}

Result<void> BytecodeMaker::place(Batch& batch, std::int64_t mtime, Layout& layout) {
  for (layer::Entry& entry : batch.bytecode->entries) {
    if (layout.tree.find(entry.path) != nullptr) {
      continue;  // the package brings its own
    }
    entry.mtime = mtime;
    layout.owners.insert_or_assign(entry.path, batch.package);
    if (batch.common) {
      layout.common.insert(entry.path);
    }
    FNIMAGE_CHECK(layout.tree.add(std::move(entry)));
  }
  return {};
}

std::string BytecodeMaker::record_of(const PackageSources& package, const std::string& key) {
  TextHasher hasher;
  hasher.add(key);
  for (const layer::Entry* source : package.sources) {
    hasher.add(source->path);
    hasher.add(source->content ? source->content->id() : std::string());
  }
  return hasher.finish();
}

std::optional<std::vector<BytecodeMaker::Batch>> BytecodeMaker::remembered(
    std::size_t package, const std::filesystem::path& record) const {
  const auto text = read_file(record, max_record);
  if (!text) {
    return std::nullopt;
  }
  std::vector<Batch> batches;
  for (std::string_view line : split(trim(*text), '\n')) {
    const bool common = line.starts_with(common_word);
    if (!common && !line.starts_with(specific_word)) {
      return std::nullopt;
    }
    line.remove_prefix(common ? common_word.size() : specific_word.size());
    Batch batch{.package = package, .common = common, .id = std::string(line)};
    take_from_cache(batch);
    if (!batch.bytecode) {
      return std::nullopt;
    }
    batches.push_back(std::move(batch));
  }
  return batches;
}

Result<std::vector<BytecodeMaker::Batch>> BytecodeMaker::batches_of(const PackageSources& package,
                                                                    const std::string& key) const {
  const auto record = cache_ / "bytecode" / record_of(package, key);
  if (auto known = remembered(package.package, record)) {
    return std::move(*known);
  }
  FNIMAGE_TRY(std::vector<Batch> batches, divide(package, key));
  std::string text;
  for (Batch& batch : batches) {
    take_from_cache(batch);
    text += fmt::format("{}{}\n", batch.common ? common_word : specific_word, batch.id);
  }
  FNIMAGE_CHECK(write_file_atomically(record, text, /*durable=*/false));
  return batches;
}

Result<void> BytecodeMaker::compile_missing(std::vector<Batch>& batches, const std::string& title,
                                            const Interpreter& interpreter) {
  std::vector<Batch*> missing;
  for (Batch& batch : batches) {
    if (!batch.bytecode) {
      missing.push_back(&batch);
    }
  }
  if (missing.empty()) {
    return {};
  }
  // The longest first, so that it is not alone at the end.
  std::ranges::stable_sort(missing, std::greater<>(),
                           [](const Batch* batch) { return batch->source_bytes(); });
  FNIMAGE_TRY(const std::shared_ptr<const PythonInterpreter> python, interpreter());
  const auto progress = diagnostics_.begin(title, missing.size());
  std::atomic<std::uint64_t> done = 0;
  TaskGroup group(workers_);
  for (Batch* batch : missing) {
    group.run([&, batch]() -> Result<void> {
      FNIMAGE_CHECK(compile(*batch, *python));
      progress->update(++done);
      return {};
    });
  }
  auto result = group.wait();
  progress->finish(result ? "done" : "failed");
  return result;
}

Result<void> BytecodeMaker::add(Layout& layout, const ConfigureContext& context,
                                const PythonPackage& python, const std::string& title,
                                const Interpreter& interpreter) {
  TextHasher hasher;
  for (const std::string_view text :
       {std::string_view("fnimage byte-code 1"), python_compile, std::string_view(python.version),
        source_version(context.packages[python.number].version)}) {
    hasher.add(text);
  }
  const std::string key = hasher.finish();
  std::vector<Batch> batches;
  for (const PackageSources& package : find_sources(layout, context, python)) {
    FNIMAGE_TRY(std::vector<Batch> found, batches_of(package, key));
    std::move(found.begin(), found.end(), std::back_inserter(batches));
  }
  FNIMAGE_CHECK(compile_missing(batches, title, interpreter));
  for (Batch& batch : batches) {
    FNIMAGE_CHECK(place(batch, context.mtime, layout));
  }
  return {};
}

}  // namespace fnimage::source::debian
