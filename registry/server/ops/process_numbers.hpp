// What the kernel says of this process. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>

namespace fnimage::server {

struct ProcessNumbers {
  double cpu_seconds = 0;
  double start_seconds = 0;  ///< since 1970
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t threads = 0;
  std::optional<std::uint64_t> open_files{};
  std::uint64_t most_files = 0;
};

/// Nullopt: /proc is not there, or says something else than it should.
std::optional<ProcessNumbers> process_numbers();

}  // namespace fnimage::server
