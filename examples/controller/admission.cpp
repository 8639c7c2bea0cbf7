// See the header. Source: Kubernetes' admission/v1 types.go.
#include "admission.hpp"

#include <string>
#include <utility>

#include <fmt/format.h>
#include <openssl/evp.h>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>

namespace controller {

namespace {

using nlohmann::json;

constexpr std::string_view api_version = "admission.k8s.io/v1";
constexpr std::size_t max_warnings = 8;
constexpr std::size_t max_warning_bytes = 256;  // more is not shown by kubectl
constexpr int forbidden = 403;

fnimage::Result<std::string> text_at(const json& object, const char* name, bool is_required) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) {
    if (is_required) {
      return fnimage::fail(fnimage::ErrorCode::invalid_input,
                           fmt::format("the AdmissionReview has no {}", name));
    }
    return std::string();
  }
  if (!found->is_string()) {
    return fnimage::fail(fnimage::ErrorCode::invalid_input,
                         fmt::format("{} of the AdmissionReview is not text", name));
  }
  return found->get<std::string>();
}

fnimage::Result<const json*> object_at(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_object()) {
    return fnimage::fail(fnimage::ErrorCode::invalid_input,
                         fmt::format("the AdmissionReview has no {}", name));
  }
  return &*found;
}

std::string base64(const std::string& bytes) {
  // Four characters for each three bytes that have begun, and the zero that the function writes.
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

}  // namespace

fnimage::Result<Review> parse_review(std::string_view body) {
  FNIMAGE_TRY(const json review,
              fnimage::parse_json(body, "the AdmissionReview", {.max_bytes = max_review_bytes}));
  if (!review.is_object()) {
    return fnimage::fail(fnimage::ErrorCode::invalid_input, "the AdmissionReview is no object");
  }
  FNIMAGE_TRY(const std::string version, text_at(review, "apiVersion", true));
  FNIMAGE_TRY(const std::string type, text_at(review, "kind", true));
  if (version != api_version || type != "AdmissionReview") {
    return fnimage::fail(
        fnimage::ErrorCode::invalid_input,
        fmt::format("{} {} is no AdmissionReview of {}", fnimage::printable(version, 80),
                    fnimage::printable(type, 80), api_version),
        "set admissionReviewVersions: [v1] in the webhook's configuration");
  }
  FNIMAGE_TRY(const json* request, object_at(review, "request"));
  FNIMAGE_TRY(const json* kind, object_at(*request, "kind"));
  Review read;
  FNIMAGE_TRY(read.uid, text_at(*request, "uid", true));
  FNIMAGE_TRY(read.operation, text_at(*request, "operation", true));
  FNIMAGE_TRY(read.subresource, text_at(*request, "subResource", false));
  FNIMAGE_TRY(read.object_namespace, text_at(*request, "namespace", false));
  FNIMAGE_TRY(const std::string group, text_at(*kind, "group", false));
  FNIMAGE_TRY(read.kind, text_at(*kind, "kind", true));
  if (!group.empty()) {
    read.kind = group + "/" + read.kind;
  }
  if (const auto object = request->find("object"); object != request->end()) {
    read.object = *object;
  }
  return read;
}

std::string_view to_string(Verdict::Kind kind) noexcept {
  switch (kind) {
    case Verdict::Kind::patched:
      return "patched";
    case Verdict::Kind::denied:
      return "denied";
    case Verdict::Kind::failed_open:
      return "failed_open";
    case Verdict::Kind::unchanged:
      break;
  }
  return "unchanged";
}

std::string answer(const Review& review, const Verdict& verdict) {
  json response{{"uid", review.uid}, {"allowed", verdict.kind != Verdict::Kind::denied}};
  if (verdict.kind == Verdict::Kind::denied) {
    response["status"] = {
        {"code", forbidden}, {"reason", "Forbidden"}, {"message", verdict.message}};
  }
  if (verdict.kind == Verdict::Kind::patched) {
    response["patchType"] = "JSONPatch";
    response["patch"] = base64(verdict.patch.dump());
  }
  json warnings = json::array();
  for (const std::string& warning : verdict.warnings) {
    if (warnings.size() < max_warnings) {
      warnings.push_back(fnimage::printable(warning, max_warning_bytes));
    }
  }
  if (!warnings.empty()) {
    response["warnings"] = std::move(warnings);
  }
  const json whole{
      {"apiVersion", api_version}, {"kind", "AdmissionReview"}, {"response", std::move(response)}};
  return whole.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace controller
