// See lint.hpp.
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/require/lint.hpp>
#include <fnimage/require/requirements.hpp>

namespace fnimage::require {

namespace {

/// Of an entry. Error: invalid_input, invalid_argument.
Result<void> check_entry(const manifest::Descriptor& entry) {
  FNIMAGE_TRY(const Requirements requirements,
              requirements_of(entry.annotations, "cannot be read"));
  return entry.platform && !requirements.empty() ? check(requirements, *entry.platform)
                                                 : Result<void>();
}

manifest::Finding finding_of(std::string rule, std::string path, const Error& error,
                             std::string_view what) {
  constexpr std::size_t longest = 300;
  const std::string& hint = error.hint();
  return {std::move(rule), std::move(path), printable(error.message(), longest),
          hint.empty() ? fmt::format("write {} again: fnimage manifest annotate", what) : hint};
}

}  // namespace

std::vector<manifest::Finding> lint(const manifest::Index& list) {
  std::vector<manifest::Finding> findings;
  for (std::size_t i = 0; i < list.manifests.size(); ++i) {
    if (const auto good = check_entry(list.manifests[i]); !good) {
      findings.push_back(finding_of("requires-annotation",
                                    fmt::format("/manifests/{}/annotations", i), good.error(),
                                    requires_annotation));
    }
  }
  if (const auto variants = variants_of(list.annotations, "cannot be read"); !variants) {
    findings.push_back(
        finding_of("variants-annotation", "/annotations", variants.error(), variants_annotation));
  }
  return findings;
}

}  // namespace fnimage::require
