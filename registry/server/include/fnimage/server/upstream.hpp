// Other registries whose repositories an embedded registry shows below a prefix: what is asked for
// is got from there, kept, and answered from here the next time, also when the other one cannot be
// reached. Thread-safety: values and a pure function.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/credentials.hpp>

namespace fnimage::server {

/// The repository prefix/NAME here is path/NAME there.
struct Upstream {
  std::string prefix;    ///< "hub"
  std::string registry;  ///< "registry.example:5000"
  std::string path{};    ///< "team"; empty = all of the registry
};

/// PREFIX=HOST[:PORT][/PATH]. Error: invalid_argument.
Result<Upstream> parse_upstream(std::string_view text);

struct UpstreamOptions {
  std::vector<Upstream> upstreams{};  ///< of different prefixes
  /// How they are reached. How often a request is sent again is for who waits for the answer:
  /// few times.
  registry::ClientOptions client{};
  /// Asked when the server starts, and now and then, so that new credentials are found. Called from
  /// several threads, one at a time. Empty = there are none.
  std::function<Result<std::shared_ptr<const registry::CredentialStore>>()> credentials{};
  /// How long what was said about a tag counts without asking again.
  std::chrono::milliseconds fresh{60'000};
  /// How long a registry that could not be reached is not asked again.
  std::chrono::milliseconds failure_memory{10'000};
  /// How long a blob is still got when all who wanted it have gone: they may come again.
  std::chrono::milliseconds abandoned{10'000};
  std::chrono::seconds connect_time{10};
  std::chrono::seconds stall_time{30};  ///< without any progress
  std::size_t questions = 8;            ///< asked of one upstream at once: manifests, lists
  std::size_t fetches = 8;              ///< blobs got from one upstream at once
  /// Told what goes wrong with an upstream, for whoever runs the server. Called from several
  /// threads at once.
  std::function<void(const std::string& message)> warn{};
};

}  // namespace fnimage::server
