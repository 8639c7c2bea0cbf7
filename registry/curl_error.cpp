// See curl_error.hpp. libcurl's and OpenSSL's texts are matched only to choose better words; the
// class of the error comes from the code.
#include "curl_error.hpp"

#include <cerrno>
#include <optional>
#include <system_error>

#include <fnimage/base/text.hpp>

#include "url.hpp"

namespace fnimage::registry {

namespace {

constexpr long proxy_authentication = 407;

/// The cause in the system's words when there is one, else in libcurl's.
std::string cause_of(const TransferEnd& end) {
  if (end.os_errno != 0) {
    return to_lower(std::generic_category().message(static_cast<int>(end.os_errno)));
  }
  return printable(end.curl_text.empty() ? curl_easy_strerror(end.code) : end.curl_text);
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// libcurl 7.88 tells a connection that ends during the handshake by the system's words only.
bool is_lost_connection(const TransferEnd& end) {
  for (const int code : {ECONNRESET, EPIPE, ETIMEDOUT}) {
    if (end.os_errno == code || contains(end.curl_text, std::generic_category().message(code))) {
      return true;
    }
  }
  return false;
}

Error unavailable(std::string message, std::string hint) {
  return Error(ErrorCode::unavailable, std::move(message)).with_hint(std::move(hint)).retryable();
}

Error verify_error(const std::string& peer, std::string_view text) {
  std::string hint;
  if (contains(text, "not yet valid") || contains(text, "has expired")) {
    hint = "renew the certificate of " + peer + ", or correct this machine's clock";
  } else if (contains(text, "subject name") || contains(text, "does not match")) {
    hint = "use the host name the certificate was made for, or have it made for " + peer;
  } else {
    hint = "give the authority that signed it with --ca-file FILE; --insecure accepts any";
  }
  return Error(ErrorCode::tls, "the certificate of " + peer + " is not trusted: " + printable(text))
      .with_hint(std::move(hint));
}

Error handshake_error(const std::string& peer, const TransferEnd& end) {
  const std::string& text = end.curl_text;
  if (contains(text, "wrong version number") || contains(text, "packet length too long") ||
      contains(text, "http request")) {
    return Error(ErrorCode::tls, peer + " speaks http, not https")
        .with_hint(
            "use --plain-http (or --insecure) if this registry is meant to be reached by http");
  }
  if (contains(text, "SSL_ERROR_SYSCALL") || contains(text, "unexpected eof") ||
      is_lost_connection(end)) {
    return unavailable("connection to " + peer + " closed during the TLS handshake",
                       "check that the port is the one that speaks https");
  }
  return Error(ErrorCode::tls, "no TLS connection to " + peer + ": " + cause_of(end));
}

constexpr const char* proxy_hint = "check http_proxy, https_proxy and no_proxy in the environment";

/// What went wrong on the way to the proxy, or with what it was asked for.
std::optional<Error> proxy_error(const TransferEnd& end, const std::string& peer,
                                 std::string_view url) {
  const std::string proxy = "the proxy " + end.proxy;
  const bool reached = end.got_answer || (end.tunnel_status >= 200 && end.tunnel_status < 300);
  if (end.proxy.empty() || reached) {
    return std::nullopt;
  }
  if (end.tunnel_status >= 500) {
    return unavailable(
        proxy + " cannot reach " + peer + ": status " + std::to_string(end.tunnel_status),
        proxy_hint);
  }
  if (end.tunnel_status != 0) {
    return Error(ErrorCode::unauthorized, proxy + " refuses the way to " + peer + ": status " +
                                              std::to_string(end.tunnel_status))
        .with_hint(end.tunnel_status == proxy_authentication
                       ? "put user and password into the proxy's URL in the environment"
                       : proxy_hint);
  }
  switch (end.code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
      return unavailable("cannot resolve the host name of " + proxy, proxy_hint);
    case CURLE_COULDNT_CONNECT:
      return unavailable("cannot connect to " + proxy + ": " + cause_of(end), proxy_hint);
    case CURLE_PEER_FAILED_VERIFICATION:
      return Error(ErrorCode::tls,
                   "the certificate of " + proxy + " is not trusted: " + printable(end.curl_text))
          .with_hint("give the authority that signed it with --ca-file FILE");
    case CURLE_SSL_CONNECT_ERROR:
      return Error(ErrorCode::tls, "no TLS connection to " + proxy + ": " + cause_of(end))
          .with_hint("write http:// before its name in the environment if it speaks no TLS");
    case CURLE_OPERATION_TIMEDOUT:
      return url.starts_with("https:")
                 ? std::optional(unavailable(
                       "no connection to " + peer + " through " + proxy + " in time", proxy_hint))
                 : std::nullopt;
    default:
      return std::nullopt;
  }
}

Error tls_file_error(const TransferEnd& end, const TlsOptions& tls) {
  if (end.code == CURLE_SSL_CACERT_BADFILE) {
    return Error(ErrorCode::tls, "cannot use the CA file " + printable(tls.ca_file.string()))
        .with_hint("the file must exist and hold certificates in PEM form");
  }
  return Error(ErrorCode::tls, "cannot use the client certificate " +
                                   printable(tls.cert_file.string()) + ": " +
                                   printable(end.curl_text))
      .with_hint("certificate and key must be PEM files that belong together");
}

Error broken_answer(const TransferEnd& end, const std::string& what) {
  if (end.headers_too_large) {
    return Error(ErrorCode::protocol, what + ": more than 64 KiB of answer headers");
  }
  if (end.body_too_large) {
    return Error(ErrorCode::protocol, what + ": the answer is larger than allowed");
  }
  return Error(ErrorCode::protocol, what + ": not a valid HTTP answer: " + cause_of(end));
}

}  // namespace

Error transfer_error(const TransferEnd& end, std::string_view method, std::string_view url,
                     const TlsOptions& tls) {
  const std::string peer = printable(host_and_port(url));
  const std::string what = std::string(method) + " " + printable(printable_url(url), 2048);
  if (!end.refused_peer.empty()) {
    return Error(ErrorCode::unauthorized, what + ": refused, since the name leads to " +
                                              end.refused_peer +
                                              ", where this registry may not send its clients")
        .with_hint("if that server is meant, name it: --auth-realm " + peer);
  }
  if (auto error = proxy_error(end, peer, url)) {
    return std::move(*error);
  }
  switch (end.code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return unavailable("cannot resolve the host name of " + peer,
                         "check the name, and this machine's DNS and /etc/hosts");
    case CURLE_COULDNT_CONNECT:
      return unavailable("cannot connect to " + peer + ": " + cause_of(end),
                         "check that the server runs and that host and port are right");
    case CURLE_OPERATION_TIMEDOUT:
      return unavailable(
          what + ": " +
              (end.got_answer || contains(end.curl_text, "too slow") ? "the peer stalled"
                                                                     : "no connection in time") +
              " (" + printable(end.curl_text) + ")",
          "check the network path to " + peer);
    case CURLE_PEER_FAILED_VERIFICATION:
      return verify_error(peer, end.curl_text);
    case CURLE_SSL_CONNECT_ERROR:
      return handshake_error(peer, end);
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return tls_file_error(end, tls);
    case CURLE_READ_ERROR:
      return Error(ErrorCode::io, what + ": the file to be sent ended early or cannot be read");
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return unavailable(what + ": connection lost: " + cause_of(end),
                         "check the server's log and any proxy on the way");
    case CURLE_ABORTED_BY_CALLBACK:
      return Error(ErrorCode::cancelled, what + ": cancelled");
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
      return Error(ErrorCode::internal, what + ": " + curl_easy_strerror(end.code));
    default:
      return broken_answer(end, what);
  }
}

}  // namespace fnimage::registry
