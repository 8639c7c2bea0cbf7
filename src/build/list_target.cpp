// See list_target.hpp.
#include "list_target.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/manifest/lint.hpp>
#include <fnimage/require/lint.hpp>

namespace fnimage::build {

using manifest::Digest;
using manifest::Document;
using manifest::Index;
using manifest::Platform;
using registry::PublishedList;

std::string what_of(const ListTarget& target) {
  return target.is_local() ? target.name.str() + " in the local store" : target.name.str();
}

tl::unexpected<Error> not_where_expected(const ListTarget& target,
                                         const std::optional<Digest>& actual,
                                         const Expectation& expected) {
  if (target.is_local() && !expected.digest) {
    return fail(ErrorCode::already_exists,
                fmt::format("the local store has a list {} already", target.name.str()),
                "use --amend to add to it or to replace entries of it");
  }
  if (expected.digest && !actual) {
    return fail(ErrorCode::already_exists,
                fmt::format("there is no list {}, where {} was expected", what_of(target),
                            expected.digest->str()),
                "leave --expect-digest out to make a new one");
  }
  return fail(ErrorCode::already_exists,
              expected.digest ? fmt::format("{} is {} instead of {}", what_of(target),
                                            actual->str(), expected.digest->str())
                              : fmt::format("{} exists already", what_of(target)),
              "somebody else has published it: look with `fnimage manifest inspect`");
}

Result<void> check_expectation(const ListTarget& target, const std::optional<Digest>& actual,
                               const Expectation& expected) {
  const bool wrong =
      (expected.absent && actual) || (expected.digest && (!actual || *actual != *expected.digest));
  return wrong ? Result<void>(not_where_expected(target, actual, expected)) : Result<void>();
}

Result<std::optional<Document>> standing_list(const ListTarget& target) {
  auto document = target.store->get_manifest(target.tag());
  if (!document) {
    if (document.error().code() == ErrorCode::not_found) {
      return std::nullopt;
    }
    return fail(std::move(document).error());
  }
  return std::move(*document);
}

Result<Index> entries_of(const Document& document, const ListTarget& target) {
  auto index = document.index();
  if (!index) {
    return fail(std::move(index).error().while_doing("read " + what_of(target)));
  }
  return index;
}

tl::unexpected<Error> single_image(const ListTarget& target, ErrorCode code, std::string hint) {
  return fail(code, fmt::format("{} is a single image, not a list", what_of(target)),
              std::move(hint));
}

Result<void> judge_list(const Index& index, const ListTarget& target, bool lint,
                        Diagnostics& diagnostics) {
  std::vector<manifest::Finding> findings = manifest::validate(index);
  FNIMAGE_CHECK(manifest::require_valid(findings, target.name.str()));
  if (lint && !target.is_local()) {
    FNIMAGE_CHECK(manifest::require_publishable(require::lint(index), target.name.str()));
    findings = manifest::lint(index);
    FNIMAGE_CHECK(manifest::require_publishable(findings, target.name.str()));
  }
  for (const manifest::Finding& finding : findings) {
    if (finding.rule != "attestation-entry") {
      diagnostics.report(Severity::warning,
                         fmt::format("{}: {}; {}", what_of(target), finding.message, finding.fix));
    }
  }
  return {};
}

Result<PublishedList> publish(const ListTarget& target, const registry::ListChange& change,
                              const std::vector<Platform>& also, bool lint,
                              Diagnostics& diagnostics) {
  if (lint && !target.is_local()) {
    Index changed{.manifests = change.add, .annotations = change.annotations};
    FNIMAGE_CHECK(manifest::require_publishable(require::lint(changed), what_of(target)));
  }
  registry::PublishListOptions options;
  options.also = also;
  options.lint = lint && !target.is_local();
  return registry::publish_list_change(*target.store, target.tag(), change, options, diagnostics);
}

Result<void> require_expected(const ListTarget& target, const Expectation& expected) {
  FNIMAGE_TRY(const auto standing, target.store->resolve(target.tag()));
  return check_expectation(target, standing ? std::optional(standing->digest) : std::nullopt,
                           expected);
}

}  // namespace fnimage::build
