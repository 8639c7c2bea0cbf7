// See events.hpp.
#include "events.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>

namespace fnimage::capi {

namespace {

/// Where events go. Tasks hold it, too: they may end after the context is gone.
class Receiver {
 public:
  Receiver(fnimage_event_callback callback, void* user_data)
      : callback_(callback), user_data_(user_data) {}

  void send(int kind, std::string_view text, std::uint64_t task, std::uint64_t done,
            std::uint64_t total) noexcept {
    try {
      const std::string terminated(text);
      const fnimage_event event{sizeof(fnimage_event), kind, terminated.c_str(), task, done, total};
      const std::lock_guard lock(mutex_);
      callback_(&event, user_data_);
    } catch (...) {  // no memory: an event is lost, which harms nothing
    }
  }
  std::uint64_t next_task() noexcept { return ++tasks_; }

 private:
  fnimage_event_callback callback_;
  void* user_data_;
  std::mutex mutex_;
  std::atomic<std::uint64_t> tasks_ = 0;
};

/// Tells of a hundred steps at most, and of none that is small.
class CallbackTask final : public ProgressTask {
 public:
  CallbackTask(std::shared_ptr<Receiver> receiver, std::uint64_t total)
      : receiver_(std::move(receiver)),
        number_(receiver_->next_task()),
        total_(total),
        step_(std::max(total / steps, least_step)) {}

  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

  void update(std::uint64_t done) noexcept override {
    done_ = done;
    if (done < told_ || done - told_ >= step_) {  // less: it begins again
      told_ = done;
      receiver_->send(FNIMAGE_EVENT_PROGRESS, "", number_, done, total_);
    }
  }
  void finish(std::string_view outcome) noexcept override {
    receiver_->send(FNIMAGE_EVENT_END, outcome, number_, done_, total_);
  }

 private:
  static constexpr std::uint64_t steps = 100;
  static constexpr std::uint64_t least_step = std::uint64_t{64} << 10;

  std::shared_ptr<Receiver> receiver_;
  std::uint64_t number_;
  std::uint64_t total_;
  std::uint64_t step_;
  std::uint64_t done_ = 0;
  std::uint64_t told_ = 0;
};

class CallbackDiagnostics final : public Diagnostics {
 public:
  CallbackDiagnostics(fnimage_event_callback callback, void* user_data)
      : receiver_(std::make_shared<Receiver>(callback, user_data)) {}

  void report(Severity severity, std::string_view message) noexcept override {
    receiver_->send(kind_of(severity), message, 0, 0, 0);
  }
  std::unique_ptr<ProgressTask> begin(std::string_view label,
                                      std::uint64_t total) noexcept override {
    try {
      auto task = std::make_unique<CallbackTask>(receiver_, total);
      receiver_->send(FNIMAGE_EVENT_BEGIN, label, task->number(), 0, total);
      return task;
    } catch (...) {
      return null_diagnostics().begin(label, total);
    }
  }

 private:
  static int kind_of(Severity severity) noexcept {
    switch (severity) {
      case Severity::debug:
        return FNIMAGE_EVENT_DEBUG;
      case Severity::warning:
        return FNIMAGE_EVENT_WARNING;
      case Severity::info:
        break;
    }
    return FNIMAGE_EVENT_INFO;
  }

  std::shared_ptr<Receiver> receiver_;
};

}  // namespace

std::unique_ptr<Diagnostics> callback_diagnostics(fnimage_event_callback callback,
                                                  void* user_data) {
  return std::make_unique<CallbackDiagnostics>(callback, user_data);
}

}  // namespace fnimage::capi
