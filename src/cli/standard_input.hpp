// Standard input, where a command takes "-" for a file. Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <string>

#include <fnimage/base/result.hpp>

namespace fnimage::cli {

/// All of it. Error: invalid_input when there are more than `limit` bytes.
Result<std::string> read_standard_input(std::uint64_t limit);

/// A file, or standard input for "-". Errors: also those of read_file().
Result<std::string> read_input(const std::string& file, std::uint64_t limit);

/// What it is called in messages.
std::string input_name(const std::string& file);

}  // namespace fnimage::cli
