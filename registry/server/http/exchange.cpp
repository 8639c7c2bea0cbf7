#include "http/exchange.hpp"

#include <algorithm>
#include <cctype>

#include "http/replies.hpp"

namespace fnimage::server {

namespace {

bool is_same_name(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
  const auto found = std::ranges::find_if(
      headers, [&](const HeaderField& field) { return is_same_name(field.name, name); });
  return found == headers.end() ? std::string_view() : std::string_view(found->value);
}

std::string Request::joined(std::string_view name) const {
  std::string text;
  for (const HeaderField& field : headers) {
    if (is_same_name(field.name, name)) {
      text += text.empty() ? field.value : ", " + field.value;
    }
  }
  return text;
}

void Responder::State::answer(Response response) {
  std::call_once(once_, [&] { send_(std::move(response)); });
}

Responder::State::~State() {
  answer(fault_reply());
}

void Responder::operator()(Response response) const {
  state_->answer(std::move(response));
}

}  // namespace fnimage::server
