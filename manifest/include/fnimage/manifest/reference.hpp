// Image references: [registry/]repository[:tag][@digest]; grammar of distribution-spec "Pulling
// manifests" (C1, C2) and of the docker reference package. The first path part is a registry when
// it has a '.' or ':' or is "localhost"; without one the reference names something in the local
// store. No default registry is assumed, ever. Thread-safety: a value type.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::manifest {

class Reference {
 public:
  /// Error: invalid_argument that says which part is wrong (upper case in a repository is named as
  /// such).
  static Result<Reference> parse(std::string_view text);

  /// "serverless:30501"; empty for a reference to the local store.
  [[nodiscard]] const std::string& registry() const noexcept { return registry_; }
  /// "team/action"
  [[nodiscard]] const std::string& repository() const noexcept { return repository_; }
  /// The tag, if one was written.
  [[nodiscard]] const std::optional<std::string>& tag() const noexcept { return tag_; }
  [[nodiscard]] const std::optional<Digest>& digest() const noexcept { return digest_; }

  /// The tag, or "latest" when neither tag nor digest was written; empty when only a digest was.
  [[nodiscard]] std::string tag_or_latest() const;
  /// registry/repository without tag and digest.
  [[nodiscard]] std::string name() const;
  /// name with the tag (or latest) or digest: what is shown to people and stored as a layout's ref
  /// name.
  [[nodiscard]] std::string str() const;

  /// The same name with another tag and no digest. Error: invalid_argument for a malformed tag.
  [[nodiscard]] Result<Reference> with_tag(std::string_view tag) const;
  [[nodiscard]] Reference with_digest(Digest digest) const;

  friend bool operator==(const Reference&, const Reference&) = default;

 private:
  std::string registry_;
  std::string repository_;
  std::optional<std::string> tag_;
  std::optional<Digest> digest_;
};

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
bool is_valid_tag(std::string_view tag) noexcept;

}  // namespace fnimage::manifest
