#include "upstream/remote.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/manifest/reference.hpp>

namespace fnimage::server {

namespace {

/// A client remembers credentials and tokens of every repository: what clients ask for must not
/// fill the memory, and new credentials are to be found.
constexpr std::size_t most_repositories = 1000;
constexpr std::chrono::minutes client_lifetime{10};
constexpr std::chrono::minutes warning_pause{1};
constexpr std::size_t most_waiting = 1024;
constexpr std::size_t most_warnings = 100;  // of clients
constexpr int too_many_requests = 429;

/// Whether the failure is of the registry as a whole, and not of one thing in it.
bool is_of_registry(const Error& error) {
  const bool is_out_of_reach =
      error.http_status() == 0 &&
      (error.code() == ErrorCode::unavailable || error.code() == ErrorCode::tls);
  return is_out_of_reach || error.http_status() == too_many_requests ||
         error.code() == ErrorCode::rate_limited;
}

}  // namespace

void Remote::Warnings::report(Severity severity, std::string_view message) noexcept {
  if (severity != Severity::warning || !options_.warn) {
    return;
  }
  try {
    {
      const std::lock_guard lock(mutex_);
      if (told_.size() >= most_warnings || !told_.emplace(message).second) {
        return;
      }
    }
    options_.warn(std::string(message));
  } catch (...) {  // what is only told must not end the program
  }
}

std::unique_ptr<ProgressTask> Remote::Warnings::begin(std::string_view label,
                                                      std::uint64_t total) noexcept {
  return null_diagnostics().begin(label, total);
}

Remote::Remote(const Upstream& upstream, const UpstreamOptions& options,
               std::shared_ptr<registry::Transport> transport)
    : upstream_(upstream),
      options_(options),
      transport_(std::move(transport)),
      warnings_(options),
      questions_(options.questions, most_waiting),
      fetches_(options.fetches, most_waiting) {}

Result<std::shared_ptr<registry::Client>> Remote::client(const std::string& repository) {
  const std::lock_guard lock(client_mutex_);
  const bool is_old =
      Clock::now() - client_since_ > client_lifetime || repositories_.size() >= most_repositories;
  if (client_ == nullptr || is_old) {
    std::shared_ptr<const registry::CredentialStore> credentials =
        registry::chained_credentials({});
    if (options_.credentials) {
      FNIMAGE_TRY(credentials, options_.credentials());
    }
    client_ = std::make_shared<registry::Client>(transport_, std::move(credentials),
                                                 options_.client, warnings_);
    client_since_ = Clock::now();
    repositories_.clear();
  }
  repositories_.insert(repository);
  return client_;
}

Result<std::unique_ptr<registry::ImageStore>> Remote::repository(const std::string& name) {
  FNIMAGE_TRY(const auto reference, manifest::Reference::parse(registry() + "/" + name));
  FNIMAGE_TRY(const auto asked, client(name));
  return asked->repository(reference);
}

std::optional<Error> Remote::is_down() const {
  const std::lock_guard lock(mutex_);
  return failure_ && Clock::now() < down_until_ ? failure_ : std::nullopt;
}

void Remote::succeeded() {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) {
      return;
    }
    failure_.reset();
    told_.reset();
  }
  warn(fmt::format("{} answers again", registry()));
}

void Remote::failed(const Error& error) {
  if (error.code() == ErrorCode::not_found) {
    return succeeded();
  }
  if (is_of_registry(error)) {
    const std::lock_guard lock(mutex_);
    failure_ = error;
    down_until_ = Clock::now() + options_.failure_memory;
  }
  complain(error);
}

void Remote::complain(const Error& error) {
  if (error.code() == ErrorCode::cancelled) {
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (told_ == error.code() && now - told_at_ < warning_pause) {
      return;
    }
    told_ = error.code();
    told_at_ = now;
  }
  const std::string hint = error.hint().empty() ? std::string() : " (" + error.hint() + ")";
  warn(fmt::format("upstream {}: {}{}", registry(), error.describe(), hint));
}

void Remote::warn(const std::string& message) const {
  if (options_.warn) {
    options_.warn(message);
  }
}

void Remote::join() {
  questions_.join();
  fetches_.join();
}

}  // namespace fnimage::server
