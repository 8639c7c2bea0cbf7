// What a token is asked for and good for (distribution, "Token Scope Documentation").
// Thread-safety: values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "access/rights.hpp"

namespace fnimage::server {

/// Rights in one repository.
struct Scope {
  std::string repository;
  Rights rights;
  friend bool operator==(const Scope&, const Scope&) = default;
};

class Scopes {
 public:
  /// Of "repository:a/b:pull,push registry:catalog:*". What is malformed, unknown here, or too much
  /// is left out: what a server does not grant, it need not understand.
  static Scopes parse(std::string_view text);

  void add(std::string repository, Rights rights);
  void add_catalog() { has_catalog_ = true; }

  [[nodiscard]] Rights rights_in(std::string_view repository) const;
  [[nodiscard]] const std::vector<Scope>& repositories() const noexcept { return repositories_; }
  [[nodiscard]] bool has_catalog() const noexcept { return has_catalog_; }
  [[nodiscard]] bool empty() const noexcept { return repositories_.empty() && !has_catalog_; }
  /// What parse() reads.
  [[nodiscard]] std::string str() const;
  friend bool operator==(const Scopes&, const Scopes&) = default;

 private:
  std::vector<Scope> repositories_{};
  bool has_catalog_ = false;
};

}  // namespace fnimage::server
