#include "page/checks.hpp"

#include <algorithm>
#include <utility>

#include "store/names.hpp"

namespace fnimage::server {

namespace {

constexpr std::size_t most_waiting = 16;
constexpr std::size_t findings_kept = 100;  ///< of each part
constexpr std::size_t parts_kept = 100;
constexpr std::size_t text_kept = 1000;

std::string key_of_check(const std::string& repository, const manifest::Digest& digest) {
  return repository + "@" + digest.str();
}

/// Says nothing of paths on this machine, which errors of the operating system name.
std::string message_for_page(const Error& error) {
  switch (error.code()) {
    case ErrorCode::io:
    case ErrorCode::internal:
    case ErrorCode::permission_denied:
    case ErrorCode::invalid_argument:
      return "the server could not do it";
    case ErrorCode::no_space:
      return "the server has no space left to unpack the image";
    default:
      return error.message();
  }
}

void cut_text(std::string& text) {
  text.resize(std::min(text.size(), text_kept));
}

/// What is kept in memory has a bounded size.
void cut_summary(CheckSummary& summary) {
  summary.parts.resize(std::min(summary.parts.size(), parts_kept));
  for (CheckedPart& part : summary.parts) {
    cut_text(part.name);
    part.findings.resize(std::min(part.findings.size(), findings_kept));
    for (CheckFinding& finding : part.findings) {
      for (std::string* text : {&finding.rule, &finding.subject, &finding.message, &finding.fix}) {
        cut_text(*text);
      }
    }
  }
}

}  // namespace

Checks::Checks(Check check, std::filesystem::path store)
    : check_(std::move(check)), store_(std::move(store)) {
  if (check_) {
    worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
  }
}

Checks::Begun Checks::begin(const std::string& repository, const manifest::Digest& digest) {
  const std::string key = key_of_check(repository, digest);
  const std::lock_guard lock(mutex_);
  if (open_.contains(key)) {
    return Begun::yes;
  }
  if (!check_ || waiting_.size() >= most_waiting) {
    return Begun::busy;
  }
  waiting_.push_back({key, store_ / path_of_repository(repository), digest});
  open_.insert(key);
  wakes_.notify_one();
  return Begun::yes;
}

bool Checks::is_going_on(const std::string& repository, const manifest::Digest& digest) {
  const std::lock_guard lock(mutex_);
  return open_.contains(key_of_check(repository, digest));
}

std::shared_ptr<const CheckOutcome> Checks::outcome(const std::string& repository,
                                                    const manifest::Digest& digest) {
  return outcomes_.find(key_of_check(repository, digest));
}

void Checks::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (wakes_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
    if (stop.stop_requested()) {
      return;
    }
    const Task task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    outcomes_.put(task.key, run(task, stop));
    lock.lock();
    open_.erase(task.key);
  }
}

std::shared_ptr<const CheckOutcome> Checks::run(const Task& task,
                                                const std::stop_token& stop) const {
  auto outcome = std::make_shared<CheckOutcome>();
  auto summary = check_({.layout = task.layout, .digest = task.digest, .stop = stop});
  if (summary) {
    cut_summary(*summary);
    outcome->summary = std::move(*summary);
  } else {
    outcome->error = message_for_page(summary.error());
    outcome->hint = summary.error().hint();
    cut_text(outcome->error);
    cut_text(outcome->hint);
  }
  return outcome;
}

}  // namespace fnimage::server
