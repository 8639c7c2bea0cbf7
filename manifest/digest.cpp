// Digests over OpenSSL's EVP interface.
#include <array>
#include <exception>
#include <utility>

#include <fmt/format.h>
#include <openssl/evp.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::manifest {

namespace {

struct AlgorithmInfo {
  std::string_view prefix;
  std::size_t hex_size;
};

constexpr std::array known_algorithms{AlgorithmInfo{"sha256:", 64}, AlgorithmInfo{"sha512:", 128}};

bool is_lower_hex(std::string_view text) noexcept {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Hashing in memory fails only when OpenSSL is broken or out of memory; a wrong digest would be
/// worse than the end.
void require(bool success) noexcept {
  if (!success) {
    std::terminate();
  }
}

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  for (const AlgorithmInfo& algorithm : known_algorithms) {
    if (!text.starts_with(algorithm.prefix)) {
      continue;
    }
    const std::string_view hex = text.substr(algorithm.prefix.size());
    if (hex.size() == algorithm.hex_size && is_lower_hex(hex)) {
      return Digest(std::string(text));
    }
    return fail(
        ErrorCode::invalid_input,
        fmt::format("digest \"{}\" is malformed: {}{} lower-case hexadecimal digits are needed",
                    printable(text, 160), algorithm.prefix, algorithm.hex_size));
  }
  return fail(ErrorCode::invalid_input,
              fmt::format("digest \"{}\" is not one of sha256 or sha512", printable(text, 160)));
}

Digest Digest::of(Bytes bytes) {
  Hasher hasher;
  hasher.update(bytes);
  return hasher.finish();
}

std::string_view Digest::algorithm() const noexcept {
  return std::string_view(text_).substr(0, text_.find(':'));
}

std::string_view Digest::hex() const noexcept {
  return std::string_view(text_).substr(text_.find(':') + 1);
}

struct Hasher::Impl {
  struct FreeContext {
    void operator()(EVP_MD_CTX* handle) const noexcept { EVP_MD_CTX_free(handle); }
  };
  Algorithm algorithm;
  std::unique_ptr<EVP_MD_CTX, FreeContext> context;
};

Hasher::Hasher(Algorithm algorithm)
    : impl_(std::make_unique<Impl>(
          Impl{algorithm, std::unique_ptr<EVP_MD_CTX, Impl::FreeContext>(EVP_MD_CTX_new())})) {
  require(impl_->context != nullptr);
  const EVP_MD* type = algorithm == Algorithm::sha512 ? EVP_sha512() : EVP_sha256();
  require(EVP_DigestInit_ex(impl_->context.get(), type, nullptr) == 1);
}

Hasher Hasher::for_digest(const Digest& digest) {
  return Hasher(digest.algorithm() == "sha512" ? Algorithm::sha512 : Algorithm::sha256);
}

Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::update(Bytes bytes) {
  require(EVP_DigestUpdate(impl_->context.get(), bytes.data(), bytes.size()) == 1);
}

Digest Hasher::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned size = 0;
  require(EVP_DigestFinal_ex(impl_->context.get(), value.data(), &size) == 1);
  const std::string_view prefix =
      known_algorithms[static_cast<std::size_t>(impl_->algorithm)].prefix;
  return Digest(std::string(prefix) + to_hex(std::as_bytes(std::span(value).first(size))));
}

namespace {

class VerifyingReader final : public Reader {
 public:
  VerifyingReader(std::unique_ptr<Reader> inner, Digest digest, std::uint64_t size,
                  std::string what)
      : inner_(std::move(inner)),
        hasher_(Hasher::for_digest(digest)),
        digest_(std::move(digest)),
        left_(size),
        size_(size),
        what_(std::move(what)) {}

  Result<std::size_t> read(MutableBytes buffer) override {
    if (buffer.empty()) {
      return std::size_t{0};
    }
    FNIMAGE_TRY(const std::size_t got, inner_->read(buffer));
    if (got > left_) {
      return mismatch(fmt::format("is longer than its {} bytes", size_));
    }
    if (got == 0 && left_ > 0) {
      return mismatch(fmt::format("ended after {} of {} bytes", size_ - left_, size_));
    }
    hasher_.update(buffer.first(got));
    left_ -= got;
    // The last bytes are held back until the digest is right: who stops at `size` bytes must be
    // safe too.
    if (left_ == 0 && !verified_) {
      if (const Digest actual = hasher_.finish(); actual != digest_) {
        return mismatch(fmt::format("has digest {} instead of {}", actual.str(), digest_.str()));
      }
      verified_ = true;
    }
    return got;
  }

 private:
  [[nodiscard]] tl::unexpected<Error> mismatch(const std::string& problem) const {
    return fail(ErrorCode::verification, fmt::format("{} {}", what_, problem),
                "the content was damaged or replaced; fetch it again or rebuild it");
  }

  std::unique_ptr<Reader> inner_;
  Hasher hasher_;
  Digest digest_;
  std::uint64_t left_;
  std::uint64_t size_;
  std::string what_;
  bool verified_ = false;
};

}  // namespace

std::unique_ptr<Reader> verifying_reader(std::unique_ptr<Reader> inner, Digest digest,
                                         std::uint64_t size, std::string what) {
  return std::make_unique<VerifyingReader>(std::move(inner), std::move(digest), size,
                                           std::move(what));
}

}  // namespace fnimage::manifest
