// One queue behind one mutex: tasks here are layers, downloads and uploads, never so small that the
// lock shows.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fnimage/base/caught.hpp>
#include <fnimage/base/worker_pool.hpp>

namespace fnimage {

struct WorkerPool::Impl {
  std::mutex mutex;
  std::condition_variable_any ready;
  std::deque<std::function<void()>> queue;
  std::size_t idle = 0;                // threads that wait for a task
  std::atomic<std::size_t> limit = 1;  // threads at most; 0 = none can be had
  std::vector<std::jthread> threads;   // last: joined before the rest goes

  std::optional<std::function<void()>> take() {
    const std::lock_guard lock(mutex);
    if (queue.empty()) {
      return std::nullopt;
    }
    std::optional<std::function<void()>> task(std::move(queue.front()));
    queue.pop_front();
    return task;
  }

  void work(const std::stop_token& stop) {
    while (true) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex);
        ++idle;
        const bool found = ready.wait(lock, stop, [this] { return !queue.empty(); });
        --idle;
        if (!found || stop.stop_requested()) {
          return;
        }
        task = std::move(queue.front());
        queue.pop_front();
      }
      task();
    }
  }

  /// Threads begin when there is something for them to do: a short command needs few. The mutex is
  /// held.
  void begin_thread_if_needed() {
    if (idle >= queue.size() || threads.size() >= limit) {
      return;
    }
    try {
      threads.emplace_back([this](const std::stop_token& stop) { work(stop); });
    } catch (const std::system_error&) {
      limit = threads.size();  // a process limit: fewer threads do the same work
    }
  }
};

WorkerPool::WorkerPool(std::size_t threads, std::stop_token stop)
    : stop_(std::move(stop)), impl_(std::make_unique<Impl>()) {
  impl_->limit = threads == 0 ? std::max(1U, std::thread::hardware_concurrency()) : threads;
}

WorkerPool::~WorkerPool() {
  for (std::jthread& thread : impl_->threads) {
    thread.request_stop();
  }
  impl_->threads.clear();
}

std::size_t WorkerPool::threads() const noexcept {
  return std::max<std::size_t>(1, impl_->limit);
}

void WorkerPool::submit(std::function<void()> task) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->queue.push_back(std::move(task));
    impl_->begin_thread_if_needed();
  }
  impl_->ready.notify_one();
  if (impl_->limit == 0) {
    if (const auto queued = impl_->take()) {
      (*queued)();
    }
  }
}

struct TaskGroup::State {
  struct Failure {
    std::size_t task;  // its place in the order of run()
    Error error;
  };
  struct Task {
    std::size_t order;
    std::function<Result<void>()> work;
  };
  explicit State(std::stop_token asked) : stop(std::move(asked)) {}

  const std::stop_token stop;
  std::mutex mutex;
  std::condition_variable done;
  std::deque<Task> queue;  // not begun
  std::size_t pending = 0;
  std::size_t added = 0;
  std::optional<Failure> failure;  // the earliest task's, so that the same fault has one message

  std::optional<Task> take() {
    const std::lock_guard lock(mutex);
    if (queue.empty()) {
      return std::nullopt;
    }
    std::optional<Task> task(std::move(queue.front()));
    queue.pop_front();
    return task;
  }

  bool is_needless(std::size_t task) {
    const std::lock_guard lock(mutex);
    return failure && failure->task < task;
  }

  /// False when all tasks have begun.
  bool run_next() {
    std::optional<Task> task = take();
    if (!task) {
      return false;
    }
    Result<void> result;
    if (!is_needless(task->order)) {
      result = require_not_stopped(stop);
      result = result ? run_caught(task->work) : std::move(result);
    }
    task->work = nullptr;  // what the task holds goes before the waiting thread goes on
    finish(task->order, std::move(result));
    return true;
  }

  void finish(std::size_t task, Result<void> result) {
    const std::lock_guard lock(mutex);
    if (!result && (!failure || task < failure->task)) {
      failure.emplace(Failure{task, std::move(result).error()});
    }
    if (--pending == 0) {
      done.notify_all();
    }
  }
};

Result<void> require_not_stopped(const std::stop_token& stop) {
  return stop.stop_requested() ? Result<void>(fail(ErrorCode::cancelled, "stopped on request"))
                               : Result<void>{};
}

Result<void> run_caught(const std::function<Result<void>()>& task) {
  return caught(task);
}

TaskGroup::TaskGroup(WorkerPool& pool)
    : pool_(pool), state_(std::make_shared<State>(pool.stop_token())) {}

TaskGroup::~TaskGroup() {
  (void)wait();
}

void TaskGroup::run(std::function<Result<void>()> task) {
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->pending;
    state_->queue.push_back({state_->added++, std::move(task)});
  }
  // The pool gets a claim to one of the group's tasks, void when the waiting thread was faster.
  pool_.submit([state = state_] { state->run_next(); });
}

Result<void> TaskGroup::wait() {
  while (state_->run_next()) {
  }
  std::unique_lock lock(state_->mutex);
  state_->done.wait(lock, [this] { return state_->pending == 0; });
  return state_->failure ? Result<void>(fail(state_->failure->error)) : Result<void>{};
}

}  // namespace fnimage
