// The pages as HTML: what is shown of repositories, tags and images. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "page/checks.hpp"
#include "page/html.hpp"
#include "page/summaries.hpp"
#include "page/tree.hpp"

namespace fnimage::server {

/// What all pages say around their content.
struct Frame {
  std::string title;
  std::string user{};       ///< who is logged in; empty = nobody
  bool can_log_in = false;  ///< there is something to log in for
  std::string next{};  ///< where what the page shows will be another in a moment; empty = nowhere
};

/// A whole document.
std::string document(const Frame& frame, const Html& content);
/// The value of Content-Security-Policy that lets a document's own style and script work, and
/// nothing else.
std::string content_policy();

/// A part of a list of names.
struct Slice {
  std::size_t page = 0;  ///< from 0
  std::size_t first = 0;
  std::size_t total = 0;  ///< names that match
  std::string filter{};   ///< what they match; empty = everything
  bool has_next = false;
};

struct RepositoryRow {
  std::string name;
  std::size_t tags = 0;
  std::string tag{};  ///< that the summary is of
  std::shared_ptr<const ImageSummary> summary{};
  bool is_damaged = false;
};
Html repositories_view(const std::vector<RepositoryRow>& rows, const Slice& slice);

struct TagRow {
  std::string tag;
  std::shared_ptr<const ImageSummary> summary{};
};
Html tags_view(const std::string& repository, const std::vector<TagRow>& rows, const Slice& slice);

struct ImagePage {
  std::string repository;
  std::string tag{};  ///< empty: asked for by digest
  ImageTree tree;
  std::string host{};      ///< "registry.example:5000", as clients reach the server
  bool is_secure = false;  ///< over TLS
  bool can_check = false;
  bool is_checking = false;
  std::shared_ptr<const CheckOutcome> check{};  ///< null = not checked
};
Html image_view(const ImagePage& page);

/// What went wrong, and what to do.
Html problem_view(std::string_view title, std::string_view message);

/// Where the pages are: "/-/repo/team/action".
std::string repository_path(const std::string& repository);
std::string tag_path(const std::string& repository, const std::string& tag);
std::string digest_path(const std::string& repository, const std::string& digest);
/// "3 tags"
std::string count_of(std::size_t number, std::string_view word);
/// "12,345"
std::string grouped(std::size_t number);
/// "sha256:0123456789ab"
std::string short_digest(const std::string& digest);

}  // namespace fnimage::server
