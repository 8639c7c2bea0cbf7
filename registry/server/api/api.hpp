// The registry's API over a store (distribution-spec 1.1, all four categories): which endpoint
// answers which request. Thread-safety: as Handler.
#pragma once

#include "api/access.hpp"
#include "http/exchange.hpp"

namespace fnimage::server {

class Api final : public Handler {
 public:
  /// The store is not owned and lives longer.
  Api(Store& store, const ApiOptions& options) : context_{store, options} {}

  [[nodiscard]] bool is_quick(const Request& request) const override;
  Answer answer(const Request& request) override;

 private:
  ApiContext context_;
};

}  // namespace fnimage::server
