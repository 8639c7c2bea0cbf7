#include "http/head.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <string>

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/status.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

namespace fnimage::server {

namespace {

namespace http = boost::beast::http;
using HeadFields = http::request<http::empty_body>;

constexpr unsigned version_1_0 = 10;
constexpr unsigned version_1_1 = 11;

std::string_view as_view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

std::string lower(std::string_view text) {
  std::string lowered(text);
  std::ranges::transform(lowered, lowered.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lowered;
}

/// Visible ASCII only: what else comes was never percent-encoded, or is made to confuse logs.
bool is_clean_target(std::string_view target) {
  return std::ranges::all_of(target, [](char c) { return c > ' ' && c < '\x7f'; });
}

/// "http://host/path" means its path (RFC 9112 3.2.2).
std::string origin_form(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (lower(target.substr(0, scheme.size())) == scheme) {
      const std::size_t end_of_host = target.find_first_of("/?", scheme.size());
      const std::string_view rest = target.substr(std::min(target.size(), end_of_host));
      return rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
    }
  }
  return std::string(target);
}

/// One host, or none at all as for a target that has none.
bool is_host(std::string_view host) {
  return std::ranges::all_of(host, [](char c) {
    return c > ' ' && c < '\x7f' &&
           std::string_view("/\\?#@,;\"<>{}|^`").find(c) == std::string_view::npos;
  });
}

/// RFC 9112 3: one space between its parts.
bool is_request_line(std::string_view line) {
  return std::ranges::count(line, ' ') == 2 && line.find('\t') == std::string_view::npos;
}

std::optional<HeadFault> fault_of_framing(const HeadFields& fields) {
  const auto lengths = fields.count(http::field::content_length);
  const auto encodings = fields.count(http::field::transfer_encoding);
  if (encodings > 0 && lengths > 0) {
    return HeadFault{400, "Transfer-Encoding and Content-Length contradict each other"};
  }
  if (encodings > 0 && fields.version() == version_1_0) {
    return HeadFault{400,
                     "HTTP/1.0 knows no Transfer-Encoding"};  // who passed it on did not, either
  }
  if (lengths > 1) {
    return HeadFault{400, "there is more than one Content-Length"};
  }
  const std::string_view length = as_view(fields[http::field::content_length]);
  if (length.find_first_not_of("0123456789") != std::string_view::npos) {
    return HeadFault{400, "Content-Length is not one number"};  // "3, 3" passes the parser
  }
  if (encodings > 1 ||
      (encodings == 1 && lower(as_view(fields[http::field::transfer_encoding])) != "chunked")) {
    return HeadFault{501, "only chunked is known as a Transfer-Encoding"};
  }
  return std::nullopt;
}

std::optional<HeadFault> fault_of(const HeadFields& fields) {
  if (fields.version() != version_1_0 && fields.version() != version_1_1) {
    return HeadFault{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  }
  if (auto fault = fault_of_framing(fields)) {
    return fault;
  }
  const auto hosts = fields.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && fields.version() == version_1_1) ||
      !is_host(as_view(fields[http::field::host]))) {
    return HeadFault{400, "there must be one Host"};
  }
  const bool knows_all = std::ranges::all_of(fields, [](const auto& field) {
    return field.name() != http::field::expect || lower(as_view(field.value())) == "100-continue";
  });
  if (!knows_all) {
    return HeadFault{417, "only 100-continue can be expected"};
  }
  return std::nullopt;
}

/// What would end the field, or the head, must not come from a value.
std::string clean_value(std::string_view value) {
  std::string clean(value);
  std::ranges::replace_if(
      clean, [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == '\x7f'; }, ' ');
  return clean;
}

/// IMF-fixdate (RFC 9110 5.6.7), made anew once a second.
std::string http_date() {
  thread_local std::time_t made_at = 0;
  thread_local std::string text;
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  if (now != made_at || text.empty()) {
    text = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
    made_at = now;
  }
  return text;
}

bool has_content(int status) {
  constexpr int no_content = 204;
  constexpr int not_modified = 304;
  return status != no_content && status != not_modified;
}

}  // namespace

std::variant<HeadScan::Incomplete, std::size_t, HeadFault> HeadScan::find_end(
    std::string_view bytes) {
  const auto is_letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  if (!bytes.empty() && bytes[0] != '\r' && !is_letter(bytes[0])) {
    return HeadFault{400, "this is no HTTP request"};  // TLS, say: its sender waits for an answer
  }
  for (; (seen_ = std::min(bytes.find('\n', seen_), bytes.size())) < bytes.size(); ++seen_) {
    const std::string_view line = bytes.substr(line_, seen_ - line_);
    if (!line.ends_with('\r')) {
      return HeadFault{400, "a line ends without CR"};
    }
    if (line.size() == 1) {
      return seen_ + 1;
    }
    if (line_ == 0 && !is_request_line(line)) {
      return HeadFault{400, "the first line has not three parts"};
    }
    if (line_ > 0 && (line.starts_with(' ') || line.starts_with('\t'))) {
      return HeadFault{400, "a field is folded"};
    }
    line_ = seen_ + 1;
  }
  return Incomplete{};
}

std::variant<Request, HeadFault> read_head(const HeadParser& parser) {
  const HeadFields& fields = parser.get();
  if (auto fault = fault_of(fields)) {
    return *fault;
  }
  const std::string_view whole = as_view(fields.target());
  if (!is_clean_target(whole)) {
    return HeadFault{400, "the target has characters that must be percent-encoded"};
  }
  const std::string target = origin_form(whole);
  if (!target.starts_with('/')) {
    return HeadFault{400, "the target is no path"};
  }
  Request request;
  request.method = as_view(fields.method_string());
  const std::size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  request.query = target.substr(std::min(target.size(), question + 1));
  for (const auto& field : fields) {
    request.headers.push_back(
        {std::string(as_view(field.name_string())), std::string(as_view(field.value()))});
  }
  if (const auto length = parser.content_length(); length && !parser.chunked()) {
    request.content_length = *length;
  }
  request.has_body = parser.chunked() || request.content_length.value_or(0) > 0;
  return request;
}

HeadFault head_fault(const boost::system::error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return {431, "the head of the request is too long"};
  }
  const bool has_ended =
      error == http::error::end_of_stream || error == http::error::partial_message;
  const bool is_about_http =
      error.category() == http::make_error_code(http::error::bad_value).category();
  if (!is_about_http || has_ended) {
    return {0, {}};
  }
  if (error == http::error::bad_version) {
    return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  }
  return {400, "this is no HTTP request"};
}

std::string response_head(const Response& response, std::uint64_t content_length, bool keeps_alive,
                          bool is_version_1_0) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nServer: fnimage\r\nDate: {}\r\n",
                                 response.status, as_view(reason), http_date());
  for (const HeaderField& field : response.headers) {
    fmt::format_to(std::back_inserter(head), "{}: {}\r\n", field.name, clean_value(field.value));
  }
  if (has_content(response.status)) {
    fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", content_length);
  }
  if (!keeps_alive) {
    head += "Connection: close\r\n";
  } else if (is_version_1_0) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  return head;
}

}  // namespace fnimage::server
