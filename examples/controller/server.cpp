// See the header.
#include "server.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <fnimage/base/text.hpp>

#include "admission.hpp"
#include "decision.hpp"
#include "listener.hpp"
#include "metrics.hpp"

namespace controller {

namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::size_t workers_count = 128;  // most of them wait for registries, if they do anything
constexpr std::chrono::milliseconds margin{500};  // for the way back to the API server

constexpr int bad_request = 400;
constexpr int not_found = 404;
constexpr int wrong_method = 405;
constexpr int internal_error = 500;
constexpr int not_ready = 503;

std::string_view path_of(std::string_view target) {
  return target.substr(0, target.find('?'));
}

/// What the API server waits: "?timeout=10s". Nullopt = it does not say.
std::optional<std::chrono::milliseconds> timeout_of(std::string_view target) {
  constexpr std::string_view name = "timeout=";
  constexpr int longest = 60;
  target.remove_prefix(std::min(path_of(target).size() + 1, target.size()));
  while (!target.empty() && !target.starts_with(name)) {
    target.remove_prefix(std::min(target.find('&'), target.size() - 1) + 1);
  }
  const std::string_view text =
      target.substr(0, target.find('&')).substr(std::min(name.size(), target.size()));
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool is_good = error == std::errc() &&
                       text.substr(static_cast<std::size_t>(end - text.data())) == "s" &&
                       seconds > 0 && seconds <= longest;
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

/// A pod to decide on. Whoever takes it answers it.
struct Question {
  HttpRequest request;
  Reply reply;
  boost::asio::steady_timer due;
  std::stop_source overdue{};
  std::atomic_flag is_taken{};
};

}  // namespace

struct Server::Impl {
  Impl(Options given, Certificate& certificate, Inventory& nodes_and_functions,
       fnimage::resolve::Resolver& images)
      : options(std::move(given)),
        inventory(nodes_and_functions),
        resolver(images),
        listener(certificate, [this](HttpRequest request, const Reply& reply) {
          handle(std::move(request), reply);
        }) {}

  void handle(HttpRequest request, const Reply& reply);
  void ask(HttpRequest request, const Reply& reply);
  void answer_once(Question& question);
  HttpResponse decide_on(const Question& question);
  HttpResponse refuse(const fnimage::Error& error);
  HttpResponse page(std::string_view path);
  HttpResponse readiness();

  Options options;
  Inventory& inventory;
  fnimage::resolve::Resolver& resolver;
  Metrics metrics;
  std::mutex mutex;
  std::string problem;  // guarded by mutex
  Listener listener;
  boost::asio::thread_pool late_worker{1};
  boost::asio::thread_pool workers{workers_count};
};

void Server::Impl::handle(HttpRequest request, const Reply& reply) {
  const bool is_mutate = path_of(request.target) == "/mutate";
  if (is_mutate && request.method == "POST") {
    return ask(std::move(request), reply);
  }
  // Pages do not wait for workers: that all of these are busy is no reason to be restarted.
  HttpResponse found = is_mutate ? HttpResponse() : page(path_of(request.target));
  if (found.status != not_found &&
      (is_mutate || (request.method != "GET" && request.method != "HEAD"))) {
    found = {.status = wrong_method,
             .body = "there is no such method here\n",
             .allow = is_mutate ? "POST" : "GET, HEAD"};
  }
  reply(std::move(found));
}

void Server::Impl::ask(HttpRequest request, const Reply& reply) {
  const auto limit =
      std::min(options.deadline, timeout_of(request.target).value_or(options.deadline) - margin);
  const auto due = request.read + limit;
  const std::shared_ptr<Question> question(
      new Question{std::move(request), reply, boost::asio::steady_timer(late_worker, due)});
  boost::asio::post(workers, [this, question] { answer_once(*question); });
  question->due.async_wait([this, asked = std::weak_ptr(question)](const auto& error) {
    const auto late = error ? nullptr : asked.lock();
    if (late) {
      late->overdue.request_stop();
      answer_once(*late);  // if no worker has come to it: it waits for nothing any more
    }
  });
}

void Server::Impl::answer_once(Question& question) {
  if (question.is_taken.test_and_set()) {
    return;
  }
  HttpResponse response{.status = internal_error};
  try {
    response = decide_on(question);
  } catch (const std::exception& exception) {
    response.body = fnimage::printable(exception.what()) + "\n";
  }
  question.reply(std::move(response));
}

HttpResponse Server::Impl::decide_on(const Question& question) {
  const auto review = parse_review(question.request.body);
  if (!review) {
    return refuse(review.error());
  }
  const auto state = inventory.state();
  const auto verdict =
      decide(*review, *state, resolver, options.fail_closed, question.overdue.get_token());
  if (!verdict) {
    return refuse(verdict.error());
  }
  HttpResponse response{.body = answer(*review, *verdict), .type = "application/json"};
  const auto took = Clock::now() - question.request.read;
  metrics.count(verdict->kind, took);
  log_decision(*review, *verdict, took);
  return response;
}

HttpResponse Server::Impl::refuse(const fnimage::Error& error) {
  metrics.count_malformed();
  return {.status = bad_request, .body = error.describe() + "\n"};
}

HttpResponse Server::Impl::page(std::string_view path) {
  if (path == "/healthz") {
    return {.body = "ok\n"};
  }
  if (path == "/readyz") {
    return readiness();
  }
  if (path == "/metrics") {
    const auto state = inventory.state();
    return {
        .body = metrics.text(resolver.statistics(), state->nodes.size(), state->functions.size()),
        .type = "text/plain; version=0.0.4"};
  }
  return {.status = not_found, .body = "there is POST /mutate; GET /healthz, /readyz, /metrics\n"};
}

HttpResponse Server::Impl::readiness() {
  const auto state = inventory.state();
  std::string text;
  for (const std::string& file : state->problems) {
    text += fnimage::printable(file) + "\n";
  }
  {
    const std::lock_guard lock(mutex);
    text += problem.empty() ? "" : fnimage::printable(problem) + "\n";
  }
  return text.empty() ? HttpResponse{.body = "ok\n"}
                      : HttpResponse{.status = not_ready, .body = std::move(text)};
}

Server::Server(Options options, Certificate& certificate, Inventory& inventory,
               fnimage::resolve::Resolver& resolver)
    : impl_(std::make_unique<Impl>(std::move(options), certificate, inventory, resolver)) {}

Server::~Server() = default;

fnimage::Result<int> Server::bind() {
  return impl_->listener.bind(impl_->options.host, impl_->options.port);
}

void Server::run() {
  impl_->listener.run();
}

void Server::stop() {
  impl_->listener.stop();
}

void Server::report(std::string problem) {
  const std::lock_guard lock(impl_->mutex);
  impl_->problem = std::move(problem);
}

}  // namespace controller
