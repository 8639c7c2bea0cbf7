// Format: "fnimage pack 2\n", then numbers as decimal text with a space behind each and texts as
// length, space, bytes: pack size, number of entries, the entries; last the sha256 of all that in
// hex, so that damage of any kind is a miss and nothing after the check can be hostile.
#include "pack_index.hpp"

#include <charconv>

#include <fnimage/manifest/digest.hpp>

namespace fnimage::layer::detail {

namespace {

constexpr std::string_view pack_header = "fnimage pack 2\n";
constexpr std::size_t hex_size = 64;

class Output {
 public:
  void number(std::uint64_t value) {
    text_ += std::to_string(value);
    text_ += ' ';
  }
  void text(std::string_view value) {
    number(value.size());
    text_ += value;
  }
  std::string& out() { return text_; }

 private:
  std::string text_;
};

class Input {
 public:
  explicit Input(std::string_view text) : text_(text) {}

  std::uint64_t number() {
    std::uint64_t value = 0;
    const char* const last = text_.data() + text_.size();
    const auto [end, error] = std::from_chars(text_.data(), last, value);
    if (error != std::errc{} || end == last || *end != ' ') {
      return spoil();
    }
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()) + 1);
    return value;
  }
  template <class T>
  T number_as() {
    return static_cast<T>(number());
  }
  std::string text() {
    const std::uint64_t size = number();
    if (size > text_.size()) {
      spoil();
      return {};
    }
    std::string value(text_.substr(0, static_cast<std::size_t>(size)));
    text_.remove_prefix(static_cast<std::size_t>(size));
    return value;
  }
  [[nodiscard]] bool good() const noexcept { return good_; }
  [[nodiscard]] bool at_end() const noexcept { return good_ && text_.empty(); }

 private:
  std::uint64_t spoil() noexcept {
    good_ = false;
    text_ = {};
    return 0;
  }

  std::string_view text_;
  bool good_ = true;
};

void put(Output& out, const PackedEntry& packed) {
  const Entry& entry = packed.entry;
  out.text(entry.path);
  out.number(static_cast<std::uint64_t>(entry.type));
  out.number(entry.mode);
  out.number(entry.uid);
  out.number(entry.gid);
  out.number(static_cast<std::uint64_t>(entry.mtime));
  out.text(entry.link);
  out.number(entry.device_major);
  out.number(entry.device_minor);
  out.number(packed.offset);
  out.number(packed.size);
  out.text(packed.digest ? packed.digest->str() : std::string());
  out.number(entry.xattrs.size());
  for (const auto& [name, value] : entry.xattrs) {
    out.text(name);
    out.text(value);
  }
}

bool get(Input& in, PackedEntry& packed) {
  Entry& entry = packed.entry;
  entry.path = in.text();
  const std::uint64_t type = in.number();
  if (type > static_cast<std::uint64_t>(EntryType::fifo)) {
    return false;
  }
  entry.type = static_cast<EntryType>(type);
  entry.mode = in.number_as<std::uint32_t>();
  entry.uid = in.number_as<std::uint32_t>();
  entry.gid = in.number_as<std::uint32_t>();
  entry.mtime = in.number_as<std::int64_t>();
  entry.link = in.text();
  entry.device_major = in.number_as<std::uint32_t>();
  entry.device_minor = in.number_as<std::uint32_t>();
  packed.offset = in.number();
  packed.size = in.number();
  if (packed.size > 0) {
    Result<manifest::Digest> digest = manifest::Digest::parse(in.text());
    if (!digest) {
      return false;
    }
    packed.digest = std::move(*digest);
  } else if (!in.text().empty()) {
    return false;
  }
  for (std::uint64_t left = in.number(); left > 0 && in.good(); --left) {
    std::string name = in.text();
    entry.xattrs[std::move(name)] = in.text();
  }
  return in.good();
}

}  // namespace

std::string to_text(const PackIndex& index) {
  Output out;
  out.out() = pack_header;
  out.number(index.pack_size);
  out.number(index.entries.size());
  for (const PackedEntry& entry : index.entries) {
    put(out, entry);
  }
  const manifest::Digest digest = manifest::Digest::of(out.out());
  out.out() += digest.hex();
  return std::move(out.out());
}

std::optional<PackIndex> parse_pack_index(std::string_view text) {
  if (!text.starts_with(pack_header) || text.size() < pack_header.size() + hex_size) {
    return std::nullopt;
  }
  const std::string_view body = text.substr(0, text.size() - hex_size);
  if (manifest::Digest::of(body).hex() != text.substr(body.size())) {
    return std::nullopt;
  }
  Input in(body.substr(pack_header.size()));
  PackIndex index;
  index.pack_size = in.number();
  for (std::uint64_t left = in.number(); left > 0; --left) {
    if (!get(in, index.entries.emplace_back())) {
      return std::nullopt;
    }
    const PackedEntry& packed = index.entries.back();
    if (packed.offset > index.pack_size || packed.size > index.pack_size - packed.offset) {
      return std::nullopt;
    }
  }
  return in.at_end() ? std::optional(std::move(index)) : std::nullopt;
}

}  // namespace fnimage::layer::detail
