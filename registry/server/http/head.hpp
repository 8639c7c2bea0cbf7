// From a parsed head to a Request: the framing rules that keep two servers from reading one stream
// as different requests (RFC 9112 6.3, 3.2; reliability A23). Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>  // Boost 1.74's asio forgets it
#include <variant>

#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/system/error_code.hpp>

#include "http/exchange.hpp"

namespace fnimage::server {

using HeadParser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

/// Where the head is in bytes that have come.
struct HeadScan {
  std::size_t empty_lines = 0;  ///< bytes of them before it
  std::size_t size = 0;         ///< with the empty line that ends it; 0 = its end has not come
  bool is_bad = false;          ///< it has folded lines or bare line feeds
};
HeadScan scan_head(std::string_view bytes);

/// What is wrong with a head, as an answer's status.
struct HeadFault {
  int status = 400;
  std::string_view why;
};

/// The request; the peer and whether the connection is secure are the caller's to add.
std::variant<Request, HeadFault> read_head(const HeadParser& parser);

/// For an error of the parser; status 0 = nobody waits for an answer.
HeadFault head_fault(const boost::system::error_code& error);

/// The status line and the fields of an answer, up to the empty line.
std::string response_head(const Response& response, std::uint64_t content_length, bool keeps_alive,
                          bool is_version_1_0);

}  // namespace fnimage::server
