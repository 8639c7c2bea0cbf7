// What decides who may do what with the embedded registry: the files that say it, what a client
// sends to log in, and the path and scopes that it asks for.
#include <string>
#include <variant>

#include <fnimage/base/atomic_file.hpp>

#include "access/caller.hpp"
#include "access/gate.hpp"
#include "access/lines.hpp"
#include "api/target.hpp"
#include "fuzz.hpp"
#include "ops/endpoint_kind.hpp"

namespace fnimage::fuzz {
namespace {

using namespace server;

constexpr std::int64_t some_time = 1'800'000'000;  // seconds since 1970

void check_files(std::string_view text) {
  if (const auto users = Htpasswd::parse(text, "users"); succeeded(users)) {
    for (const Line& line : lines_of(text)) {
      const auto* entry = users->find(line.text.substr(0, line.text.find(':')));
      require(entry != nullptr && entry->starts_with("$2"), "a user has an entry of bcrypt");
    }
    require(users->find("") == nullptr, "a user has a name");
  }
  if (const auto tokens = MachineTokens::parse(text, "tokens"); succeeded(tokens)) {
    for (const Line& line : lines_of(text)) {
      const auto* token = tokens->find(words_of(line.text).front());
      require(token != nullptr && !token->grants.empty(), "a line grants something");
      require(token->is_valid(some_time) || token->rights_anywhere(some_time).empty(),
              "what is not good any more gives no rights");
    }
  }
  if (const auto rules = AccessRules::parse(text, "rules"); succeeded(rules)) {
    for (const Line& line : lines_of(text)) {
      const auto user = words_of(line.text).front();
      require(rules->knows(user), "a line is about its user");
      require(!rules->covers_all(user, Right::push) || rules->grants(user, Right::push),
              "who may do it everywhere may do it anywhere");
    }
  }
}

void check_small(std::string_view text) {
  const Scopes scopes = Scopes::parse(text);
  require(Scopes::parse(scopes.str()) == scopes, "scopes that are written can be read");
  if (const auto subject = Subject::parse(text)) {
    require(Subject::parse(subject->str()) == subject, "and subjects");
  }
  succeeded(parse_time(text));
  const auto target = parse_target(text);
  const EndpointKind kind = endpoint_kind(text);
  require(text.find('%') != std::string_view::npos || kind >= EndpointKind::token ||
              (target && static_cast<int>(target->endpoint) == static_cast<int>(kind)),
          "paths are counted as what they are answered as");
  const Query query(text);
  require(query.all("n").empty() != query.get("n").has_value(), "the first is one of all");
}

/// The door of a registry with one token, which nobody knows who makes inputs.
class Door {
 public:
  Door() : gate_(open()) {}

  /// @param text the value of a field that a client sends.
  void knock(std::string_view text) {
    Request request{.method = "GET", .path = "/v2/team/a/tags/list"};
    request.headers.push_back({"Authorization", std::string(text)});
    for (const auto& entry :
         {gate_->enter_page(request), gate_->enter(request, *parse_target(request.path))}) {
      const auto* caller = std::get_if<std::shared_ptr<const Caller>>(&entry);
      require(caller == nullptr || (*caller)->is_anonymous(), "nobody gets in without a secret");
    }
  }

 private:
  std::unique_ptr<Gate> open() {
    const auto file = scratch_->path() / "tokens";
    const NewToken token{.name = "ci", .rights = "pull,push", .patterns = {"team/*"}};
    require(add_token(file, token).has_value(), "a token can be made");
    auto gate = Gate::open({.tokens = file, .anonymous_pull = true});
    require(gate.has_value(), "and a door");
    return std::move(*gate);
  }

  Result<TemporaryDirectory> scratch_ = TemporaryDirectory::create("fnimage-fuzz");
  std::unique_ptr<Gate> gate_;
};

}  // namespace
}  // namespace fnimage::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage::fuzz;
  static Door door;
  const std::string_view text = text_of(data, size);
  check_files(text);
  check_small(text);
  door.knock(text);
  return 0;
}
