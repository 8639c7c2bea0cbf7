#include "upstream/listings.hpp"

#include <algorithm>
#include <utility>

#include <fnimage/base/caught.hpp>

namespace fnimage::server {

namespace {

using manifest::Descriptor;
using manifest::Digest;

/// Asks for a list that nobody else is asking for.
/// @param get Result<std::vector<Entry>>(registry::ImageStore&)
template <class Entry, class Get>
Result<Listings::List<Entry>> list_of(Remote& remote, const Place& place, Get get) {
  if (const auto failure = remote.is_down()) {
    return fail(*failure);
  }
  auto list = [&]() -> Result<std::vector<Entry>> {
    FNIMAGE_TRY(const auto from, remote.repository(place.remote));
    return get(*from);
  }();
  if (!list) {
    remote.failed(list.error());
    return fail(list.error());
  }
  remote.succeeded();
  return std::make_shared<const std::vector<Entry>>(std::move(*list));
}

Error too_many() {
  return {ErrorCode::rate_limited, "too many questions wait for the upstream"};
}

}  // namespace

void Listings::tags(Remote& remote, const Place& place, Take<std::string> take) {
  if (const auto known = known_tags_.find(place.local)) {
    return take(*known);
  }
  if (!asked_tags_.ask(place.local, std::move(take))) {
    return;
  }
  const bool is_taken = remote.ask([this, &remote, place] {
    const auto list = caught([&] {
      return list_of<std::string>(remote, place,
                                  [](registry::ImageStore& from) { return from.tags(); });
    });
    if (list) {
      known_tags_.set(place.local, *list, options_.fresh, (*list)->size() + 1);
    }
    asked_tags_.answer(place.local, list);
  });
  if (!is_taken) {
    asked_tags_.answer(place.local, fail(too_many()));
  }
}

void Listings::referrers(Remote& remote, const Place& place, const Digest& digest,
                         Take<Descriptor> take) {
  const std::string question = place.local + "@" + digest.str();
  if (!asked_referrers_.ask(question, std::move(take))) {
    return;
  }
  const auto get = [digest](registry::ImageStore& from) -> Result<std::vector<Descriptor>> {
    FNIMAGE_TRY(auto list, from.referrers(digest));
    std::ranges::sort(list, {}, [](const Descriptor& entry) { return entry.digest.str(); });
    return list;
  };
  const bool is_taken = remote.ask([this, &remote, place, get, question] {
    asked_referrers_.answer(question,
                            caught([&] { return list_of<Descriptor>(remote, place, get); }));
  });
  if (!is_taken) {
    asked_referrers_.answer(question, fail(too_many()));
  }
}

}  // namespace fnimage::server
