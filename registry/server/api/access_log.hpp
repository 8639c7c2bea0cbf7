// A line for each request that was answered: in the format that log readers know from web servers
// (the "common log format", with the time that it took at the end), or a JSON object.
// Thread-safety: as Handler.
#pragma once

#include <functional>
#include <string>

#include <fnimage/server/operations.hpp>

#include "http/exchange.hpp"

namespace fnimage::server {

class AccessLog final : public Handler {
 public:
  using Write = std::function<void(const std::string& line)>;
  /// @param inner answers the requests; not owned. @param write may be called from several threads
  /// at once.
  AccessLog(Handler& inner, Write write, LogFormat format)
      : inner_(inner), write_(std::move(write)), format_(format) {}

  [[nodiscard]] bool is_quick(const Request& request) const override {
    return inner_.is_quick(request);
  }
  Answer answer(const Request& request) override { return inner_.answer(request); }
  void complete(const Request& request, Response& response) const override {
    inner_.complete(request, response);
  }
  void answered(const Request& request, int status, std::uint64_t sent) override;

 private:
  Handler& inner_;
  Write write_;
  LogFormat format_;
};

}  // namespace fnimage::server
