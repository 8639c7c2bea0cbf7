// What making and editing lists share: the list that stands, and what is said of it. Thread-safety:
// may run several times at once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <fnimage/build/list.hpp>
#include <fnimage/manifest/document.hpp>

namespace fnimage::build {

/// The list's name, for messages.
std::string what_of(const ListTarget& target);

/// Why a tag is not where it is expected. @param actual where it stands
tl::unexpected<Error> not_where_expected(const ListTarget& target,
                                         const std::optional<manifest::Digest>& actual,
                                         const Expectation& expected);
/// Error: already_exists when the tag is not where it is expected.
Result<void> check_expectation(const ListTarget& target,
                               const std::optional<manifest::Digest>& actual,
                               const Expectation& expected);

/// The list that stands; nullopt when there is none.
Result<std::optional<manifest::Document>> standing_list(const ListTarget& target);
/// What a list holds. Error: invalid_input that names the list.
Result<manifest::Index> entries_of(const manifest::Document& document, const ListTarget& target);

tl::unexpected<Error> single_image(const ListTarget& target, ErrorCode code, std::string hint);

/// Whether a list may be put there: error for what no runtime copes with and, when it goes to a
/// registry and is linted, for what nodes cannot use; what only some cope with is reported.
/// Attestations are not: they came with an image, and no runtime takes them for one.
Result<void> judge_list(const manifest::Index& index, const ListTarget& target, bool lint,
                        Diagnostics& diagnostics);

/// Brings a change into the list that stands. @param also, lint see PublishListOptions; a list in
/// the local store is not linted, for it may not be ready yet
Result<registry::PublishedList> publish(const ListTarget& target,
                                        const registry::ListChange& change,
                                        const std::vector<manifest::Platform>& also, bool lint,
                                        Diagnostics& diagnostics);

}  // namespace fnimage::build
