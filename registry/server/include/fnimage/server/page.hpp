// The page that people see at "/": what it is told, and the check of images that it may ask for.
// Thread-safety: values; what is called says when.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::server {

/// Something that a check has found.
struct CheckFinding {
  bool is_error = true;   ///< else a warning
  std::string rule{};     ///< "machine"
  std::string subject{};  ///< a path in the image or list; empty = the whole
  std::string message{};  ///< what is wrong
  std::string fix{};      ///< what to do; may be empty
};

/// What was found in one platform's image, or in the list itself.
struct CheckedPart {
  std::string name;         ///< "linux/ppc64le", "the list"
  std::size_t files = 0;    ///< that were looked at
  std::size_t objects = 0;  ///< programs and libraries among them
  std::vector<CheckFinding> findings{};
};

struct CheckSummary {
  std::vector<CheckedPart> parts{};
};

struct CheckTask {
  std::filesystem::path layout;  ///< the repository, an OCI image layout
  manifest::Digest digest;       ///< of the image or list
  std::stop_token stop{};        ///< asked when the server stops: to be obeyed soon
};

struct PageOptions {
  bool is_shown = true;
  /// Checks an image without running it. Called by one thread at a time. Empty: images are not
  /// checked, and nobody is offered to.
  std::function<Result<CheckSummary>(const CheckTask& task)> check{};
};

}  // namespace fnimage::server
