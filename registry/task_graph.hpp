// Tasks of which some come after others, run by a worker pool without barriers: each begins as soon
// as what it needs has ended. Heavy ones go largest first and leave threads free for light ones.
// Thread-safety: add() and run() belong to one thread; tasks run on the pool's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>

namespace fnimage::registry {

class TaskGraph {
 public:
  using Id = std::size_t;
  using Work = std::function<Result<void>()>;

  /// @param after tasks added before, which have to succeed first.
  /// @param weight 0 = light; of heavy tasks the one with most weight goes first.
  Id add(Work work, const std::vector<Id>& after, std::uint64_t weight = 0);

  /// Runs everything once and waits. After a failure, or an exception of a task, nothing begins any
  /// more; the first error is returned.
  /// @param max_heavy heavy tasks at the same time.
  Result<void> run(WorkerPool& pool, std::size_t max_heavy);

 private:
  struct Task {
    Work work;
    std::uint64_t weight = 0;
    std::size_t waits_for = 0;
    std::vector<Id> dependents{};
  };
  struct Run;

  std::vector<Task> tasks_;
};

}  // namespace fnimage::registry
