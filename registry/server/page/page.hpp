// The pages that people see with a browser: "/" and all below "/-/"; other requests go on to who
// answers them. Who may not pull something does not see it. Thread-safety: as Handler.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <variant>

#include <fnimage/server/page.hpp>

#include "access/gate.hpp"
#include "http/exchange.hpp"
#include "page/checks.hpp"
#include "page/summaries.hpp"
#include "store/store.hpp"

namespace fnimage::server {

class Pages final : public Handler {
 public:
  /// @param inner answers what is no page; not owned, as the store and the gate, and lives longer.
  /// @param gate null = everybody may see everything. @param directory the store's.
  /// @param external_url how clients reach the server; empty: as each request says.
  Pages(Handler& inner, Store& store, Gate* gate, PageOptions options,
        std::filesystem::path directory, std::string external_url);

  [[nodiscard]] bool is_quick(const Request& request) const override;
  Answer answer(const Request& request) override;
  void complete(const Request& request, Response& response) const override;
  void answered(const Request& request, int status, std::uint64_t sent) override {
    inner_.answered(request, status, sent);
  }
  /// No check begins any more, and the one that goes on is asked to end.
  void stop() { checks_.stop(); }

 private:
  /// A request, and who sends it (null = everybody may see everything).
  struct Visit {
    const Request& request;
    std::shared_ptr<const Caller> caller{};
  };
  Response answer_page(const Visit& visit);
  Response home(const Visit& visit);
  Response repository(const Visit& visit, const std::string& name);
  Response tags(const Visit& visit, Repository& repository);
  Response image(const Visit& visit, Repository& repository, const registry::Selector& selector);
  Response begin_check(const Visit& visit, const std::string& name);
  /// The repository if the caller may pull from it; else the answer.
  std::variant<std::shared_ptr<Repository>, Response> find(const Visit& visit,
                                                           const std::string& name);

  Handler& inner_;
  Store& store_;
  Gate* gate_;
  const std::string external_url_;
  const std::string policy_;  ///< Content-Security-Policy
  Summaries summaries_{};
  Checks checks_;
};

}  // namespace fnimage::server
