// yaml-cpp's parser feeding a builder. Events come before yaml-cpp descends, so refusing in the
// handler bounds its recursion too. JSON values, and not build's tree with positions: those take a
// tenth of its memory, and the nodes of a cluster are a large text.
#include "yaml_documents.hpp"

#include <algorithm>
#include <array>
#include <sstream>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/node/node.h>  // parser.h declares it, and ours has the same name
#include <yaml-cpp/parser.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/node/node.hpp>

namespace fnimage::node {

namespace {

using nlohmann::json;

constexpr std::size_t max_yaml_depth = 64;

/// Leaves yaml-cpp's parser; never leaves this file.
struct RefusedYaml {
  YAML::Mark at;
  std::string message;
};

/// A scalar without quotes.
json value_of_plain(const std::string& text) {
  constexpr std::array yes{"true", "True", "TRUE"};
  constexpr std::array no{"false", "False", "FALSE"};
  const auto is_one_of = [&](const auto& words) {
    return std::find(words.begin(), words.end(), text) != words.end();
  };
  if (is_one_of(yes)) {
    return true;
  }
  if (is_one_of(no)) {
    return false;
  }
  constexpr std::size_t longest_number = 40;
  const bool like_number = !text.empty() && text.size() <= longest_number &&
                           (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
  json number = like_number ? json::parse(text, nullptr, false) : json();
  return number.is_number() ? number : json(text);
}

/// Builds the documents. The interface's names are yaml-cpp's.
class DocumentBuilder final : public YAML::EventHandler {
 public:
  explicit DocumentBuilder(std::size_t max_documents) : max_documents_(max_documents) {}

  // NOLINTBEGIN(readability-identifier-naming)
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_.size() >= max_documents_) {
      refuse(mark, fmt::format("more than {} documents", max_documents_));
    }
    root_ = json();
  }
  void OnDocumentEnd() override {
    if (!root_.is_null()) {
      documents_.push_back(std::move(root_));
    }
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check_simple(mark, "?", anchor);
    add(json(), mark);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    refuse(mark, "aliases (*name) are not supported");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_simple(mark, tag, anchor);
    if (wants_key()) {
      take_key(mark, value);
      return;
    }
    add(tag == "!" ? json(value) : value_of_plain(value), mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    check_simple(mark, tag, anchor);
    open(json::array(), mark);
  }
  void OnSequenceEnd() override { stack_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    check_simple(mark, tag, anchor);
    open(json::object(), mark);
  }
  void OnMapEnd() override { stack_.pop_back(); }
  // NOLINTEND(readability-identifier-naming)

  std::vector<json> take() && { return std::move(documents_); }

 private:
  struct Frame {
    json* value = nullptr;  ///< stays valid: while it is open, nothing is added to its parent
    std::string key{};
    bool has_key = false;
  };

  [[noreturn]] static void refuse(const YAML::Mark& mark, std::string message) {
    throw RefusedYaml{mark, std::move(message)};
  }

  static void check_simple(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      refuse(mark, "anchors (&name) are not supported");
    }
    // yaml-cpp's names for "plain" and "quoted".
    if (!tag.empty() && tag != "?" && tag != "!") {
      refuse(mark, fmt::format("tags ({}) are not supported", printable(tag, 80)));
    }
  }

  [[nodiscard]] bool wants_key() const {
    return !stack_.empty() && stack_.back().value->is_object() && !stack_.back().has_key;
  }

  void take_key(const YAML::Mark& mark, const std::string& key) {
    Frame& frame = stack_.back();
    if (frame.value->contains(key)) {
      refuse(mark, fmt::format("duplicate key '{}'", printable(key, 80)));
    }
    frame.key = key;
    frame.has_key = true;
  }

  json* add(json value, const YAML::Mark& mark) {
    if (++values_ > max_nodes_values) {
      refuse(mark, fmt::format("more than {} values", max_nodes_values));
    }
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (wants_key()) {
      refuse(mark, "a key must be a plain name");
    }
    Frame& frame = stack_.back();
    if (frame.value->is_array()) {
      frame.value->push_back(std::move(value));
      return &frame.value->back();
    }
    frame.has_key = false;
    return &((*frame.value)[std::move(frame.key)] = std::move(value));
  }

  void open(json value, const YAML::Mark& mark) {
    if (stack_.size() >= max_yaml_depth) {
      refuse(mark, fmt::format("nested deeper than {} levels", max_yaml_depth));
    }
    json* place = add(std::move(value), mark);
    stack_.push_back({.value = place});
  }

  std::size_t max_documents_;
  std::size_t values_ = 0;
  std::vector<Frame> stack_;
  json root_;
  std::vector<json> documents_;
};

tl::unexpected<Error> fail_at(std::string_view name, const YAML::Mark& mark,
                              std::string_view message) {
  if (mark.is_null()) {
    return fail(ErrorCode::invalid_input, fmt::format("{}: {}", name, message));
  }
  return fail(ErrorCode::invalid_input,
              fmt::format("{}:{}:{}: {}", name, mark.line + 1, mark.column + 1, message));
}

}  // namespace

Result<std::vector<json>> parse_yaml_documents(std::string_view text, std::string_view name) {
  if (text.size() > max_nodes_yaml_bytes) {
    return fail(
        ErrorCode::invalid_input,
        fmt::format("{}: {} is more than the {} that are accepted as YAML", name,
                    human_size(text.size()), human_size(max_nodes_yaml_bytes)),
        fmt::format("JSON may have {}: kubectl get nodes -o json", human_size(max_nodes_bytes)));
  }
  // yaml-cpp takes a zero byte for the end of the text and would drop what follows.
  if (text.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: a zero byte; this is not a text file", name));
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    DocumentBuilder builder(max_nodes);
    while (parser.HandleNextDocument(builder)) {
    }
    return std::move(builder).take();
  } catch (const RefusedYaml& refused) {
    return fail_at(name, refused.at, refused.message);
  } catch (const YAML::Exception& exception) {
    return fail_at(name, exception.mark,
                   fmt::format("not valid YAML: {}", printable(exception.msg, 200)));
  }
}

}  // namespace fnimage::node
