// test(1): strings, numbers, and what a host says about files. Thread-safety: pure function.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "debian/configure/shell_expansion.hpp"

namespace fnimage::source::debian {

using FileTest = std::function<std::optional<bool>(char kind, const std::string& path)>;

/// The words between "[" and "]"; nullopt: not known, also for what is no test.
std::optional<bool> evaluate_test(std::span<const ShellWord> words, const FileTest& test_file);

}  // namespace fnimage::source::debian
