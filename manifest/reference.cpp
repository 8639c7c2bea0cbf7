// The grammar of image references, written as a hand-made scanner: std::regex recurses on long
// input.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>

namespace fnimage::manifest {

namespace {

constexpr std::size_t longest_name = 255;        // registry + "/" + repository, distribution-spec
constexpr std::size_t longest_reference = 1024;  // name, tag and a sha512 digest fit

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_upper(char c) noexcept {
  return c >= 'A' && c <= 'Z';
}
constexpr bool is_lower_or_digit(char c) noexcept {
  return is_lower(c) || is_digit(c);
}
constexpr bool is_alphanumeric(char c) noexcept {
  return is_lower_or_digit(c) || is_upper(c);
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
bool is_path_component(std::string_view text) noexcept {
  std::size_t at = 0;
  const auto take_word = [&] {
    const std::size_t begin = at;
    while (at < text.size() && is_lower_or_digit(text[at])) {
      ++at;
    }
    return at > begin;
  };
  while (true) {
    if (!take_word()) {
      return false;
    }
    if (at == text.size()) {
      return true;
    }
    if (text[at] == '.') {
      ++at;
    } else if (text[at] == '_') {
      at += text.substr(at).starts_with("__") ? 2U : 1U;
    } else if (text[at] == '-') {
      at = std::min(text.find_first_not_of('-', at), text.size());
    } else {
      return false;
    }
  }
}

bool is_port(std::string_view text) noexcept {
  if (text.empty() || text.size() > 5 || !std::all_of(text.begin(), text.end(), is_digit)) {
    return false;
  }
  unsigned value = 0;
  for (const char c : text) {
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value >= 1 && value <= 65535;
}

bool is_host_label(std::string_view label) noexcept {
  const auto allowed = [](char c) { return is_alphanumeric(c) || c == '-'; };
  return !label.empty() && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), allowed);
}

bool is_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) {
    const std::string_view address = host.substr(1, host.size() - 2);
    return address.find(':') != std::string_view::npos &&
           address.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
  }
  const std::vector<std::string_view> labels = split(host, '.');
  return std::all_of(labels.begin(), labels.end(), is_host_label);
}

bool is_registry(std::string_view text) {
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon == std::string_view::npos) {
    return is_host(text);
  }
  return is_host(text.substr(0, colon)) && is_port(text.substr(colon + 1));
}

tl::unexpected<Error> refuse_reference(std::string_view text, std::string_view why,
                                       std::string hint = {}) {
  return fail(ErrorCode::invalid_argument,
              fmt::format("image reference \"{}\": {}", printable(text, 120), why),
              std::move(hint));
}

Result<void> check_repository(std::string_view text, std::string_view repository) {
  if (std::any_of(repository.begin(), repository.end(), is_upper)) {
    return refuse_reference(text, "the repository has upper-case letters",
                            fmt::format("write it in lower case: {}", to_lower(repository)));
  }
  for (const std::string_view part : split(repository, '/')) {
    if (!is_path_component(part)) {
      return refuse_reference(
          text,
          part.empty()
              ? std::string("the repository has an empty part")
              : fmt::format("\"{}\" is not a valid part of a repository name", printable(part, 80)),
          "use lower-case letters and digits, with single '.', '_', '__' or '-' between");
    }
  }
  return {};
}

tl::unexpected<Error> bad_tag(std::string_view text, std::string_view tag) {
  return refuse_reference(
      text, fmt::format("\"{}\" is not a valid tag", printable(tag, 140)),
      "a tag has 1 to 128 letters, digits, '_', '.' or '-' and does not begin with '.' or '-'");
}

}  // namespace

bool is_valid_tag(std::string_view tag) noexcept {
  const auto allowed = [](char c) {
    return is_alphanumeric(c) || c == '_' || c == '.' || c == '-';
  };
  return !tag.empty() && tag.size() <= 128 && tag.front() != '.' && tag.front() != '-' &&
         std::all_of(tag.begin(), tag.end(), allowed);
}

Result<Reference> Reference::parse(std::string_view text) {
  if (text.empty()) {
    return refuse_reference(text, "is empty");
  }
  if (text.size() > longest_reference) {
    return refuse_reference(text, "is too long");
  }
  if (const std::size_t scheme = text.find("://"); scheme != std::string_view::npos) {
    return refuse_reference(
        text, "is a URL",
        fmt::format("write it without the scheme: {}", printable(text.substr(scheme + 3), 120)));
  }
  Reference reference;
  std::string_view rest = text;
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    Result<Digest> digest = Digest::parse(rest.substr(at + 1));
    if (!digest) {
      return refuse_reference(text, digest.error().message(),
                              "a digest is sha256: and 64 hexadecimal digits");
    }
    reference.digest_ = std::move(*digest);
    rest = rest.substr(0, at);
  }
  // A ':' after the last '/' begins the tag; before it, it belongs to the registry's port.
  const std::size_t slash = rest.rfind('/');
  const std::size_t colon = rest.find(':', slash == std::string_view::npos ? 0 : slash);
  if (colon != std::string_view::npos) {
    const std::string_view tag = rest.substr(colon + 1);
    if (!is_valid_tag(tag)) {
      return bad_tag(text, tag);
    }
    reference.tag_ = std::string(tag);
    rest = rest.substr(0, colon);
  }
  const std::size_t first_slash = rest.find('/');
  const std::string_view first = rest.substr(0, first_slash);
  if (first_slash != std::string_view::npos &&
      (first.find_first_of(".:") != std::string_view::npos || first == "localhost")) {
    if (!is_registry(first)) {
      return refuse_reference(text,
                              fmt::format("\"{}\" is not a valid registry", printable(first, 80)),
                              "write host or host:port, for example serverless:30501");
    }
    reference.registry_ = std::string(first);
    rest = rest.substr(first_slash + 1);
  }
  FNIMAGE_CHECK(check_repository(text, rest));
  reference.repository_ = std::string(rest);
  if (reference.name().size() > longest_name) {
    return refuse_reference(
        text, fmt::format("registry and repository have more than {} characters", longest_name));
  }
  return reference;
}

std::string Reference::tag_or_latest() const {
  if (tag_) {
    return *tag_;
  }
  return digest_ ? std::string() : std::string("latest");
}

std::string Reference::name() const {
  return registry_.empty() ? repository_ : registry_ + "/" + repository_;
}

std::string Reference::str() const {
  std::string text = name();
  if (const std::string tag = tag_or_latest(); !tag.empty()) {
    text += ":" + tag;
  }
  if (digest_) {
    text += "@" + digest_->str();
  }
  return text;
}

Result<Reference> Reference::with_tag(std::string_view tag) const {
  if (!is_valid_tag(tag)) {
    return bad_tag(name() + ":" + std::string(tag), tag);
  }
  Reference other = *this;
  other.tag_ = std::string(tag);
  other.digest_.reset();
  return other;
}

Reference Reference::with_digest(Digest digest) const {
  Reference other = *this;
  other.tag_.reset();
  other.digest_ = std::move(digest);
  return other;
}

}  // namespace fnimage::manifest
