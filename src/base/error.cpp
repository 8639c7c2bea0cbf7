// Error values: names and exit codes of the classes, and the mapping of errno.
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fnimage/base/error.hpp>

namespace fnimage {

namespace {

struct CodeInfo {
  ErrorCode code;
  std::string_view name;
  int exit_code;
};

// The exit codes are part of the command line's contract: never renumber, only append.
constexpr std::array code_table{
    CodeInfo{ErrorCode::invalid_argument, "invalid_argument", 2},
    CodeInfo{ErrorCode::invalid_input, "invalid_input", 3},
    CodeInfo{ErrorCode::not_found, "not_found", 4},
    CodeInfo{ErrorCode::already_exists, "already_exists", 5},
    CodeInfo{ErrorCode::permission_denied, "permission_denied", 6},
    CodeInfo{ErrorCode::unauthorized, "unauthorized", 7},
    CodeInfo{ErrorCode::unavailable, "unavailable", 8},
    CodeInfo{ErrorCode::tls, "tls", 9},
    CodeInfo{ErrorCode::protocol, "protocol", 10},
    CodeInfo{ErrorCode::rate_limited, "rate_limited", 11},
    CodeInfo{ErrorCode::verification, "verification", 12},
    CodeInfo{ErrorCode::platform_mismatch, "platform_mismatch", 13},
    CodeInfo{ErrorCode::no_space, "no_space", 14},
    CodeInfo{ErrorCode::unsupported, "unsupported", 15},
    CodeInfo{ErrorCode::io, "io", 16},
    CodeInfo{ErrorCode::cancelled, "cancelled", 130},
    CodeInfo{ErrorCode::internal, "internal", 1},
};

constexpr const CodeInfo& info_of(ErrorCode code) noexcept {
  for (const CodeInfo& info : code_table) {
    if (info.code == code) {
      return info;
    }
  }
  return code_table.back();
}

ErrorCode code_from_errno(int value) noexcept {
  switch (value) {
    case ENOENT:
    case ENOTDIR:
    case ENXIO:
      return ErrorCode::not_found;
    case EEXIST:
    case ENOTEMPTY:
      return ErrorCode::already_exists;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::permission_denied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  // a limit on the size of files is a quota, too
      return ErrorCode::no_space;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case EISDIR:
      return ErrorCode::invalid_argument;
    case ENOSYS:
    case EOPNOTSUPP:
    case EXDEV:
      return ErrorCode::unsupported;
    case ECANCELED:
      return ErrorCode::cancelled;
    default:
      return ErrorCode::io;
  }
}

std::string_view hint_from_errno(int value) noexcept {
  switch (value) {
    case ENOENT:
      return "check the path";
    case ENOTDIR:
      return "a part of the path is a file, not a directory";
    case EACCES:
    case EPERM:
      return "check owner and permissions of the path";
    case EROFS:
      return "the file system is mounted read-only; choose another place";
    case ENOSPC:
      return "free some space and run the command again";
    case EDQUOT:
      return "the quota is used up; free some space and run the command again";
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files (ulimit -n)";
    case EFBIG:
      return "the file would be larger than the file system or ulimit -f allows";
    case ELOOP:
      return "symbolic links go round in a circle";
    case EISDIR:
      return "this is a directory; a file is needed";
    default:
      return {};
  }
}

}  // namespace

std::string_view to_string(ErrorCode code) noexcept {
  return info_of(code).name;
}

int exit_code(ErrorCode code) noexcept {
  return info_of(code).exit_code;
}

Error::Error(ErrorCode code, std::string message) : message_(std::move(message)), code_(code) {}

Error&& Error::with_hint(std::string hint) && {
  if (hint_.empty()) {
    hint_ = std::move(hint);
  }
  return std::move(*this);
}

Error&& Error::while_doing(std::string what) && {
  context_.push_back(std::move(what));
  return std::move(*this);
}

Error&& Error::retryable(bool value) && {
  retryable_ = value;
  return std::move(*this);
}

Error&& Error::with_http_status(int status) && {
  http_status_ = status;
  return std::move(*this);
}

std::string Error::describe() const {
  std::string text;
  for (auto step = context_.rbegin(); step != context_.rend(); ++step) {
    text += *step;
    text += ": ";
  }
  text += message_;
  return text;
}

Error error_from_errno(int errno_value, std::string_view what) {
  std::string message = "cannot ";
  message += what;
  message += ": ";
  message += std::generic_category().message(errno_value);
  Error error(code_from_errno(errno_value), std::move(message));
  return std::move(error).with_hint(std::string(hint_from_errno(errno_value)));
}

}  // namespace fnimage
