#include "ops/process_numbers.hpp"

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

namespace fnimage::server {

namespace {

/// Since 1970; 0 = unknown.
double boot_seconds() {
  std::ifstream file("/proc/stat");
  std::string word;
  while (file >> word) {
    if (word == "btime") {
      double seconds = 0;
      return file >> seconds ? seconds : 0;
    }
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

std::optional<std::uint64_t> count_open_files() {
  std::error_code error;
  std::uint64_t count = 0;
  std::filesystem::directory_iterator entry("/proc/self/fd", error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    ++count;
  }
  // One of them is that of the directory itself.
  return error || count == 0 ? std::nullopt : std::optional(count - 1);
}

std::uint64_t most_open_files() {
  rlimit files{};
  return ::getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : 0;
}

}  // namespace

std::optional<ProcessNumbers> process_numbers() {
  std::string line;
  if (!std::getline(std::ifstream("/proc/self/stat"), line) ||
      line.rfind(") ") == std::string::npos) {
    return std::nullopt;
  }
  // From the third field on (proc(5)): the second, the program's name, may hold anything.
  std::istringstream fields(line.substr(line.rfind(") ") + 2));
  std::string skipped;
  constexpr int third = 3;
  constexpr int first_wanted = 14;
  for (int i = third; i < first_wanted; ++i) {
    fields >> skipped;
  }
  double user_ticks = 0;
  double system_ticks = 0;
  double start_ticks = 0;
  std::uint64_t pages = 0;
  ProcessNumbers numbers{.most_files = most_open_files()};
  fields >> user_ticks >> system_ticks >> skipped >> skipped >> skipped >> skipped >>
      numbers.threads >> skipped >> start_ticks >> numbers.virtual_bytes >> pages;
  if (!fields) {
    return std::nullopt;
  }
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  numbers.cpu_seconds = (user_ticks + system_ticks) / ticks;
  numbers.start_seconds = boot_seconds() + start_ticks / ticks;
  numbers.resident_bytes = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  numbers.open_files = count_open_files();
  return numbers;
}

}  // namespace fnimage::server
