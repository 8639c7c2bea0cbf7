#include "access/password_check.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace fnimage::server {

namespace {

constexpr std::size_t process_key_bytes = 32;

}  // namespace

PasswordCheck::PasswordCheck(const PasswordLimits& limits)
    : limits_(limits), secret_(random_bytes(process_key_bytes)) {}

Mac PasswordCheck::key_of(std::string_view user, const std::string& entry,
                          std::string_view password) const {
  // A user's name that is known has no line end, nor has an entry.
  std::string text(user);
  text.append("\n").append(entry).append("\n").append(password);
  return hmac_sha256(secret_, text);
}

PasswordCheck::Verdict PasswordCheck::check(const Htpasswd& users, std::string_view user,
                                            const std::string& password, const std::string& peer) {
  const std::string* known = users.find(user);
  std::uint64_t choice = 0;
  const Mac of_name = key_of(user, "", "");
  std::memcpy(&choice, of_name.data(), sizeof(choice));
  const std::string entry = known != nullptr ? *known : users.decoy(choice);
  const Mac key = key_of(user, entry, password);

  std::unique_lock lock(mutex_);
  if (known != nullptr && is_remembered(key)) {
    return Verdict::right;
  }
  std::size_t& of_peer = peers_[peer];
  if (inside_ >= limits_.inside || of_peer >= limits_.inside_of_peer) {
    if (of_peer == 0) {
      peers_.erase(peer);
    }
    return Verdict::busy;
  }
  ++inside_;
  ++of_peer;
  const bool is_right = verify(key, entry, password, lock) && known != nullptr;
  if (is_right) {
    remember(key);
  }
  --inside_;
  if (--peers_[peer] == 0) {
    peers_.erase(peer);
  }
  return is_right ? Verdict::right : Verdict::wrong;
}

bool PasswordCheck::verify(const Mac& key, const std::string& entry, const std::string& password,
                           std::unique_lock<std::mutex>& lock) {
  if (const auto found = flights_.find(key); found != flights_.end()) {
    const std::shared_ptr<Flight> flight = found->second;
    ended_.wait(lock, [&] { return flight->is_right.has_value(); });
    return *flight->is_right;
  }
  const auto flight = std::make_shared<Flight>();
  flights_.emplace(key, flight);
  ended_.wait(lock, [&] { return running_ < limits_.running; });
  ++running_;
  lock.unlock();
  const bool is_right = verify_bcrypt(entry, password);
  lock.lock();
  --running_;
  flight->is_right = is_right;
  flights_.erase(key);
  ended_.notify_all();
  return is_right;
}

bool PasswordCheck::is_remembered(const Mac& key) {
  const auto found = remembered_.find(key);
  const auto now = Clock::now();
  if (found == remembered_.end() || found->second <= now) {
    return false;
  }
  found->second = now + limits_.remembered_for;
  return true;
}

void PasswordCheck::remember(const Mac& key) {
  const auto now = Clock::now();
  std::erase_if(remembered_, [&](const auto& one) { return one.second <= now; });
  if (remembered_.size() >= limits_.remembered) {
    remembered_.erase(
        std::ranges::min_element(remembered_, {}, [](const auto& one) { return one.second; }));
  }
  remembered_[key] = now + limits_.remembered_for;
}

}  // namespace fnimage::server
