// JSON from outside: nlohmann's SAX parser feeding a builder that counts depth and refuses
// duplicate keys.
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>

namespace fnimage {

namespace {

using nlohmann::json;

/// Builds the document as events come in. The interface's names and signatures are nlohmann's.
class Builder final : public nlohmann::json_sax<json> {
 public:
  Builder(std::string_view what, const JsonLimits& limits) : what_(what), limits_(limits) {}

  bool null() override { return add(json(nullptr)); }
  bool boolean(bool value) override { return add(json(value)); }
  bool number_integer(number_integer_t value) override { return add(json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return add(json(value)); }
  bool number_float(number_float_t value, const string_t& /*text*/) override {
    return add(json(value));
  }
  bool string(string_t& value) override { return add(json(std::move(value))); }
  bool binary(binary_t& /*value*/) override { return refuse("binary data"); }

  bool start_object(std::size_t /*elements*/) override { return open(json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t /*elements*/) override { return open(json::array()); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (stack_.back()->contains(name)) {
      return refuse(fmt::format("duplicate key \"{}\"", printable(name, 80)));
    }
    key_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& exception) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error …": the end
    // is what helps.
    std::string_view detail = exception.what();
    if (const std::size_t at = detail.find("syntax error"); at != std::string_view::npos) {
      detail.remove_prefix(at);
    }
    return refuse(fmt::format("not valid JSON at byte {}: {}", position, printable(detail, 200)));
  }

  Result<json> take() && {
    if (!problem_.empty()) {
      return fail(ErrorCode::invalid_input, std::move(problem_));
    }
    return std::move(root_);
  }

  bool refuse(std::string_view problem) {
    if (problem_.empty()) {
      problem_ = fmt::format("{}: {}", what_, problem);
    }
    return false;
  }

 private:
  json* place(json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[std::move(key_)] = std::move(value));
  }
  bool add(json value) {
    if (++values_ > limits_.max_values) {
      return refuse(fmt::format("more than {} values", limits_.max_values));
    }
    place(std::move(value));
    return true;
  }
  bool open(json value) {
    if (stack_.size() >= limits_.max_depth) {
      return refuse(fmt::format("nested deeper than {} levels", limits_.max_depth));
    }
    if (++values_ > limits_.max_values) {
      return refuse(fmt::format("more than {} values", limits_.max_values));
    }
    // Stays valid: while a container is open, nothing is added to its parent.
    stack_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  std::string_view what_;
  JsonLimits limits_;
  std::size_t values_ = 0;
  json root_;
  std::vector<json*> stack_;
  std::string key_;
  std::string problem_;
};

Error wrong_type(const std::string& path, std::string_view wanted) {
  return Error(ErrorCode::invalid_input, fmt::format("{}: not {}", path, wanted));
}

Error missing(const std::string& path) {
  return Error(ErrorCode::invalid_input, fmt::format("{}: missing", path));
}

/// RFC 6901 escapes, and nothing that a terminal would act on.
std::string escaped_key(std::string_view key) {
  std::string text;
  for (const char c : printable(key, 128)) {
    if (c == '~') {
      text += "~0";
    } else if (c == '/') {
      text += "~1";
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace

Result<json> parse_json(std::string_view text, std::string_view what, JsonLimits limits) {
  if (text.size() > limits.max_bytes) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: {} is more than the {} that are accepted", what,
                            human_size(text.size()), human_size(limits.max_bytes)));
  }
  Builder builder(what, limits);
  if (!json::sax_parse(text, &builder)) {
    builder.refuse("not valid JSON");  // keeps the reason that was recorded first
  }
  return std::move(builder).take();
}

std::string to_json_text(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<JsonObject> JsonObject::of(const json& value, std::string path) {
  if (!value.is_object()) {
    return fail(wrong_type(path, "an object"));
  }
  return JsonObject(value, std::move(path));
}

const json* JsonObject::find(std::string_view key) const {
  const auto member = value_->find(std::string(key));
  return member == value_->end() || member->is_null() ? nullptr : &*member;
}

bool JsonObject::has(std::string_view key) const {
  return find(key) != nullptr;
}

std::string JsonObject::path_of(std::string_view key) const {
  // The document's name comes first ("manifest"), then the pointer ("manifest: /layers/3").
  const bool in_pointer = path_.starts_with('/') || path_.find(": /") != std::string::npos;
  return path_ + (in_pointer || path_.empty() ? "/" : ": /") + escaped_key(key);
}

Result<std::string> JsonObject::string(std::string_view key) const {
  const json* member = find(key);
  if (member == nullptr) {
    return fail(missing(path_of(key)));
  }
  if (!member->is_string()) {
    return fail(wrong_type(path_of(key), "a string"));
  }
  return member->get_ref<const std::string&>();
}

Result<std::string> JsonObject::string_or(std::string_view key, std::string fallback) const {
  return has(key) ? string(key) : Result<std::string>(std::move(fallback));
}

Result<std::int64_t> JsonObject::integer(std::string_view key) const {
  const json* member = find(key);
  if (member == nullptr) {
    return fail(missing(path_of(key)));
  }
  if (!member->is_number_integer()) {
    return fail(wrong_type(path_of(key), "a whole number"));
  }
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (member->is_number_unsigned() && member->get<std::uint64_t>() > largest) {
    return fail(wrong_type(path_of(key), "a number of at most 63 bits"));
  }
  return member->get<std::int64_t>();
}

Result<std::int64_t> JsonObject::integer_or(std::string_view key, std::int64_t fallback) const {
  return has(key) ? integer(key) : Result<std::int64_t>(fallback);
}

}  // namespace fnimage
