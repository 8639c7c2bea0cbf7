// yaml-cpp's parser feeding a builder. Events come before yaml-cpp descends, so refusing in the
// handler bounds its recursion too.
#include "yaml_tree.hpp"

#include <algorithm>
#include <sstream>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

namespace fnimage::build {

namespace {

/// Leaves yaml-cpp's parser; never leaves this file.
struct Refused {
  Position at;
  std::string message;
  std::string hint;
};

Position position_of(const YAML::Mark& mark) noexcept {
  return mark.is_null() ? Position{}
                        : Position{static_cast<std::size_t>(mark.line) + 1,
                                   static_cast<std::size_t>(mark.column) + 1};
}

/// Builds the tree. The interface's names are yaml-cpp's.
class Builder final : public YAML::EventHandler {
 public:
  // NOLINTBEGIN(readability-identifier-naming)
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) {
      refuse(mark, "a second document begins here", "write one document per file; remove \"---\"");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check_plain(mark, "?", anchor);
    add({.kind = YamlNode::Kind::null, .at = position_of(mark)});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    refuse(mark, "aliases (*name) are not supported", "write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_plain(mark, tag, anchor);
    add({.kind = YamlNode::Kind::scalar, .at = position_of(mark), .text = value});
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    check_plain(mark, tag, anchor);
    open({.kind = YamlNode::Kind::list, .at = position_of(mark)}, mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    check_plain(mark, tag, anchor);
    open({.kind = YamlNode::Kind::mapping, .at = position_of(mark)}, mark);
  }
  void OnMapEnd() override { close(); }
  // NOLINTEND(readability-identifier-naming)

  YamlNode take() && { return std::move(root_); }

 private:
  struct Frame {
    YamlNode node;
    bool wants_key = false;
    std::string key{};
    Position key_at{};
    std::unordered_set<std::string> keys{};
  };

  [[noreturn]] static void refuse(const YAML::Mark& mark, std::string message, std::string hint) {
    throw Refused{position_of(mark), std::move(message), std::move(hint)};
  }

  static void check_plain(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      refuse(mark, "anchors (&name) are not supported", "write the value out where it is needed");
    }
    // yaml-cpp's names for "plain" and "quoted".
    if (!tag.empty() && tag != "?" && tag != "!") {
      refuse(mark, fmt::format("tags ({}) are not supported", printable(tag, 80)),
             "remove the tag");
    }
  }

  void take_key(YamlNode node) {
    if (node.kind != YamlNode::Kind::scalar) {
      throw Refused{node.at, "a key must be a plain name", {}};
    }
    Frame& frame = stack_.back();
    if (!frame.keys.insert(node.text).second) {
      throw Refused{node.at, fmt::format("duplicate key '{}'", printable(node.text, 80)),
                    "keep one of the two"};
    }
    frame.key = std::move(node.text);
    frame.key_at = node.at;
    frame.wants_key = false;
  }

  void add(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.kind == YamlNode::Kind::mapping) {
      if (frame.wants_key) {
        take_key(std::move(node));
        return;
      }
      node.key = std::move(frame.key);
      node.key_at = frame.key_at;
      frame.wants_key = true;
      if (node.kind == YamlNode::Kind::null) {
        node.at = node.key_at;  // yaml-cpp points behind the end of an absent value
      }
    }
    frame.node.children.push_back(std::move(node));
  }

  void open(YamlNode node, const YAML::Mark& mark) {
    if (stack_.size() >= max_yaml_depth) {
      refuse(mark, fmt::format("nested deeper than {} levels", max_yaml_depth), {});
    }
    if (!stack_.empty() && stack_.back().wants_key) {
      refuse(mark, "a key must be a plain name", {});
    }
    const bool mapping = node.kind == YamlNode::Kind::mapping;
    stack_.push_back({.node = std::move(node), .wants_key = mapping});
  }

  void close() {
    YamlNode node = std::move(stack_.back().node);
    stack_.pop_back();
    add(std::move(node));
  }

  std::vector<Frame> stack_;
  YamlNode root_;
  std::size_t documents_ = 0;
};

Result<YamlNode> build_tree(std::string_view text, std::string_view file_name) {
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Builder builder;
    while (parser.HandleNextDocument(builder)) {
    }
    return std::move(builder).take();
  } catch (const Refused& refused) {
    return fail(error_at(file_name, refused.at, ErrorCode::invalid_input, refused.message)
                    .with_hint(refused.hint));
  } catch (const YAML::Exception& exception) {
    return fail(error_at(file_name, position_of(exception.mark), ErrorCode::invalid_input,
                         fmt::format("not valid YAML: {}", printable(exception.msg, 200)))
                    .with_hint("look at indentation, colons and quotes in and above this line"));
  }
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view name) const noexcept {
  const auto found = std::find_if(children.begin(), children.end(),
                                  [&](const YamlNode& child) { return child.key == name; });
  return found == children.end() ? nullptr : &*found;
}

Error error_at(std::string_view file_name, Position at, ErrorCode code, std::string_view message) {
  return {code, fmt::format("{}:{}:{}: {}", printable(file_name), at.line, at.column, message)};
}

Result<YamlNode> parse_yaml(std::string_view text, std::string_view file_name) {
  if (text.size() > max_yaml_bytes) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: {} is more than the {} that are accepted", printable(file_name),
                            human_size(text.size()), human_size(max_yaml_bytes)));
  }
  // yaml-cpp takes a zero byte for the end of the text and would drop what follows.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    const std::string_view before = text.substr(0, zero);
    const auto line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
    const std::size_t line_start = before.rfind('\n');
    const std::size_t column = line_start == std::string_view::npos ? zero + 1 : zero - line_start;
    return fail(error_at(file_name, {line, column}, ErrorCode::invalid_input,
                         "a zero byte; this is not a text file"));
  }
  FNIMAGE_TRY(YamlNode root, build_tree(text, file_name));
  if (root.kind == YamlNode::Kind::null) {
    root.kind = YamlNode::Kind::mapping;
  }
  return root;
}

}  // namespace fnimage::build
