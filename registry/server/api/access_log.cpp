#include "api/access_log.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/base/time.hpp>

namespace fnimage::server {

void AccessLog::answered(const Request& request, int status, std::uint64_t sent) {
  constexpr std::size_t longest = 1000;
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
  const std::string target =
      request.query.empty() ? request.path : request.path + "?" + request.query;
  std::string agent(request.header("User-Agent"));
  std::ranges::replace(agent, '"', '\'');  // or it could end its field itself
  write_(fmt::format("{} - - [{}] \"{} {}\" {} {} \"{}\"", request.peer, rfc3339(now.count()),
                     printable(request.method, longest), printable(target, longest), status, sent,
                     printable(agent, longest)));
  inner_.answered(request, status, sent);
}

}  // namespace fnimage::server
