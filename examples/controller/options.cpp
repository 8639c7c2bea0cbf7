// See the header.
#include "options.hpp"

#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <string_view>

#include <fmt/format.h>

namespace controller {

namespace {

using fnimage::ErrorCode;
using fnimage::fail;
using fnimage::Result;

tl::unexpected<fnimage::Error> refuse(const std::string& what) {
  return fail(ErrorCode::invalid_argument, what, "see fnimage-controller --help");
}

Result<int> number_of(std::string_view text, std::string_view option, int most) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0 || number > most) {
    return refuse(fmt::format("{} is no number from 0 to {}: {}", option, most, text));
  }
  return number;
}

Result<void> set_address(Options& options, const std::string& text) {
  constexpr int largest_port = 65535;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    return refuse("--listen is not HOST:PORT: " + text);
  }
  options.host = text.substr(0, colon);
  if (options.host.starts_with('[') && options.host.ends_with(']')) {
    options.host = options.host.substr(1, options.host.size() - 2);
  }
  FNIMAGE_TRY(options.port, number_of(text.substr(colon + 1), "--listen's port", largest_port));
  return {};
}

Result<void> set_failing(Options& options, const std::string& text) {
  if (text != "open" && text != "closed") {
    return refuse("--fail is neither open nor closed: " + text);
  }
  options.fail_closed = text == "closed";
  return {};
}

Result<void> set_seconds(std::chrono::milliseconds& time, const std::string& text,
                         std::string_view option, int most) {
  FNIMAGE_TRY(const int seconds, number_of(text, option, most));
  time = std::chrono::seconds(seconds);
  return {};
}

Result<Options> check_complete(Options options) {
  if (options.help) {
    return options;
  }
  for (const auto& [option, path] : {std::pair{"--cert", options.certificate},
                                     {"--key", options.key},
                                     {"--nodes", options.nodes},
                                     {"--functions", options.functions}}) {
    if (path.empty()) {
      return refuse(fmt::format("{} is missing", option));
    }
  }
  return options;
}

}  // namespace

std::string usage() {
  return "fnimage-controller: a mutating admission webhook that places functions\n"
         "  --cert FILE --key FILE  the server's certificate and key, PEM; renewed ones are "
         "noticed\n"
         "  --nodes DIR             Node objects, *.json, *.yaml, *.yml\n"
         "  --functions DIR         which images are functions, *.json:\n"
         "                          {\"images\": \"serverless:30501/team/*\", \"pin\": true,\n"
         "                           \"fail\": \"open\", \"runtimes\": [\"containerd:2.1\"]}\n"
         "  --listen HOST:PORT      default 127.0.0.1:8443; port 0 = a free one\n"
         "  --fail open|closed      what happens to pods whose functions cannot be placed\n"
         "                          (default open)\n"
         "  --deadline SECONDS      until there has to be an answer (default 8)\n"
         "  --tag-lifetime SECONDS  how long a tag is believed before its registry is asked again\n"
         "                          (default 30)\n"
         "  --plain-http            registries speak HTTP\n"
         "  --ca-file FILE          certificates that registries' are signed with, PEM\n"
         "  --store DIR             OCI layout with the images that are named without registry\n"
         "POST /mutate; GET /healthz, /readyz, /metrics.\n";
}

Result<Options> parse_options(const std::vector<std::string>& arguments) {
  constexpr int longest_deadline = 30;  // the longest timeoutSeconds of a webhook
  constexpr int longest_lifetime = 86'400;
  Options options;
  const auto path = [](std::filesystem::path& place) {
    return [&place](const std::string& text) -> Result<void> {
      place = text;
      return {};
    };
  };
  const auto seconds = [](std::chrono::milliseconds& time, std::string_view option, int most) {
    return [&time, option, most](const std::string& text) {
      return set_seconds(time, text, option, most);
    };
  };
  const std::map<std::string, std::function<Result<void>(const std::string&)>> with_value{
      {"--listen", [&](const std::string& text) { return set_address(options, text); }},
      {"--fail", [&](const std::string& text) { return set_failing(options, text); }},
      {"--deadline", seconds(options.deadline, "--deadline", longest_deadline)},
      {"--tag-lifetime", seconds(options.tag_lifetime, "--tag-lifetime", longest_lifetime)},
      {"--cert", path(options.certificate)},
      {"--key", path(options.key)},
      {"--nodes", path(options.nodes)},
      {"--functions", path(options.functions)},
      {"--ca-file", path(options.ca_file)},
      {"--store", path(options.store)}};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::size_t equals =
        arguments[i].starts_with("--") ? arguments[i].find('=') : std::string::npos;
    const std::string argument = arguments[i].substr(0, equals);
    if (argument == "--help" || argument == "--plain-http") {
      (argument == "--help" ? options.help : options.plain_http) = true;
      continue;
    }
    const auto known = with_value.find(argument);
    if (known == with_value.end()) {
      return refuse("unknown argument " + argument);
    }
    if (equals != std::string::npos) {
      FNIMAGE_CHECK(known->second(arguments[i].substr(equals + 1)));
      continue;
    }
    if (++i == arguments.size()) {
      return refuse(argument + " needs a value");
    }
    FNIMAGE_CHECK(known->second(arguments[i]));
  }
  return check_complete(std::move(options));
}

}  // namespace controller
