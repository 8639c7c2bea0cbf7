// What fnimage serve is told about upstreams: --upstream and its like. Thread-safety: belongs to
// one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/server/upstream.hpp>

namespace CLI {
class App;
}

namespace fnimage::cli {

class Console;

struct UpstreamArguments {
  std::vector<std::string> upstreams;
  std::vector<std::string> insecure;
  std::string authfile;
  std::uint64_t fresh = 60;  ///< seconds
};

void add_upstream_options(CLI::App& command, UpstreamArguments& arguments);

/// Nullopt: there are no upstreams. @param console for warnings; it lives as long as the server.
/// Errors: invalid_argument, those of the host configuration.
Result<std::optional<server::UpstreamOptions>> upstream_options(const UpstreamArguments& arguments,
                                                                Console& console);

}  // namespace fnimage::cli
