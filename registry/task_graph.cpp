// See task_graph.hpp.
#include "task_graph.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <queue>
#include <utility>

namespace fnimage::registry {

/// One run. Every member but the references is guarded by mutex.
struct TaskGraph::Run {
  std::vector<Task>& tasks;
  WorkerPool& pool;
  const std::size_t max_heavy;
  std::mutex mutex{};
  std::condition_variable ended{};
  std::deque<Id> light{};
  std::priority_queue<std::pair<std::uint64_t, Id>> heavy{};
  std::size_t running = 0;
  std::size_t running_heavy = 0;
  std::optional<Error> error{};

  void make_ready(Id id) {
    const Task& task = tasks[id];
    if (task.weight > 0) {
      heavy.emplace(task.weight, id);
    } else {
      light.push_back(id);
    }
  }

  std::optional<Id> take() {
    if (!heavy.empty() && running_heavy < max_heavy) {
      const Id id = heavy.top().second;
      heavy.pop();
      ++running_heavy;
      return id;
    }
    if (!light.empty()) {
      const Id id = light.front();
      light.pop_front();
      return id;
    }
    return std::nullopt;
  }

  /// What may begin now, never more than there are threads: the choice is made late.
  std::vector<Id> take_ready() {
    std::vector<Id> ready;
    while (!error && running < pool.threads()) {
      const auto id = take();
      if (!id) {
        break;
      }
      ++running;
      ready.push_back(*id);
    }
    return ready;
  }

  /// Without the mutex: a pool without threads of its own runs the task here and now.
  void submit(Id id) {
    pool.submit([this, id] { perform(id); });
  }

  /// Runs a task and then, on the same thread, one that may begin at its end.
  void perform(Id first) {
    for (std::optional<Id> id = first; id;) {
      Result<void> result = run_caught(tasks[*id].work);
      std::vector<Id> ready;
      {
        const std::lock_guard lock(mutex);
        finish(*id, std::move(result));
        ready = take_ready();
        if (running == 0) {
          ended.notify_all();  // and from here on nothing of this run may be touched
        }
      }
      id.reset();
      for (const Id next : ready) {
        if (next == ready.back()) {
          id = next;
        } else {
          submit(next);
        }
      }
    }
  }

  void finish(Id id, Result<void> result) {
    --running;
    running_heavy -= tasks[id].weight > 0 ? 1U : 0U;
    if (!result) {
      if (!error) {
        error = std::move(result).error();
      }
    } else {
      for (const Id dependent : tasks[id].dependents) {
        if (--tasks[dependent].waits_for == 0) {
          make_ready(dependent);
        }
      }
    }
  }
};

TaskGraph::Id TaskGraph::add(Work work, const std::vector<Id>& after, std::uint64_t weight) {
  const Id id = tasks_.size();
  tasks_.push_back({.work = std::move(work), .weight = weight, .waits_for = after.size()});
  for (const Id earlier : after) {
    tasks_[earlier].dependents.push_back(id);
  }
  return id;
}

Result<void> TaskGraph::run(WorkerPool& pool, std::size_t max_heavy) {
  Run run{.tasks = tasks_, .pool = pool, .max_heavy = std::max<std::size_t>(max_heavy, 1)};
  std::unique_lock lock(run.mutex);
  for (Id id = 0; id < tasks_.size(); ++id) {
    if (tasks_[id].waits_for == 0) {
      run.make_ready(id);
    }
  }
  const std::vector<Id> ready = run.take_ready();
  lock.unlock();
  for (const Id id : ready) {
    run.submit(id);
  }
  lock.lock();
  run.ended.wait(lock, [&run] {
    return run.running == 0 && (run.error || (run.light.empty() && run.heavy.empty()));
  });
  if (run.error) {
    return fail(std::move(*run.error));
  }
  return {};
}

}  // namespace fnimage::registry
