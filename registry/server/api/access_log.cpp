#include "api/access_log.hpp"

#include <algorithm>
#include <chrono>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/base/time.hpp>

namespace fnimage::server {

namespace {

constexpr std::size_t longest_field = 1000;

struct LogEntry {
  const Request& request;
  int status = 0;
  std::uint64_t sent = 0;
  std::chrono::milliseconds now{};  ///< since 1970
  double took = 0;                  ///< milliseconds
};

std::string target_of(const Request& request) {
  return request.query.empty() ? request.path : request.path + "?" + request.query;
}

/// Nothing that could end a field of a line, or the line.
std::string harmless(std::string_view text) {
  std::string shown = printable(text, longest_field);
  std::ranges::replace(shown, '"', '\'');
  return shown;
}

std::string common_line(const LogEntry& entry) {
  const Request& request = entry.request;
  std::string caller = request.caller.empty() ? "-" : harmless(request.caller);
  std::ranges::replace(caller, ' ', '_');
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(entry.now).count();
  return fmt::format("{} - {} [{}] \"{} {}\" {} {} \"{}\" {:.3f}", request.peer, caller,
                     rfc3339(seconds), printable(request.method, longest_field),
                     printable(target_of(request), longest_field), entry.status, entry.sent,
                     harmless(request.header("User-Agent")), entry.took);
}

std::string json_line(const LogEntry& entry) {
  constexpr int thousand = 1000;
  const Request& request = entry.request;
  std::string time = rfc3339(entry.now.count() / thousand);
  time.insert(time.size() - 1, fmt::format(".{:03}", entry.now.count() % thousand));  // before 'Z'
  const std::string target = target_of(request);
  const auto part = [](std::string_view text) { return text.substr(0, longest_field); };
  nlohmann::ordered_json line{{"time", time}, {"peer", request.peer}, {"user", nullptr}};
  if (!request.caller.empty()) {
    line["user"] = part(request.caller);
  }
  line["method"] = part(request.method);
  line["target"] = part(target);
  line["status"] = entry.status;
  line["sent_bytes"] = entry.sent;
  line["user_agent"] = part(request.header("User-Agent"));
  line["duration_ms"] = entry.took;
  return to_json_text(line);
}

}  // namespace

void AccessLog::answered(const Request& request, int status, std::uint64_t sent) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const LogEntry entry{
      .request = request,
      .status = status,
      .sent = sent,
      .now = std::chrono::duration_cast<std::chrono::milliseconds>(now),
      .took = Milliseconds(std::chrono::steady_clock::now() - request.begun).count()};
  write_(format_ == LogFormat::json ? json_line(entry) : common_line(entry));
  inner_.answered(request, status, sent);
}

}  // namespace fnimage::server
