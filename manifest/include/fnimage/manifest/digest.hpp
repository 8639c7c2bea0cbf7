// Content digests: image-spec descriptor.md#digests. A Digest can only hold a well-formed value, so
// it is safe as part of a path or URL (reliability A12, CVE-2024-3727). Thread-safety: Digest is a
// value type; one Hasher belongs to one thread at a time.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>

namespace fnimage::manifest {

/// "sha256:<64 lower-case hex>" or "sha512:<128 lower-case hex>".
class Digest {
 public:
  /// Error: invalid_input for any other algorithm, length, letter case or character.
  static Result<Digest> parse(std::string_view text);
  /// The sha256 of bytes in memory.
  static Digest of(Bytes bytes);
  static Digest of(std::string_view text) { return of(as_bytes(text)); }

  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  [[nodiscard]] std::string_view algorithm() const noexcept;
  [[nodiscard]] std::string_view hex() const noexcept;

  friend bool operator==(const Digest&, const Digest&) = default;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 misreads a defaulted <=>
  friend std::strong_ordering operator<=>(const Digest&, const Digest&) = default;

 private:
  friend class Hasher;
  explicit Digest(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// Incremental hash over OpenSSL's EVP interface.
class Hasher {
 public:
  enum class Algorithm : std::uint8_t { sha256, sha512 };
  explicit Hasher(Algorithm algorithm = Algorithm::sha256);
  /// A hasher of the digest's own algorithm, for verifying.
  static Hasher for_digest(const Digest& digest);
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher();

  void update(Bytes bytes);
  /// Ends the hash; call once.
  [[nodiscard]] Digest finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A reader that fails with verification instead of ending when size or digest differ (reliability
/// C7, C8). More bytes than `size` are refused as soon as they come.
std::unique_ptr<Reader> verifying_reader(std::unique_ptr<Reader> inner, Digest digest,
                                         std::uint64_t size, std::string what);

}  // namespace fnimage::manifest

template <>
struct std::hash<fnimage::manifest::Digest> {
  std::size_t operator()(const fnimage::manifest::Digest& digest) const noexcept {
    return std::hash<std::string>()(digest.str());
  }
};
