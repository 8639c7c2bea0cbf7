// The registry's API over a store (distribution-spec 1.1, all four categories): which endpoint
// answers which request. Thread-safety: as Handler.
#pragma once

#include "access/gate.hpp"
#include "api/access.hpp"
#include "api/target.hpp"
#include "http/exchange.hpp"

namespace fnimage::server {

class Api final : public Handler {
 public:
  /// The store and the gate are not owned and live longer. @param gate null = everybody may do
  /// everything.
  Api(Store& store, const ApiOptions& options, Gate* gate = nullptr)
      : context_{store, options}, gate_(gate) {}

  [[nodiscard]] bool is_quick(const Request& request) const override;
  Answer answer(const Request& request) override;
  void complete(const Request& request, Response& response) const override;

 private:
  Answer answer_entered(const Request& request, const Target& target) const;

  ApiContext context_;
  Gate* gate_;
};

}  // namespace fnimage::server
