// See curl_transfer.hpp.
#include "curl_transfer.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>

#include "address.hpp"
#include "url.hpp"

namespace fnimage::registry {

namespace {

#ifndef FNIMAGE_VERSION
#define FNIMAGE_VERSION "0"
#endif

constexpr std::uint64_t max_authorities = std::uint64_t{8} << 20;

bool is_success(int status) {
  return status >= 200 && status < 300;
}

std::string text_of(const sockaddr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes =
      address.sa_family == AF_INET
          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in&>(address).sin_addr)
          : static_cast<const void*>(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  const char* shown = ::inet_ntop(address.sa_family, bytes, text.data(), text.size());
  return shown == nullptr ? "an unknown address" : shown;
}

bool is_safe_header(const Header& header) {
  constexpr std::string_view line_ends("\r\n\0", 3);
  return !header.name.empty() && header.name.find_first_of(line_ends) == std::string::npos &&
         header.value.find_first_of(line_ends) == std::string::npos;
}

}  // namespace

std::uint64_t body_size(const HttpRequest& request) noexcept {
  return request.body == nullptr
             ? 0
             : std::min(request.body->size() - request.body_offset, request.body_limit);
}

EffectiveLimits limits_of(const TransportOptions& options, std::string_view host) {
  constexpr std::size_t least_connections = 2;
  auto own = options.hosts.find(host);
  if (own == options.hosts.end() && (host.ends_with(":443") || host.ends_with(":80"))) {
    own = options.hosts.find(host.substr(0, host.rfind(':')));
  }
  const HostLimits limits = own == options.hosts.end() ? HostLimits{} : own->second;
  return {.connections = std::max(limits.connections.value_or(options.connections_per_host),
                                  least_connections),
          .rate = limits.rate_limit.value_or(0)};
}

CurlTransfer::CurlTransfer(const HttpRequest& request)
    : request_(request), host_(host_and_port(request.url)) {}

CurlTransfer::~CurlTransfer() = default;

Result<void> CurlTransfer::prepare(const TransportOptions& options, std::string proxy, bool fresh) {
  proxy_ = std::move(proxy);
  if (host_.empty()) {
    return fail(ErrorCode::invalid_argument,
                "malformed URL " + printable(printable_url(request_.url)));
  }
  for (const Header& header : request_.headers) {
    if (!is_safe_header(header)) {
      return fail(ErrorCode::invalid_argument,
                  "line break in request header " + printable(header.name));
    }
  }
  FNIMAGE_CHECK(choose_body(options));
  easy_.reset(curl_easy_init());
  const bool ready = easy_ && set_common(options) && set_tls() && set_proxy() && set_method() &&
                     set_headers() &&
                     curl_easy_setopt(handle(), CURLOPT_FRESH_CONNECT,
                                      fresh || request_.own_connection ? 1L : 0L) == CURLE_OK;
  if (!ready) {
    return fail(ErrorCode::internal, "libcurl refused an option of the request to " +
                                         printable(printable_url(request_.url)));
  }
  return {};
}

/// Small bodies go in one packet with the head. Of the others, a rate limit needs libcurl's
/// counting, and the way to a proxy may be by TLS, which only libcurl knows.
Result<void> CurlTransfer::choose_body(const TransportOptions& options) {
  stall_timeout_ = options.stall_timeout;
  min_speed_ = options.min_speed;
  const std::uint64_t size = body_size(request_);
  if (size <= small_body) {
    return hold_body(size);
  }
  if (options.rate_limit == 0 && limits_of(options, host_).rate == 0 && proxy_.empty()) {
    FNIMAGE_TRY(file_body_, FileBody::open(request_, size));
  }
  return {};
}

Result<void> CurlTransfer::hold_body(std::uint64_t size) {
  if (size == 0) {
    return {};
  }
  FNIMAGE_TRY(const auto reader, request_.body->open(request_.body_offset));
  held_body_.resize(size);
  FNIMAGE_TRY(const std::size_t held,
              read_full(*reader, std::as_writable_bytes(std::span(held_body_))));
  if (held < size) {
    return fail(ErrorCode::io,
                "the content to be sent ended " + std::to_string(size - held) + " bytes early");
  }
  return {};
}

bool CurlTransfer::set_common(const TransportOptions& options) {
  CURL* curl = handle();
  const std::string agent =
      options.user_agent.empty() ? "fnimage/" FNIMAGE_VERSION : options.user_agent;
  const auto connect_seconds = static_cast<long>(options.connect_timeout.count());
  const auto stall_seconds = static_cast<long>(options.stall_timeout.count());
  answer_time_ =
      options.stall_timeout +
      std::chrono::seconds(body_size(request_) / std::max<std::uint64_t>(options.answer_speed, 1));
  bool ok = true;
  const auto set = [&ok, curl](CURLoption option, auto value) {
    ok = ok && curl_easy_setopt(curl, option, value) == CURLE_OK;
  };
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  set(CURLOPT_ERRORBUFFER, error_text_.data());
  set(CURLOPT_URL, request_.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_USERAGENT, agent.c_str());
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_CONNECTTIMEOUT, connect_seconds);
  // What goes past libcurl seems slow to it.
  set(CURLOPT_LOW_SPEED_LIMIT, sends_file() ? 0L : static_cast<long>(options.min_speed));
  set(CURLOPT_LOW_SPEED_TIME, stall_seconds);
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(request_.timeout.count()));
  set(CURLOPT_FORBID_REUSE, request_.own_connection ? 1L : 0L);
  set(CURLOPT_BUFFERSIZE, 256L * 1024L);
  set(CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024L);
  set(CURLOPT_HEADERFUNCTION, &CurlTransfer::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &CurlTransfer::on_write);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_OPENSOCKETFUNCTION, &CurlTransfer::on_open);
  set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
  return ok;
}

/// The environment has been looked at: libcurl is not to do that once more.
bool CurlTransfer::set_proxy() {
  CURL* curl = handle();
  return curl_easy_setopt(curl, CURLOPT_PROXY, proxy_.c_str()) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_NOPROXY, "") == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE)) ==
             CURLE_OK;
}

bool CurlTransfer::set_tls() {
  CURL* curl = handle();
  const TlsOptions& tls = request_.tls;
  bool ok = curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L) == CURLE_OK &&
            curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L) == CURLE_OK;
  ok = ok && set_authorities();
  if (!tls.cert_file.empty()) {
    ok = ok && curl_easy_setopt(curl, CURLOPT_SSLCERT, tls.cert_file.c_str()) == CURLE_OK;
  }
  if (!tls.key_file.empty()) {
    ok = ok && curl_easy_setopt(curl, CURLOPT_SSLKEY, tls.key_file.c_str()) == CURLE_OK;
  }
  return ok;
}

bool CurlTransfer::set_authorities() {
  CURL* curl = handle();
  const TlsOptions& tls = request_.tls;
  if (tls.ca_file.empty() && tls.ca_pem.empty()) {
    return true;
  }
  // The directory of hashed certificates stays in force, so these add to the system's authorities.
  // A proxy that is reached by TLS may be of the same site.
  for (const CURLoption option : {CURLOPT_CAPATH, CURLOPT_PROXY_CAPATH}) {
    if (curl_easy_setopt(curl, option, "/etc/ssl/certs") != CURLE_OK) {
      return false;
    }
  }
  authorities_ = tls.ca_pem;
  if (!tls.ca_file.empty() && !authorities_.empty()) {
    if (const auto file = read_file(tls.ca_file, max_authorities)) {
      authorities_ += "\n" + *file;
    } else {
      authorities_.clear();  // libcurl finds the same and says so
    }
  }
  if (authorities_.empty()) {
    return curl_easy_setopt(curl, CURLOPT_CAINFO, tls.ca_file.c_str()) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY_CAINFO, tls.ca_file.c_str()) == CURLE_OK;
  }
  curl_blob blob{.data = authorities_.data(), .len = authorities_.size(), .flags = 0};
  return curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_PROXY_CAINFO_BLOB, &blob) == CURLE_OK;
}

bool CurlTransfer::set_method() {
  CURL* curl = handle();
  if (request_.method == "HEAD") {
    return curl_easy_setopt(curl, CURLOPT_NOBODY, 1L) == CURLE_OK;
  }
  const bool sends_length = request_.body != nullptr || request_.method == "POST" ||
                            request_.method == "PUT" || request_.method == "PATCH";
  if (!sends_length) {
    return curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request_.method.c_str()) == CURLE_OK;
  }
  if (sends_file()) {
    return set_file_body();
  }
  const std::uint64_t size = body_size(request_);
  if (holds_body()) {
    return curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(size)) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDS, held_body_.data()) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request_.method.c_str()) == CURLE_OK;
  }
  body_left_ = size;
  return curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request_.method.c_str()) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size)) ==
             CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_READFUNCTION, &CurlTransfer::on_read) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_READDATA, static_cast<void*>(this)) == CURLE_OK;
}

/// To libcurl it is a request without a body, but for the Content-Length among its headers.
bool CurlTransfer::set_file_body() {
  CURL* curl = handle();
  return curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request_.method.c_str()) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, &CurlTransfer::on_debug) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_DEBUGDATA, static_cast<void*>(this)) == CURLE_OK &&
         // An answer before the end of the body leaves a connection that nobody can use again.
         curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK;
}

bool CurlTransfer::set_headers() {
  // Without this libcurl waits for "100 Continue" before large bodies; credentials are known up
  // front here.
  std::vector<std::string> lines{"Expect:"};
  const bool typed = std::any_of(
      request_.headers.begin(), request_.headers.end(),
      [](const Header& header) { return equals_ignoring_case(header.name, "Content-Type"); });
  if (!typed) {
    lines.emplace_back("Content-Type:");  // libcurl's own would be that of a web form
  }
  if (sends_file()) {
    lines.push_back("Content-Length: " + std::to_string(file_body_->size()));
  }
  for (const Header& header : request_.headers) {
    lines.push_back(header.value.empty() ? header.name + ";" : header.name + ": " + header.value);
  }
  for (const std::string& line : lines) {
    curl_slist* longer = curl_slist_append(header_list_.get(), line.c_str());
    if (longer == nullptr) {
      return false;
    }
    static_cast<void>(header_list_.release());  // `longer` is the same list
    header_list_.reset(longer);
  }
  return curl_easy_setopt(handle(), CURLOPT_HTTPHEADER, header_list_.get()) == CURLE_OK;
}

std::size_t CurlTransfer::on_header(char* data, std::size_t size, std::size_t count,
                                    void* self) noexcept {
  return static_cast<CurlTransfer*>(self)->take_header({data, size * count}) ? size * count : 0;
}

bool CurlTransfer::take_header(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > max_header_bytes) {
    end_.headers_too_large = true;
    return false;
  }
  if (line.starts_with("HTTP/")) {  // a new answer: what came before was 1xx
    response_.headers.clear();
    response_.status = 0;
    end_.got_answer = true;
    const std::size_t blank = line.find(' ');
    if (blank != std::string_view::npos) {
      const std::string_view digits = line.substr(blank + 1, 3);
      std::from_chars(digits.data(), digits.data() + digits.size(), response_.status);
    }
    return true;
  }
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    response_.headers.push_back(
        {std::string(trim(line.substr(0, colon))), std::string(trim(line.substr(colon + 1)))});
  }
  return true;
}

std::size_t CurlTransfer::on_write(char* data, std::size_t size, std::size_t count,
                                   void* self) noexcept {
  return static_cast<CurlTransfer*>(self)->take_body({data, size * count});
}

std::size_t CurlTransfer::take_body(std::string_view bytes) {
  if (is_download() && is_success(response_.status)) {
    if (!delivered_ && request_.on_answer) {
      answer_ = {
          response_.status, response_.headers, {}};  // a copy: trailers may still change the other
    }
    if (!exchange_.deliver(bytes)) {
      return CURL_WRITEFUNC_PAUSE;
    }
    delivered_ = true;
    return bytes.size();
  }
  return keep_body(bytes) ? bytes.size() : 0;
}

bool CurlTransfer::keep_body(std::string_view bytes) {
  if (is_success(response_.status) || request_.whole_errors) {
    if (bytes.size() > request_.max_body - response_.body.size()) {
      end_.body_too_large = true;
      return false;
    }
    response_.body += bytes;
    return true;
  }
  error_body_read_ += bytes.size();
  response_.body += bytes.substr(0, max_error_body - response_.body.size());
  return error_body_read_ <= max_error_body_read;
}

std::size_t CurlTransfer::on_read(char* data, std::size_t size, std::size_t count,
                                  void* self) noexcept {
  return static_cast<CurlTransfer*>(self)->give_body(data, size * count);
}

std::size_t CurlTransfer::give_body(char* target, std::size_t capacity) noexcept {
  const auto copied = exchange_.collect(target, capacity);
  if (!copied) {
    return CURL_READFUNC_PAUSE;
  }
  body_left_ -= std::min<std::uint64_t>(*copied, body_left_);
  if (body_left_ == 0) {
    // From here on silence means that the registry verifies and stores what it has got.
    curl_easy_setopt(handle(), CURLOPT_LOW_SPEED_TIME, static_cast<long>(answer_time_.count()));
  }
  return *copied;
}

curl_socket_t CurlTransfer::on_open(void* self, curlsocktype /*purpose*/,
                                    curl_sockaddr* address) noexcept {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  if (transfer.proxy_.empty()) {  // which the user chose
    const AddressKind kind = address_kind(address->addr);
    if (!allows(transfer.request_.peers, kind)) {
      transfer.end_.refused_peer = text_of(address->addr);
      return CURL_SOCKET_BAD;
    }
    transfer.sockets_->note(transfer.host_, kind);
  }
  return transfer.sockets_->open(*address);
}

bool CurlTransfer::attach(CurlSockets& sockets) {
  sockets_ = &sockets;
  // A kept-alive connection is no way around the rule.
  if (!sockets.keep_to(request_.peers, host_) &&
      curl_easy_setopt(handle(), CURLOPT_FRESH_CONNECT, 1L) != CURLE_OK) {
    return false;
  }
  return curl_easy_setopt(handle(), CURLOPT_CLOSESOCKETFUNCTION, &CurlSockets::on_close) ==
             CURLE_OK &&
         curl_easy_setopt(handle(), CURLOPT_CLOSESOCKETDATA, static_cast<void*>(&sockets)) ==
             CURLE_OK;
}

int CurlTransfer::on_debug(CURL* /*handle*/, curl_infotype type, char* data, std::size_t size,
                           void* self) noexcept {
  // The rest of a head that did not go in one piece is data to libcurl.
  if (type == CURLINFO_HEADER_OUT || type == CURLINFO_DATA_OUT) {
    static_cast<CurlTransfer*>(self)->note_head({data, size});
  }
  return 0;
}

void CurlTransfer::note_head(std::string_view sent) {
  constexpr std::string_view end_of_head = "\r\n\r\n";
  head_end_ += sent.substr(sent.size() - std::min(sent.size(), end_of_head.size()));
  if (!head_end_.ends_with(end_of_head)) {
    return;
  }
  head_end_.clear();
  // libcurl begins again by itself when a kept-alive connection breaks before there is an answer.
  // How much of a large body has arrived then, is for its sender to find out.
  sent_twice_ = file_body_->sent() > 0;
  file_body_->restart();
  socket_ = sockets_->find(handle());
  head_sent_ = true;
}

curl_socket_t CurlTransfer::file_socket() const noexcept {
  return sends_file() && head_sent_ && !file_body_->is_over() ? socket_.number : CURL_SOCKET_BAD;
}

CURLcode CurlTransfer::send_file() {
  if (!sends_file() || !head_sent_ || file_body_->is_over()) {
    return CURLE_OK;
  }
  if (sent_twice_) {
    return CURLE_SEND_ERROR;
  }
  if (socket_.number == CURL_SOCKET_BAD) {
    return CURLE_SEND_ERROR;
  }
  if (!sockets_->is_open(socket_)) {
    head_sent_ = false;  // libcurl has closed it and connects again; the head comes first
    return CURLE_OK;
  }
  const CURLcode code = file_body_->send(socket_.number);
  exchange_.moved(file_body_->sent());
  if (code != CURLE_OK) {
    return code;
  }
  if (file_body_->is_over()) {
    const bool whole = file_body_->is_whole();
    const auto patience = whole ? answer_time_ : stall_timeout_;
    curl_easy_setopt(handle(), CURLOPT_FORBID_REUSE, whole && !request_.own_connection ? 0L : 1L);
    curl_easy_setopt(handle(), CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(min_speed_));
    curl_easy_setopt(handle(), CURLOPT_LOW_SPEED_TIME, static_cast<long>(patience.count()));
  } else if (file_body_->stalls(stall_timeout_, min_speed_)) {
    constexpr std::string_view words = "the peer takes the body too slowly: too slow";
    words.copy(error_text_.data(), error_text_.size() - 1);
    return CURLE_OPERATION_TIMEDOUT;
  }
  return CURLE_OK;
}

void CurlTransfer::complete(CURLcode code) {
  // An endless error page was cut on purpose: its status and beginning are what is wanted.
  if (code == CURLE_WRITE_ERROR && error_body_read_ > max_error_body_read) {
    code = CURLE_OK;
  }
  // libcurl would send again what broke on a kept-alive connection, and cannot. Much of a large
  // body may have arrived, and its sender can find out how much.
  if (code == CURLE_SEND_FAIL_REWIND) {
    code = CURLE_SEND_ERROR;
    error_text_[0] = '\0';
  }
  long request_bytes = 0;
  if (holds_body() && request_.body != nullptr &&
      curl_easy_getinfo(handle(), CURLINFO_REQUEST_SIZE, &request_bytes) == CURLE_OK &&
      request_bytes > 0) {
    exchange_.moved(held_body_.size());  // it went with the head, and may have arrived
  }
  long connects = 0;
  curl_easy_getinfo(handle(), CURLINFO_NUM_CONNECTS, &connects);
  curl_easy_getinfo(handle(), CURLINFO_OS_ERRNO, &end_.os_errno);
  char* address = nullptr;
  if (proxy_.empty() && curl_easy_getinfo(handle(), CURLINFO_PRIMARY_IP, &address) == CURLE_OK &&
      address != nullptr) {
    response_.peer = address;
  }
  end_.proxy = printable_url(proxy_);
  curl_easy_getinfo(handle(), CURLINFO_HTTP_CONNECTCODE, &end_.tunnel_status);
  // libcurl 7.88 says this when a kept-alive connection is reset under a request that it would
  // repeat by itself.
  const bool was_reset = end_.os_errno == ECONNRESET || end_.os_errno == EPIPE;
  if (code == CURLE_UNSUPPORTED_PROTOCOL && was_reset && !end_.got_answer) {
    code = CURLE_RECV_ERROR;
  }
  end_.code = code;
  end_.reused_connection = connects == 0;
  end_.curl_text = error_text_.data();
  exchange_.finish();
}

}  // namespace fnimage::registry
