#include "upstream/manifest_pulls.hpp"

#include <utility>

#include <fnimage/base/caught.hpp>

namespace fnimage::server {

namespace {

using manifest::Digest;
using manifest::Document;
using registry::Selector;

/// Neither a tag nor a digest has a blank.
std::string question_of(const Place& place, const Selector& selector) {
  return place.local + " " + registry::to_string(selector);
}

/// Whether the upstream has answered, so that what is here must not be given instead.
bool is_answer(const Error& error) {
  return error.code() == ErrorCode::not_found || error.code() == ErrorCode::unauthorized;
}

}  // namespace

std::optional<Freshness> ManifestPulls::standing(const Place& place, const Selector& selector) {
  return std::holds_alternative<Digest>(selector) ? Freshness::fresh
                                                  : known_.find(question_of(place, selector));
}

void ManifestPulls::pull(Remote& remote, const Place& place, const Selector& selector, Take take) {
  const std::string question = question_of(place, selector);
  if (!questions_.ask(question, std::move(take))) {
    return;
  }
  const bool is_taken = remote.ask([this, &remote, place, selector, question] {
    questions_.answer(question, caught([&] { return run(remote, place, selector); }));
  });
  if (!is_taken) {
    questions_.answer(question,
                      fail(ErrorCode::rate_limited, "too many questions wait for the upstream"));
  }
}

Result<Freshness> ManifestPulls::run(Remote& remote, const Place& place, const Selector& selector) {
  // Another one may just have brought it.
  if (const auto known = standing(place, selector)) {
    FNIMAGE_TRY(const auto found, here(place, selector));
    if (found) {
      return *known;
    }
  }
  if (const auto* tag = std::get_if<std::string>(&selector)) {
    return refresh(remote, place, *tag);
  }
  if (const auto failure = remote.is_down()) {
    return fail(*failure);
  }
  FNIMAGE_CHECK(get(remote, place, selector));
  return Freshness::fresh;
}

Result<Freshness> ManifestPulls::refresh(Remote& remote, const Place& place,
                                         const std::string& tag) {
  const std::string question = question_of(place, tag);
  const auto failure = remote.is_down();
  const Result<void> asked = failure ? Result<void>(fail(*failure)) : ask(remote, place, tag);
  if (asked) {
    known_.set(question, Freshness::fresh, options_.fresh);
    return Freshness::fresh;
  }
  known_.forget(question);
  if (asked.error().code() == ErrorCode::not_found) {
    FNIMAGE_CHECK(drop_tag(place, tag));
  }
  if (is_answer(asked.error())) {
    return fail(asked.error());
  }
  FNIMAGE_TRY(const auto found, here(place, tag));
  if (!found) {
    return fail(asked.error());
  }
  known_.set(question, Freshness::stale, options_.failure_memory);
  return Freshness::stale;
}

/// Brings a tag to where it stands there. A HEAD does where it has not moved.
Result<void> ManifestPulls::ask(Remote& remote, const Place& place, const std::string& tag) {
  FNIMAGE_TRY(const auto found, here(place, tag));
  if (!found) {
    return get(remote, place, tag);
  }
  auto asked = [&]() -> Result<void> {
    FNIMAGE_TRY(const auto from, remote.repository(place.remote));
    FNIMAGE_TRY(const auto there, from->resolve(tag));
    if (!there) {
      return fail(ErrorCode::not_found, place.remote + ":" + tag + " does not exist");
    }
    return there->digest == found->descriptor.digest ? Result<void>()
                                                     : move_tag(*from, place, tag, there->digest);
  }();
  asked ? remote.succeeded() : remote.failed(asked.error());
  return asked;
}

Result<void> ManifestPulls::move_tag(registry::ImageStore& from, const Place& place,
                                     const std::string& tag, const Digest& to) {
  FNIMAGE_TRY(const auto known, here(place, to));
  if (known) {
    FNIMAGE_TRY(const auto document,
                Document::from_bytes(*known->bytes, known->descriptor.media_type, to.str()));
    return keep(place, document, to, {tag});
  }
  FNIMAGE_TRY(const auto document, from.get_manifest(to));
  return keep(place, document, to, {tag});
}

Result<void> ManifestPulls::get(Remote& remote, const Place& place, const Selector& selector) {
  const auto document = [&]() -> Result<Document> {
    FNIMAGE_TRY(const auto from, remote.repository(place.remote));
    return from->get_manifest(selector);
  }();
  if (!document) {
    remote.failed(document.error());
    return fail(document.error());
  }
  remote.succeeded();
  const auto* tag = std::get_if<std::string>(&selector);
  const auto* digest = std::get_if<Digest>(&selector);
  return keep(place, *document, digest == nullptr ? std::nullopt : std::optional(*digest),
              tag == nullptr ? std::vector<std::string>() : std::vector<std::string>{*tag});
}

/// Its parts need not be here: they come when they are asked for. @param digest that was asked for
/// and verified.
Result<void> ManifestPulls::keep(const Place& place, const Document& document,
                                 const std::optional<Digest>& digest,
                                 std::vector<std::string> tags) {
  FNIMAGE_TRY(const auto repository, store_.create(place.local));
  FNIMAGE_CHECK(repository->put_manifest({.bytes = document.bytes(),
                                          .media_type = document.media_type(),
                                          .digest = digest.value_or(document.digest()),
                                          .tags = std::move(tags)},
                                         Condition{}));
  return {};
}

Result<std::optional<StoredManifest>> ManifestPulls::here(const Place& place,
                                                          const Selector& selector) {
  FNIMAGE_TRY(const auto repository, store_.find(place.local));
  if (repository == nullptr) {
    return std::nullopt;
  }
  return repository->manifest(selector);
}

/// The manifest stays: who has its digest may go on with it.
Result<void> ManifestPulls::drop_tag(const Place& place, const std::string& tag) {
  FNIMAGE_TRY(const auto repository, store_.find(place.local));
  if (repository != nullptr) {
    FNIMAGE_CHECK(repository->remove_tag(tag, Condition{}));
  }
  return {};
}

}  // namespace fnimage::server
