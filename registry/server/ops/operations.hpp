// The endpoints for who runs the server, in front of the API or on an address of their own, and the
// counting of all requests. Thread-safety: as Handler.
#pragma once

#include <cstdint>

#include "access/gate.hpp"
#include "http/exchange.hpp"
#include "ops/overview.hpp"

namespace fnimage::server {

class Operations final : public Handler {
 public:
  struct Options {
    bool has_metrics = true;
    Gate* gate = nullptr;  ///< null = everybody may see the metrics
  };

  /// @param inner answers all else; null = there is nothing else. Neither is owned.
  Operations(Overview& overview, Handler* inner, Options options)
      : overview_(overview), inner_(inner), options_(options) {}

  [[nodiscard]] bool is_quick(const Request& request) const override;
  Answer answer(const Request& request) override;
  void complete(const Request& request, Response& response) const override;
  void answered(const Request& request, int status, std::uint64_t sent) override;

 private:
  [[nodiscard]] bool is_own(const Request& request) const;
  [[nodiscard]] Response answer_own(const Request& request) const;
  [[nodiscard]] Response answer_metrics(const Request& request) const;

  Overview& overview_;
  Handler* inner_;
  Options options_;
};

}  // namespace fnimage::server
