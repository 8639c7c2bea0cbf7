// The registry's API over a store (distribution-spec 1.1, all four categories): which endpoint
// answers which request. Thread-safety: as Handler.
#pragma once

#include "access/gate.hpp"
#include "api/access.hpp"
#include "api/target.hpp"
#include "http/exchange.hpp"
#include "upstream/pull_through.hpp"

namespace fnimage::server {

class Api final : public Handler {
 public:
  /// Nothing is owned, and all lives longer. @param gate null = everybody may do everything.
  /// @param pull_through null = there are no upstreams.
  Api(Store& store, const ApiOptions& options, Gate* gate = nullptr,
      PullThrough* pull_through = nullptr)
      : context_{store, options}, gate_(gate), pull_through_(pull_through) {}

  [[nodiscard]] bool is_quick(const Request& request) const override;
  Answer answer(const Request& request) override;
  void complete(const Request& request, Response& response) const override;

 private:
  /// Enters the gate, and calls `then` with the context of who has entered.
  template <class Then>
  Answer enter(const Request& request, const Target& target, Then then) const;
  Answer answer_own(const Request& request, const Target& target) const;
  Answer answer_for(const Place& place, const Request& request, Target target) const;

  ApiContext context_;
  Gate* gate_;
  PullThrough* pull_through_;
};

}  // namespace fnimage::server
