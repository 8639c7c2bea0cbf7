// See curl_transfer.hpp.
#include "curl_transfer.hpp"

#include <charconv>

#include <fnimage/base/text.hpp>

#include "url.hpp"

namespace fnimage::registry {

namespace {

#ifndef FNIMAGE_VERSION
#define FNIMAGE_VERSION "0"
#endif

bool is_success(int status) {
  return status >= 200 && status < 300;
}

/// Loopback peers are never behind a proxy; other tools of the field leave them out too.
bool is_loopback(std::string_view host_and_port) {
  return host_and_port.starts_with("localhost:") || host_and_port.starts_with("127.") ||
         host_and_port.starts_with("[::1]:");
}

bool is_safe_header(const Header& header) {
  constexpr std::string_view line_ends("\r\n\0", 3);
  return !header.name.empty() && header.name.find_first_of(line_ends) == std::string::npos &&
         header.value.find_first_of(line_ends) == std::string::npos;
}

}  // namespace

Transfer::Transfer(const HttpRequest& request)
    : request_(request), host_(host_and_port(request.url)) {}

Transfer::~Transfer() = default;

Result<void> Transfer::prepare(const TransportOptions& options, bool fresh) {
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
  easy_.reset(curl_easy_init());
  const bool ready = easy_ && set_common(options) && set_tls() && set_method() && set_headers() &&
                     curl_easy_setopt(handle(), CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L) == CURLE_OK;
  if (!ready) {
    return fail(ErrorCode::internal, "libcurl refused an option of the request to " +
                                         printable(printable_url(request_.url)));
  }
  return {};
}

bool Transfer::set_common(const TransportOptions& options) {
  CURL* curl = handle();
  const std::string agent =
      options.user_agent.empty() ? "fnimage/" FNIMAGE_VERSION : options.user_agent;
  const auto connect_seconds = static_cast<long>(options.connect_timeout.count());
  const auto stall_seconds = static_cast<long>(options.stall_timeout.count());
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
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, stall_seconds);
  set(CURLOPT_BUFFERSIZE, 256L * 1024L);
  set(CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024L);
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_write);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  if (is_loopback(host_)) {
    set(CURLOPT_NOPROXY, "*");
  }
  return ok;
}

bool Transfer::set_tls() {
  CURL* curl = handle();
  const TlsOptions& tls = request_.tls;
  bool ok = curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L) == CURLE_OK &&
            curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L) == CURLE_OK;
  if (!tls.ca_file.empty()) {
    // The directory of hashed certificates stays in force, so the file adds to the system's
    // authorities.
    ok = ok && curl_easy_setopt(curl, CURLOPT_CAINFO, tls.ca_file.c_str()) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_CAPATH, "/etc/ssl/certs") == CURLE_OK;
  }
  if (!tls.cert_file.empty()) {
    ok = ok && curl_easy_setopt(curl, CURLOPT_SSLCERT, tls.cert_file.c_str()) == CURLE_OK;
  }
  if (!tls.key_file.empty()) {
    ok = ok && curl_easy_setopt(curl, CURLOPT_SSLKEY, tls.key_file.c_str()) == CURLE_OK;
  }
  return ok;
}

bool Transfer::set_method() {
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
  const std::uint64_t size =
      request_.body == nullptr ? 0 : request_.body->size() - request_.body_offset;
  return curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request_.method.c_str()) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size)) ==
             CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_READFUNCTION, &Transfer::on_read) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_READDATA, static_cast<void*>(this)) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, &Transfer::on_seek) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_SEEKDATA, static_cast<void*>(this)) == CURLE_OK;
}

bool Transfer::set_headers() {
  // Without this libcurl waits for "100 Continue" before large bodies; credentials are known up
  // front here.
  std::vector<std::string> lines{"Expect:"};
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

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count,
                                void* self) noexcept {
  return static_cast<Transfer*>(self)->take_header({data, size * count}) ? size * count : 0;
}

bool Transfer::take_header(std::string_view line) {
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

std::size_t Transfer::on_write(char* data, std::size_t size, std::size_t count,
                               void* self) noexcept {
  return static_cast<Transfer*>(self)->take_body({data, size * count});
}

std::size_t Transfer::take_body(std::string_view bytes) {
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

bool Transfer::keep_body(std::string_view bytes) {
  if (is_success(response_.status)) {
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

std::size_t Transfer::on_read(char* data, std::size_t size, std::size_t count,
                              void* self) noexcept {
  const auto copied = static_cast<Transfer*>(self)->exchange_.collect(data, size * count);
  return copied.value_or(CURL_READFUNC_PAUSE);
}

int Transfer::on_seek(void* self, curl_off_t offset, int origin) noexcept {
  if (origin != SEEK_SET || offset < 0) {
    return CURL_SEEKFUNC_FAIL;
  }
  static_cast<Transfer*>(self)->exchange_.restart(static_cast<std::uint64_t>(offset));
  return CURL_SEEKFUNC_OK;
}

void Transfer::complete(CURLcode code) {
  // An endless error page was cut on purpose: its status and beginning are what is wanted.
  if (code == CURLE_WRITE_ERROR && error_body_read_ > max_error_body_read) {
    code = CURLE_OK;
  }
  long connects = 0;
  curl_easy_getinfo(handle(), CURLINFO_NUM_CONNECTS, &connects);
  curl_easy_getinfo(handle(), CURLINFO_OS_ERRNO, &end_.os_errno);
  end_.code = code;
  end_.reused_connection = connects == 0;
  end_.curl_text = error_text_.data();
  exchange_.finish();
}

}  // namespace fnimage::registry
