// See retry.hpp.
#include "retry.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>
#include <string>

#include <curl/curl.h>

#include <fnimage/base/text.hpp>

namespace fnimage::registry {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string words(milliseconds duration) {
  return std::to_string((duration.count() + 999) / 1000) + " s";
}

/// How long to wait after this answer; nullopt: longer than anybody should wait.
std::optional<milliseconds> delay_after(const RetryOptions& options,
                                        const Result<HttpResponse>& answer, int failures) {
  const milliseconds own = backoff(options, failures, jitter());
  if (!answer) {
    return own;
  }
  const auto stated = parse_retry_after(answer->header("Retry-After").value_or(""),
                                        answer->header("Date").value_or(""));
  if (!stated) {
    return own;
  }
  if (*stated > options.max_wait) {
    return std::nullopt;
  }
  return std::max<milliseconds>(own, *stated);
}

}  // namespace

bool is_transient_status(int status) noexcept {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
         status == 504;
}

std::optional<seconds> parse_retry_after(std::string_view value, std::string_view date_header,
                                         std::chrono::system_clock::time_point now) {
  value = trim(value);
  if (value.empty() || value.size() > 64) {
    return std::nullopt;
  }
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (end == value.data() + value.size()) {
    if (problem == std::errc::result_out_of_range) {
      return seconds::max();
    }
    return number < 0 ? std::nullopt
                      : std::optional(seconds(std::min(number, std::int64_t{1} << 40)));
  }
  const std::time_t wanted = curl_getdate(std::string(value).c_str(), nullptr);
  if (wanted < 0) {
    return std::nullopt;
  }
  std::time_t base = date_header.empty() || date_header.size() > 64
                         ? -1
                         : curl_getdate(std::string(date_header).c_str(), nullptr);
  if (base < 0) {
    base = std::chrono::system_clock::to_time_t(now);
  }
  return seconds(std::max<std::time_t>(wanted - base, 0));
}

milliseconds backoff(const RetryOptions& options, int failures, double random) {
  const double doubled =
      static_cast<double>(options.first_delay.count()) * std::ldexp(1.0, std::min(failures, 30));
  const double capped = std::min(doubled, static_cast<double>(options.max_delay.count()));
  return milliseconds(static_cast<std::int64_t>(capped * (0.5 + random / 2)));
}

double jitter() {
  thread_local std::minstd_rand engine(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

bool pause_for(milliseconds duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

HostGate::Pass::~Pass() {
  if (gate_ != nullptr) {
    const std::lock_guard lock(gate_->mutex_);
    --gate_->running_;
    gate_->changed_.notify_one();
  }
}

void HostGate::close_for(milliseconds duration) {
  const std::lock_guard lock(mutex_);
  open_at_ = std::max(open_at_, std::chrono::steady_clock::now() + duration);
}

bool HostGate::wait(const std::stop_token& stop) const {
  std::chrono::steady_clock::time_point until;
  {
    const std::lock_guard lock(mutex_);
    until = open_at_;
  }
  const auto now = std::chrono::steady_clock::now();
  return until <= now || pause_for(std::chrono::ceil<milliseconds>(until - now), stop);
}

HostGate::Pass HostGate::enter(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [this] { return running_ < allowed_; });
  ++running_;  // when stopped too: the request will be refused at once
  return Pass(this);
}

void HostGate::answered(int status) {
  const std::lock_guard lock(mutex_);
  if (status == 429) {
    allowed_ = std::max<std::size_t>(1, std::min(allowed_, running_) / 2);
    good_answers_ = 0;
  } else if (allowed_ < unlimited && ++good_answers_ % answers_per_step == 0) {
    ++allowed_;
    changed_.notify_one();
  }
}

Result<HttpResponse> send_patiently(const RetryOptions& options, HostGate& gate,
                                    Diagnostics& diagnostics, const std::stop_token& stop,
                                    std::string_view peer,
                                    const std::function<Result<HttpResponse>()>& send,
                                    const std::function<bool()>& may_repeat) {
  for (int failures = 0;; ++failures) {
    gate.wait(stop);
    Result<HttpResponse> answer = send();
    const bool transient =
        answer ? is_transient_status(answer->status) : answer.error().is_retryable();
    if (!transient || failures + 1 >= options.attempts || !may_repeat()) {
      return answer;
    }
    const auto delay = delay_after(options, answer, failures);
    if (!delay) {
      return answer;
    }
    if (*delay >= seconds(1)) {
      diagnostics.report(Severity::info, std::string(peer) + ": trying again in " + words(*delay));
    }
    if (answer && answer->status == 429) {
      gate.close_for(*delay);
    } else if (!pause_for(*delay, stop)) {
      return answer;
    }
  }
}

}  // namespace fnimage::registry
