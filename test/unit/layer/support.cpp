// What the layer tests share. Thread-safety: none needed.
#include "support.hpp"

#include <array>
#include <cstdio>
#include <memory>
#include <utility>

#include <fnimage/layer/tar_writer.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::layer::test {

using fnimage::test::unwrap;

Entry file(std::string path, std::string bytes) {
  Entry entry;
  entry.path = std::move(path);
  std::string id = manifest::Digest::of(bytes).str();
  entry.content = memory_content(std::move(bytes), std::move(id));
  return entry;
}

Entry directory(std::string path) {
  Entry entry;
  entry.path = std::move(path);
  entry.type = EntryType::directory;
  entry.mode = 0755;
  return entry;
}

Entry symlink(std::string path, std::string target) {
  Entry entry;
  entry.path = std::move(path);
  entry.type = EntryType::symlink;
  entry.mode = 0777;
  entry.link = std::move(target);
  return entry;
}

Entry hardlink(std::string path, std::string target) {
  Entry entry;
  entry.path = std::move(path);
  entry.type = EntryType::hardlink;
  entry.link = std::move(target);
  return entry;
}

std::string tar_of(const FileTree& tree) {
  std::string bytes;
  StringWriter out(bytes);
  unwrap(write_tar(tree, out));
  return bytes;
}

std::string sample(std::size_t size, std::uint64_t seed) {
  std::string bytes;
  bytes.reserve(size + 32);
  std::uint64_t state = seed;
  while (bytes.size() < size) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    bytes += "word" + std::to_string((state >> 33) % 5000) + ((state >> 60) == 0 ? '\n' : ' ');
  }
  bytes.resize(size);
  return bytes;
}

Result<void> write_in_pieces(Writer& out, std::string_view bytes, std::size_t piece) {
  while (!bytes.empty()) {
    FNIMAGE_CHECK(out.write(as_bytes(bytes.substr(0, piece))));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  return {};
}

std::string run(const std::string& command) {
  struct Close {
    void operator()(FILE* file) const noexcept { (void)::pclose(file); }
  };
  std::unique_ptr<FILE, Close> pipe(::popen(command.c_str(), "r"));  // NOLINT(cert-env33-c)
  if (!pipe) {
    ADD_FAILURE() << "cannot run " << command;
    return {};
  }
  std::string output;
  std::array<char, 4096> buffer{};
  std::size_t got = 0;
  while ((got = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) > 0) {
    output.append(buffer.data(), got);
  }
  EXPECT_EQ(::pclose(pipe.release()), 0) << command;
  return output;
}

}  // namespace fnimage::layer::test
