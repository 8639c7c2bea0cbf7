// A fixed set of threads that run tasks; a group ends with the error of its earliest task that
// failed, whichever thread was faster, and tasks after that one are skipped. A pool that is asked
// to stop begins no task any more: its groups end as cancelled. Thread-safety: WorkerPool may be
// used from any thread, TaskGroup::run() too; the rest of a TaskGroup belongs to the thread that
// made it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>

#include <fnimage/base/result.hpp>

namespace fnimage {

class WorkerPool {
 public:
  /// @param threads at most, begun as there is work for them; 0 = one per processor.
  /// @param stop asks those who work here to end with require_not_stopped()'s error.
  explicit WorkerPool(std::size_t threads = 0, std::stop_token stop = {});
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  /// Waits for running tasks; queued ones are dropped.
  ~WorkerPool();

  [[nodiscard]] std::size_t threads() const noexcept;
  [[nodiscard]] const std::stop_token& stop_token() const noexcept { return stop_; }
  /// Queues a task. It must not throw.
  void submit(std::function<void()> task);

 private:
  struct Impl;
  std::stop_token stop_;
  std::unique_ptr<Impl> impl_;
};

/// Error: cancelled when this has been asked to stop.
Result<void> require_not_stopped(const std::stop_token& stop);

/// Runs a task; an exception becomes an internal error.
Result<void> run_caught(const std::function<Result<void>()>& task);

/// Tasks that are waited for together.
class TaskGroup {
 public:
  explicit TaskGroup(WorkerPool& pool);
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  /// Waits, so that tasks may refer to the caller's locals.
  ~TaskGroup();

  /// Runs a task on the pool. Skipped if an earlier task of this group has failed by then, or the
  /// pool has been asked to stop, which is an error of the task then.
  void run(std::function<Result<void>()> task);
  /// Waits for all tasks, and runs those that no thread has begun, so that tasks may wait for tasks
  /// of the same pool without deadlock. It takes no other group's: what waits for this group would
  /// wait for them, too. The error is that of the earliest that failed.
  Result<void> wait();

 private:
  struct State;
  WorkerPool& pool_;
  std::shared_ptr<State> state_;
};

}  // namespace fnimage
