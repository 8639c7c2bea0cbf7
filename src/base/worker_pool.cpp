// One queue behind one mutex: tasks here are layers, downloads and uploads, never so small that the
// lock shows.
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fnimage/base/worker_pool.hpp>

namespace fnimage {

struct WorkerPool::Impl {
  std::mutex mutex;
  std::condition_variable_any ready;
  std::deque<std::function<void()>> queue;
  std::vector<std::jthread> threads;  // last: joined before the rest goes

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
        if (!ready.wait(lock, stop, [this] { return !queue.empty(); }) || stop.stop_requested()) {
          return;
        }
        task = std::move(queue.front());
        queue.pop_front();
      }
      task();
    }
  }
};

WorkerPool::WorkerPool(std::size_t threads) : impl_(std::make_unique<Impl>()) {
  if (threads == 0) {
    threads = std::max(1U, std::thread::hardware_concurrency());
  }
  impl_->threads.reserve(threads);
  try {
    for (std::size_t i = 0; i < threads; ++i) {
      impl_->threads.emplace_back(
          [impl = impl_.get()](const std::stop_token& stop) { impl->work(stop); });
    }
  } catch (const std::system_error&) {
    return;  // a process limit: fewer threads do the same work, and without any submit() does it
  }
}

WorkerPool::~WorkerPool() {
  for (std::jthread& thread : impl_->threads) {
    thread.request_stop();
  }
  impl_->threads.clear();
}

std::size_t WorkerPool::threads() const noexcept {
  return std::max<std::size_t>(1, impl_->threads.size());
}

void WorkerPool::submit(std::function<void()> task) {
  if (impl_->threads.empty()) {
    task();
    return;
  }
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->queue.push_back(std::move(task));
  }
  impl_->ready.notify_one();
}

bool WorkerPool::run_one() {
  std::optional<std::function<void()>> task = impl_->take();
  if (!task) {
    return false;
  }
  (*task)();
  return true;
}

struct TaskGroup::State {
  std::mutex mutex;
  std::condition_variable done;
  std::size_t pending = 0;
  std::optional<Error> first_error;

  bool failed() {
    const std::lock_guard lock(mutex);
    return first_error.has_value();
  }

  void finish(Result<void> result) {
    const std::lock_guard lock(mutex);
    if (!result && !first_error) {
      first_error = std::move(result).error();
    }
    if (--pending == 0) {
      done.notify_all();
    }
  }
};

Result<void> run_caught(const std::function<Result<void>()>& task) {
  try {
    return task();
  } catch (const std::exception& exception) {
    return fail(ErrorCode::internal, std::string("unexpected exception: ") + exception.what());
  }
}

TaskGroup::TaskGroup(WorkerPool& pool) : pool_(pool), state_(std::make_shared<State>()) {}

TaskGroup::~TaskGroup() {
  (void)wait();
}

void TaskGroup::run(std::function<Result<void>()> task) {
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->pending;
  }
  pool_.submit([state = state_, task = std::move(task)]() mutable {
    Result<void> result = state->failed() ? Result<void>{} : run_caught(task);
    task = nullptr;  // what the task holds goes before the waiting thread goes on
    state->finish(std::move(result));
  });
}

Result<void> TaskGroup::wait() {
  while (true) {
    {
      const std::lock_guard lock(state_->mutex);
      if (state_->pending == 0) {
        break;
      }
    }
    if (!pool_.run_one()) {
      // Every task of this group has been taken by some thread: only their end can help now.
      std::unique_lock lock(state_->mutex);
      state_->done.wait(lock, [this] { return state_->pending == 0; });
      break;
    }
  }
  const std::lock_guard lock(state_->mutex);
  return state_->first_error ? Result<void>(fail(*state_->first_error)) : Result<void>{};
}

}  // namespace fnimage
