// A fixed set of threads that run tasks; a group ends with the error of its earliest task that
// failed, whichever thread was faster, and tasks after that one are skipped. Thread-safety:
// WorkerPool may be used from any thread, TaskGroup::run() too; the rest of a TaskGroup belongs to
// the thread that made it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include <fnimage/base/result.hpp>

namespace fnimage {

class WorkerPool {
 public:
  /// @param threads at most, begun as there is work for them; 0 = one per processor.
  explicit WorkerPool(std::size_t threads = 0);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  /// Waits for running tasks; queued ones are dropped.
  ~WorkerPool();

  [[nodiscard]] std::size_t threads() const noexcept;
  /// Queues a task. It must not throw.
  void submit(std::function<void()> task);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

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

  /// Runs a task on the pool. Skipped if an earlier task of this group has failed by then.
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
