// From a parsed head to a Request: the framing rules that keep two servers from reading one stream
// as different requests (RFC 9112 6.3, 3.2; reliability A23). Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>  // Boost 1.74's asio forgets it
#include <variant>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/system/error_code.hpp>

#include "http/exchange.hpp"

namespace fnimage::server {

/// Of heads, and of the chunks of a body.
using HeadParser = boost::beast::http::request_parser<boost::beast::http::empty_body>;

/// What is wrong with a head, as an answer's status.
struct HeadFault {
  int status = 400;
  std::string_view why;
};

/// Looks for the end of a head in bytes that come in pieces, and for what the parser lets pass:
/// lines that another server would end elsewhere (RFC 9112 2.2, 5.2).
class HeadScan {
 public:
  struct Incomplete {};
  /// @param bytes all that have come, with those of earlier calls. Bytes up to the end (which is
  /// an empty line), or what is wrong.
  std::variant<Incomplete, std::size_t, HeadFault> find_end(std::string_view bytes);

 private:
  std::size_t line_ = 0;  ///< where the last line begins
  std::size_t seen_ = 0;
};

/// The request; the peer and whether the connection is secure are the caller's to add.
std::variant<Request, HeadFault> read_head(const HeadParser& parser);

/// For an error of the parser; status 0 = nobody waits for an answer.
HeadFault head_fault(const boost::system::error_code& error);

/// The status line and the fields of an answer, up to the empty line.
std::string response_head(const Response& response, std::uint64_t content_length, bool keeps_alive,
                          bool is_version_1_0);

}  // namespace fnimage::server
