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

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Time now() const override { return std::chrono::steady_clock::now(); }
  bool sleep_until(Time time, const std::stop_token& stop) const override {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_until(lock, stop, time, [] { return false; });
    return !stop.stop_requested();
  }
};

}  // namespace

bool is_transient_status(int status) noexcept {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
         status == 504;
}

std::optional<std::chrono::system_clock::time_point> parse_http_date(std::string_view value) {
  constexpr std::time_t latest = 7'000'000'000;  // what a time_point can hold
  if (value.empty() || value.size() > 64) {
    return std::nullopt;
  }
  const std::time_t time = curl_getdate(std::string(value).c_str(), nullptr);
  if (time < 0 || time > latest) {
    return std::nullopt;
  }
  return std::chrono::system_clock::from_time_t(time);
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
  const std::time_t base =
      std::chrono::system_clock::to_time_t(parse_http_date(date_header).value_or(now));
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
  return system_clock().sleep_until(system_clock().now() + duration, stop);
}

const Clock& system_clock() noexcept {
  static const SystemClock clock;
  return clock;
}

std::optional<seconds> stated_wait(const HttpResponse& answer) {
  return parse_retry_after(answer.header("Retry-After").value_or(""),
                           answer.header("Date").value_or(""));
}

std::string in_seconds(milliseconds duration) {
  return std::to_string((duration.count() + 999) / 1000) + " s";
}

std::optional<milliseconds> Patience::failed(std::optional<seconds> stated) {
  const Clock::Time now = clock_.now();
  if (failures_ == 0) {
    first_failure_ = now;
  }
  ++failures_;
  if (failures_ >= options_.attempts || (stated && *stated > options_.max_wait)) {
    return std::nullopt;
  }
  const milliseconds delay = std::max<milliseconds>(backoff(options_, failures_ - 1, jitter()),
                                                    stated.value_or(seconds(0)));
  const bool in_time =
      options_.retry_for == milliseconds(0) || now + delay <= first_failure_ + options_.retry_for;
  return in_time ? std::optional(delay) : std::nullopt;
}

HostGate::Pass::~Pass() {
  if (gate_ != nullptr) {
    const std::lock_guard lock(gate_->mutex_);
    --gate_->running_;
    gate_->changed_.notify_one();
  }
}

bool HostGate::close_for(milliseconds duration) {
  const std::lock_guard lock(mutex_);
  const Clock::Time now = clock_.now();
  const bool was_open = open_at_ <= now;
  open_at_ = std::max(open_at_, now + duration);
  return was_open;
}

Clock::Time HostGate::open_at() const {
  const std::lock_guard lock(mutex_);
  return open_at_;
}

bool HostGate::wait(const std::stop_token& stop) const {
  for (Clock::Time until = open_at(); clock_.now() < until; until = open_at()) {
    if (!clock_.sleep_until(until, stop)) {
      return false;
    }
  }
  return !stop.stop_requested();
}

bool HostGate::take_turn(const std::stop_token& stop) {
  if (interval_ == Clock::Time::duration::zero()) {
    return !stop.stop_requested();
  }
  Clock::Time turn;
  {
    const std::lock_guard lock(mutex_);
    turn = std::max(next_turn_, clock_.now());
    next_turn_ = turn + interval_;
  }
  return turn <= clock_.now() || clock_.sleep_until(turn, stop);
}

HostGate::Pass HostGate::enter(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    changed_.wait(lock, stop, [this] { return running_ < allowed_; });
    if (open_at_ <= clock_.now()) {
      break;
    }
    // It was closed while this one waited in the queue; others may leave meanwhile.
    const Clock::Time until = open_at_;
    lock.unlock();
    static_cast<void>(clock_.sleep_until(until, stop));
    lock.lock();
  }
  ++running_;  // when stopped too: the caller sees to that
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

bool Retrier::wait(milliseconds delay, bool rate_limited) const {
  const bool news = !rate_limited || gate.close_for(delay);
  if (news && delay >= seconds(1)) {
    diagnostics.report(Severity::info,
                       std::string(peer) + ": trying again in " + in_seconds(delay));
  }
  return rate_limited ? gate.wait(stop) : clock.sleep_until(clock.now() + delay, stop);
}

Result<HttpResponse> Retrier::send(const std::function<Result<HttpResponse>()>& send,
                                   const std::function<bool()>& may_repeat) const {
  Patience patience(options, clock);
  for (;;) {
    Result<HttpResponse> answer = send();
    const bool transient =
        answer ? is_transient_status(answer->status) : answer.error().is_retryable();
    if (!transient || !may_repeat()) {
      return answer;
    }
    const auto delay = patience.failed(answer ? stated_wait(*answer) : std::nullopt);
    if (!delay || !wait(*delay, answer && answer->status == 429)) {
      return answer;
    }
  }
}

}  // namespace fnimage::registry
