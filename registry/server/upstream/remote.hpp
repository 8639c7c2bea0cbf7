// One upstream registry: the client for it, the threads that wait for it, and whether it makes
// sense to ask it just now. Thread-safety: all methods from several threads.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/registry/blob_source.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/server/upstream.hpp>

#include "http/workers.hpp"

namespace fnimage::server {

class Remote {
 public:
  /// The options and the upstream are not owned and live longer. Does no network.
  Remote(const Upstream& upstream, const UpstreamOptions& options,
         std::shared_ptr<registry::Transport> transport);
  Remote(const Remote&) = delete;
  Remote& operator=(const Remote&) = delete;
  ~Remote() { join(); }

  [[nodiscard]] const std::string& registry() const noexcept { return upstream_.registry; }
  /// A repository there. Errors: those of the credentials.
  Result<std::unique_ptr<registry::ImageStore>> repository(const std::string& name);

  /// The last failure, as long as it says that nobody has to try again.
  [[nodiscard]] std::optional<Error> is_down() const;
  /// Take note of how a question ended, and tell who runs the server.
  void succeeded();
  void failed(const Error& error);
  /// Only tells: what went wrong says nothing about the next question.
  void complain(const Error& error);

  /// Runs a task that asks something on one of the threads for it. False: too many wait already.
  bool ask(std::function<void()> task) { return questions_.post(std::move(task)); }
  bool fetch(std::function<void()> task) { return fetches_.post(std::move(task)); }
  /// Waits for what is under way.
  void join();

 private:
  using Clock = std::chrono::steady_clock;

  /// What clients say is told once, although there is a new one now and then.
  class Warnings final : public Diagnostics {
   public:
    explicit Warnings(const UpstreamOptions& options) : options_(options) {}
    void report(Severity severity, std::string_view message) noexcept override;
    std::unique_ptr<ProgressTask> begin(std::string_view label,
                                        std::uint64_t total) noexcept override;

   private:
    const UpstreamOptions& options_;
    std::mutex mutex_{};
    std::set<std::string, std::less<>> told_{};  // guarded by mutex_
  };

  Result<std::shared_ptr<registry::Client>> client(const std::string& repository);
  void warn(const std::string& message) const;

  const Upstream& upstream_;
  const UpstreamOptions& options_;
  const std::shared_ptr<registry::Transport> transport_;
  Warnings warnings_;
  std::mutex client_mutex_;
  std::shared_ptr<registry::Client> client_{};  // guarded by client_mutex_, as the next two
  Clock::time_point client_since_{};
  std::set<std::string> repositories_{};  ///< that the client has been asked for
  mutable std::mutex mutex_;
  std::optional<Error> failure_{};  // guarded by mutex_, as what follows
  Clock::time_point down_until_{};
  std::optional<ErrorCode> told_{};  ///< of the failure that was told last
  Clock::time_point told_at_{};
  Workers questions_;
  Workers fetches_;
};

}  // namespace fnimage::server
