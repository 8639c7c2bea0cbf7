// From a format's name to text.
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/place/format.hpp>

#include "formats.hpp"
#include "yaml_text.hpp"

namespace fnimage::place {

namespace {

constexpr std::array<std::pair<std::string_view, Format>, 9> format_names{
    {{"affinity", Format::affinity},
     {"selector", Format::selector},
     {"json-patch", Format::json_patch},
     {"openwhisk", Format::openwhisk},
     {"invoker-tags", Format::invoker_tags},
     {"knative", Format::knative},
     {"openfaas", Format::openfaas},
     {"pod", Format::pod},
     {"nfd", Format::nfd}}};

Result<Draft> draft_of(const Placement& placement, Format format, const Target& target) {
  switch (format) {
    case Format::affinity:
      return draft_affinity(placement);
    case Format::selector:
      return draft_selector(placement);
    case Format::json_patch:
      return draft_json_patch(placement, target.pod);
    case Format::openwhisk:
      return draft_openwhisk(placement);
    case Format::invoker_tags:
      return draft_invoker_tags(placement);
    case Format::knative:
      return draft_knative(placement, target);
    case Format::openfaas:
      return draft_openfaas(placement, target);
    case Format::pod:
      return draft_pod(placement, target);
    case Format::nfd:
      return draft_nfd(placement);
  }
  return fail(ErrorCode::internal, "there is no such format");
}

std::string json_text(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// Several documents are one List, as kubectl takes them.
Json whole(std::vector<Json> documents) {
  if (documents.size() == 1) {
    return std::move(documents.front());
  }
  return {{"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(documents)}};
}

}  // namespace

Result<Format> parse_format(std::string_view word) {
  const auto* const found = std::find_if(format_names.begin(), format_names.end(),
                                         [&](const auto& known) { return known.first == word; });
  if (found != format_names.end()) {
    return found->second;
  }
  std::vector<std::string> names;
  names.reserve(format_names.size());
  for (const auto& [name, format] : format_names) {
    names.emplace_back(name);
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("\"{}\" is no format of a placement", printable(word, 80)),
              fmt::format("write one of {}", join(names, ", ")));
}

std::string_view to_string(Format format) noexcept {
  for (const auto& [name, known] : format_names) {
    if (known == format) {
      return name;
    }
  }
  return {};
}

Result<Rendered> render(const Placement& placement, Format format, const Target& target) {
  FNIMAGE_TRY(Draft draft, draft_of(placement, format, target));
  Rendered rendered;
  for (const std::string& comment : draft.comments) {
    rendered.yaml += fmt::format("# {}\n", printable(comment));
  }
  bool is_first = true;
  for (const Json& document : draft.documents) {
    rendered.yaml += (is_first ? "" : "---\n") + to_yaml(document);
    is_first = false;
  }
  rendered.json = json_text(whole(std::move(draft.documents)));
  return rendered;
}

}  // namespace fnimage::place
