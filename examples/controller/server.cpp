// See the header.
#include "server.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <httplib.h>

#include <fnimage/base/text.hpp>

#include "admission.hpp"
#include "deadline.hpp"
#include "decision.hpp"
#include "metrics.hpp"

namespace controller {

namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::size_t threads = 128;  // each serves one connection
constexpr std::chrono::seconds idle_limit{5};
constexpr std::size_t requests_of_connection = 10'000;
constexpr std::chrono::milliseconds margin{500};  // for the way back to the API server

constexpr int bad_request = 400;
constexpr int not_ready = 503;

/// What the API server waits: "?timeout=10s". Nullopt = it does not say.
std::optional<std::chrono::milliseconds> timeout_of(const httplib::Request& request) {
  const std::string text = request.get_param_value("timeout");
  constexpr int longest = 60;
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool is_good =
      error == std::errc() && std::string_view(end) == "s" && seconds > 0 && seconds <= longest;
  return is_good ? std::optional<std::chrono::milliseconds>(std::chrono::seconds(seconds))
                 : std::nullopt;
}

std::string pod_name(const Review& review) {
  const json& object = review.object;
  if (!object.is_object() || !object.contains("metadata") || !object["metadata"].is_object()) {
    return {};
  }
  for (const char* name : {"name", "generateName"}) {
    const auto found = object["metadata"].find(name);
    if (found != object["metadata"].end() && found->is_string()) {
      return found->get<std::string>();
    }
  }
  return {};
}

void log_decision(const Review& review, const Verdict& verdict, std::chrono::nanoseconds took) {
  const json line{{"uid", review.uid},
                  {"namespace", review.object_namespace},
                  {"pod", pod_name(review)},
                  {"result", to_string(verdict.kind)},
                  {"message", verdict.message},
                  {"warnings", verdict.warnings},
                  {"microseconds", took.count() / 1000}};
  const std::string text = line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);  // one call, so that lines stay whole
}

}  // namespace

struct Server::Impl {
  Impl(Options given, Certificate& certificate, Inventory& nodes_and_functions,
       fnimage::resolve::Resolver& images)
      : options(std::move(given)),
        inventory(nodes_and_functions),
        resolver(images),
        http([&](SSL_CTX& context) {
          certificate.serve(context);
          return true;
        }) {
    http.new_task_queue = [] { return new httplib::ThreadPool(threads); };
    http.set_payload_max_length(max_review_bytes);
    http.set_read_timeout(idle_limit);
    http.set_write_timeout(idle_limit);
    http.set_keep_alive_timeout(idle_limit.count());
    http.set_keep_alive_max_count(requests_of_connection);
    http.set_tcp_nodelay(true);
    http.Post("/mutate", [&](const auto& request, auto& response) { mutate(request, response); });
    http.Get("/healthz",
             [](const auto&, auto& response) { response.set_content("ok\n", "text/plain"); });
    http.Get("/readyz", [&](const auto&, auto& response) { answer_ready(response); });
    http.Get("/metrics", [&](const auto&, auto& response) {
      const auto state = inventory.state();
      response.set_content(
          metrics.text(resolver.statistics(), state->nodes.size(), state->functions.size()),
          "text/plain; version=0.0.4");
    });
  }

  void mutate(const httplib::Request& request, httplib::Response& response) {
    const Clock::time_point begin = Clock::now();
    const auto refuse = [&](const fnimage::Error& error) {
      metrics.count_malformed();
      response.status = bad_request;
      response.set_content(error.describe() + "\n", "text/plain");
    };
    const auto review = parse_review(request.body);
    if (!review) {
      return refuse(review.error());
    }
    const auto limit =
        std::min(options.deadline, timeout_of(request).value_or(options.deadline) - margin);
    const Deadlines::Deadline deadline(deadlines, begin + limit);
    const auto state = inventory.state();
    const auto verdict = decide(*review, *state, resolver, options.fail_closed, deadline.token());
    if (!verdict) {
      return refuse(verdict.error());
    }
    response.set_content(answer(*review, *verdict), "application/json");
    const auto took = Clock::now() - begin;
    metrics.count(verdict->kind, took);
    log_decision(*review, *verdict, took);
  }

  void answer_ready(httplib::Response& response) {
    std::string text;
    for (const std::string& file : inventory.state()->problems) {
      text += fnimage::printable(file) + "\n";
    }
    {
      const std::lock_guard lock(mutex);
      text += problem.empty() ? "" : fnimage::printable(problem) + "\n";
    }
    response.status = text.empty() ? 200 : not_ready;
    response.set_content(text.empty() ? "ok\n" : text, "text/plain");
  }

  Options options;
  Inventory& inventory;
  fnimage::resolve::Resolver& resolver;
  Metrics metrics;
  Deadlines deadlines;
  std::mutex mutex;
  std::string problem;
  std::atomic<bool> has_ended{false};
  httplib::SSLServer http;
};

Server::Server(Options options, Certificate& certificate, Inventory& inventory,
               fnimage::resolve::Resolver& resolver)
    : impl_(std::make_unique<Impl>(std::move(options), certificate, inventory, resolver)) {}

Server::~Server() = default;

fnimage::Result<int> Server::bind() {
  const Options& options = impl_->options;
  int port = options.port;
  const bool is_bound =
      impl_->http.is_valid() && (port == 0 ? (port = impl_->http.bind_to_any_port(options.host)) > 0
                                           : impl_->http.bind_to_port(options.host, port));
  if (!is_bound) {
    return fnimage::fail(fnimage::ErrorCode::unavailable,
                         fmt::format("cannot listen on {}:{}", options.host, options.port),
                         "is another program listening there?");
  }
  return port;
}

void Server::run() {
  impl_->http.listen_after_bind();
  impl_->has_ended = true;
}

void Server::stop() {
  // Before it runs, httplib's stop() does nothing.
  constexpr std::chrono::milliseconds pause{1};
  while (!impl_->http.is_running() && !impl_->has_ended) {
    std::this_thread::sleep_for(pause);
  }
  impl_->http.stop();
}

void Server::report(std::string problem) {
  const std::lock_guard lock(impl_->mutex);
  impl_->problem = std::move(problem);
}

}  // namespace controller
