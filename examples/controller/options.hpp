// The command line. Thread-safety: a value type.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>

namespace controller {

struct Options {
  std::string host = "127.0.0.1";
  int port = 8443;  ///< 0 = one that is free
  std::filesystem::path certificate;
  std::filesystem::path key;
  std::filesystem::path nodes;
  std::filesystem::path functions;
  bool fail_closed = false;
  std::chrono::milliseconds deadline{8'000};
  std::chrono::milliseconds tag_lifetime{30'000};  ///< see resolve::ResolverOptions
  bool plain_http = false;                         ///< of the registries
  std::filesystem::path ca_file{};                 ///< of the registries
  std::filesystem::path store{};  ///< OCI layout for images without registry; empty = none
  bool help = false;
};

std::string usage();

/// Error: invalid_argument.
fnimage::Result<Options> parse_options(const std::vector<std::string>& arguments);

}  // namespace controller
