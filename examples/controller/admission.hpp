// AdmissionReview of admission.k8s.io/v1: what the API server asks before it keeps an object, and
// what it is answered. Thread-safety: value types and pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/base/result.hpp>

namespace controller {

/// The API server sends no larger ones.
inline constexpr std::size_t max_review_bytes = std::size_t{3} << 20;

struct Review {
  std::string uid;
  std::string operation;  ///< "CREATE"
  std::string kind;       ///< "Pod"; of another API group with it: "apps/Deployment"
  std::string subresource;
  std::string object_namespace;
  nlohmann::json object;
};

/// Error: invalid_input for what is no AdmissionReview of that version.
fnimage::Result<Review> parse_review(std::string_view body);

struct Verdict {
  enum class Kind { unchanged, patched, denied, failed_open };
  Kind kind = Kind::unchanged;
  nlohmann::json patch = nlohmann::json::array();  ///< RFC 6902; of a patched one
  std::string message{};                           ///< why; printable
  std::vector<std::string> warnings{};             ///< shown to whoever made the object; printable
};

std::string_view to_string(Verdict::Kind kind) noexcept;

/// The AdmissionReview to answer with.
std::string answer(const Review& review, const Verdict& verdict);

}  // namespace controller
