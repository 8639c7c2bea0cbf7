// A hash of bytes as they come whose value can be asked for in between. Thread-safety: one belongs
// to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include <fnimage/base/bytes.hpp>
#include <fnimage/manifest/digest.hpp>

struct evp_md_ctx_st;

namespace fnimage::server {

class RunningHash {
 public:
  /// @param algorithm "sha256" or "sha512"
  explicit RunningHash(std::string_view algorithm);
  RunningHash(RunningHash&&) noexcept;
  RunningHash& operator=(RunningHash&&) noexcept;
  ~RunningHash();

  void update(Bytes bytes);
  /// Bytes that went in.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::string_view algorithm() const noexcept;
  /// Of what went in so far.
  [[nodiscard]] manifest::Digest digest() const;

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
  std::uint64_t size_ = 0;
  bool is_sha512_;
};

}  // namespace fnimage::server
