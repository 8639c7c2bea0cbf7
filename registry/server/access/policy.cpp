#include "access/policy.hpp"

namespace fnimage::server {

namespace {

constexpr std::string_view user_prefix = "user:";
constexpr std::string_view token_prefix = "token:";

}  // namespace

std::string Subject::str() const {
  switch (kind) {
    case Kind::user:
      return std::string(user_prefix) + name;
    case Kind::token:
      return std::string(token_prefix) + name;
    default:
      return std::string(anonymous_name);
  }
}

std::optional<Subject> Subject::parse(std::string_view text) {
  if (text == anonymous_name) {
    return Subject{};
  }
  if (text.starts_with(user_prefix)) {
    return Subject{Kind::user, std::string(text.substr(user_prefix.size()))};
  }
  if (text.starts_with(token_prefix)) {
    return Subject{Kind::token, std::string(text.substr(token_prefix.size()))};
  }
  return std::nullopt;
}

std::optional<std::string> Policy::credential_of(const Subject& subject, std::int64_t now) const {
  if (subject.kind == Subject::Kind::anonymous) {
    return has_anonymous() ? std::optional<std::string>("") : std::nullopt;
  }
  if (subject.kind == Subject::Kind::user) {
    const std::string* entry = users == nullptr ? nullptr : users->find(subject.name);
    return entry == nullptr ? std::nullopt : std::optional(*entry);
  }
  const MachineToken* token = tokens == nullptr ? nullptr : tokens->find(subject.name);
  return token != nullptr && token->is_valid(now) ? std::optional(token->hash) : std::nullopt;
}

Rights Policy::rights_of(const Subject& subject, std::string_view repository,
                         std::int64_t now) const {
  Rights rights = anonymous_pull ? Rights{Right::pull} : Rights{};
  if (rules != nullptr) {
    rights |= rules->rights_of(anonymous_name, repository);
  }
  if (subject.kind == Subject::Kind::user) {
    rights |= rules == nullptr ? Rights::all() : rules->rights_of(subject.name, repository);
    rights |= rules == nullptr ? Rights::all() : rules->rights_of("*", repository);
  }
  const MachineToken* token = subject.kind == Subject::Kind::token && tokens != nullptr
                                  ? tokens->find(subject.name)
                                  : nullptr;
  if (token != nullptr) {
    rights |= token->rights_in(repository, now);
  }
  return rights;
}

bool Policy::may_anywhere(const Subject& subject, Right right, std::int64_t now) const {
  const auto a_rule_grants = [&](std::string_view user) {
    return rules != nullptr && rules->grants(user, right);
  };
  if ((anonymous_pull && right == Right::pull) || a_rule_grants(anonymous_name)) {
    return true;
  }
  if (subject.kind == Subject::Kind::user) {
    return rules == nullptr || a_rule_grants(subject.name) || a_rule_grants("*");
  }
  const MachineToken* token = subject.kind == Subject::Kind::token && tokens != nullptr
                                  ? tokens->find(subject.name)
                                  : nullptr;
  return token != nullptr && token->rights_anywhere(now).has(right);
}

bool Policy::has_anonymous() const {
  return anonymous_pull || (rules != nullptr && rules->knows(anonymous_name));
}

bool Policy::anonymous_pulls_all() const {
  return anonymous_pull || (rules != nullptr && rules->covers_all(anonymous_name, Right::pull));
}

}  // namespace fnimage::server
