#include "rehearsal.hpp"

#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

#include "json_text.hpp"

namespace fnimage::cli {

namespace {

using Requests = std::vector<registry::PlannedRequest>;

nlohmann::ordered_json requests_json(const Requests& requests) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const registry::PlannedRequest& request : requests) {
    all.push_back({{"method", request.method}, {"url", request.url}, {"bytes", request.bytes}});
  }
  return all;
}

std::uint64_t sum_of(const Requests& requests) {
  std::uint64_t sum = 0;
  for (const registry::PlannedRequest& request : requests) {
    sum += request.bytes;
  }
  return sum;
}

std::string counted(std::size_t count) {
  return fmt::format("{} request{}", count, count == 1 ? "" : "s");
}

}  // namespace

void add_dry_run_flag(CLI::App& command, bool& dry_run) {
  command.add_flag("--dry-run", dry_run,
                   "Write nothing to the registry; print each request that would");
}

Result<void> rehearse(Session& session, const std::function<Result<void>()>& work,
                      const std::function<nlohmann::ordered_json()>& about) {
  FNIMAGE_CHECK(session.start_dry_run());
  FNIMAGE_CHECK(work());
  const Requests writes = session.dry_run()->writes();
  const Requests reads = session.dry_run()->reads();
  if (session.common().json) {
    nlohmann::ordered_json value = about ? about() : nlohmann::ordered_json::object();
    value["requests"] = requests_json(writes);
    value["reads"] = requests_json(reads);
    value["totals"] = {{"requests", writes.size()},
                       {"bytes", sum_of(writes)},
                       {"reads", reads.size()},
                       {"bytesRead", sum_of(reads)}};
    session.console().print(json_lines(value));
    return {};
  }
  for (const registry::PlannedRequest& request : writes) {
    session.console().print(
        fmt::format("{} {} {} bytes\n", request.method, request.url, request.bytes));
  }
  session.console().print(fmt::format(
      "would send {} with {} ({} bytes), beside {} that read{}\n", counted(writes.size()),
      human_size(sum_of(writes)), sum_of(writes), counted(reads.size()),
      sum_of(reads) > 0 ? fmt::format(" ({})", human_size(sum_of(reads))) : ""));
  return {};
}

Result<void> require_registry_in_dry_run(const registry::Location& location,
                                         const Session& session) {
  if (session.dry_run() != nullptr && location.kind != registry::Location::Kind::registry) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("--dry-run is about requests to a registry, {} is on this machine",
                            printable(location.str())),
                "name registry/name:tag");
  }
  return {};
}

}  // namespace fnimage::cli
