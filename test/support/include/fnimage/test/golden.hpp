// Golden files: bytes that must not change by accident, kept beside the tests.
#pragma once

#include <filesystem>
#include <string_view>

#include <gtest/gtest.h>

namespace fnimage::test {

/// Path of a file below test/, e.g. data("unit/manifest/golden/index.json").
std::filesystem::path data(std::string_view path);

/// EXPECT_TRUE(matches_golden(bytes, "unit/manifest/golden/index.json")); exact bytes.
/// With FNIMAGE_ACCEPT_GOLDEN=1 in the environment the file is written instead: look at the diff
/// before committing it.
::testing::AssertionResult matches_golden(std::string_view actual, std::string_view path);

}  // namespace fnimage::test
