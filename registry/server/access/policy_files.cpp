#include "access/policy_files.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::server {

namespace {

/// Parses a text and leaves the result where a policy has it.
template <class T>
Result<void> read_into(std::shared_ptr<const T>& place, const std::string& text,
                       const std::string& file) {
  FNIMAGE_TRY(T value, T::parse(text, file));
  place = std::make_shared<const T>(std::move(value));
  return {};
}

}  // namespace

PolicyFiles::PolicyFiles(const AccessOptions& options, std::chrono::milliseconds pause)
    : pause_(pause), warn_(options.warn) {
  const auto watch = [](const std::optional<std::filesystem::path>& path) {
    return path ? std::optional<Watched>(Watched{WatchedFile(*path)}) : std::nullopt;
  };
  htpasswd_ = watch(options.htpasswd);
  rules_ = watch(options.rules);
  tokens_ = watch(options.tokens);
}

Result<std::unique_ptr<PolicyFiles>> PolicyFiles::open(const AccessOptions& options,
                                                       std::chrono::milliseconds pause) {
  std::unique_ptr<PolicyFiles> files(new PolicyFiles(options, pause));
  auto policy = std::make_shared<Policy>();
  policy->anonymous_pull = options.anonymous_pull;
  FNIMAGE_CHECK(files->look_at_all(
      *policy, [](const Watched& /*watched*/, const Error& error) { return fail(error); }));
  files->looked_ = std::chrono::steady_clock::now();
  files->policy_ = std::move(policy);
  return files;
}

std::shared_ptr<const Policy> PolicyFiles::current() {
  auto known = [&] {
    const std::lock_guard lock(mutex_);
    return policy_;
  }();
  const std::unique_lock looking(looking_, std::try_to_lock);
  const auto now = std::chrono::steady_clock::now();
  if (!looking || now < looked_ + pause_) {
    return known;
  }
  looked_ = now;
  auto next = std::make_shared<Policy>(*known);
  (void)look_at_all(*next,
                    [&](Watched& watched, const Error& error) { return complain(watched, error); });
  const std::lock_guard lock(mutex_);
  policy_ = std::move(next);
  return policy_;
}

Result<void> PolicyFiles::look_at_all(Policy& policy, const Failed& failed) {
  const auto one = [&](std::optional<Watched>& watched, const auto& read) -> Result<void> {
    const auto looked = look(watched, read);
    return looked ? looked : failed(*watched, looked.error());
  };
  FNIMAGE_CHECK(one(htpasswd_, [&](const std::string& text, const std::string& file) {
    return read_into(policy.users, text, file);
  }));
  FNIMAGE_CHECK(one(rules_, [&](const std::string& text, const std::string& file) {
    return read_into(policy.rules, text, file);
  }));
  return one(tokens_, [&](const std::string& text, const std::string& file) {
    return read_into(policy.tokens, text, file);
  });
}

Result<void> PolicyFiles::look(std::optional<Watched>& watched, const Read& read) {
  if (!watched) {
    return {};
  }
  FNIMAGE_TRY(const auto text, watched->file.changed());
  if (text) {
    FNIMAGE_CHECK(read(*text, watched->file.path().string()));
    watched->reported.clear();
  }
  return {};
}

Result<void> PolicyFiles::complain(Watched& watched, const Error& error) const {
  std::string message = fmt::format("{}; what it said before stays in force", error.describe());
  if (!error.hint().empty()) {
    message += fmt::format(" ({})", error.hint());
  }
  if (watched.reported != message && warn_) {
    warn_(message);
  }
  watched.reported = std::move(message);
  return {};
}

}  // namespace fnimage::server
