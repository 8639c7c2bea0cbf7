#include "upstream/blob_fetches.hpp"

#include <chrono>
#include <utility>

#include <fnimage/base/caught.hpp>

namespace fnimage::server {

namespace {

using manifest::Digest;

/// What is so small is waited for: an answer that says what went wrong is better than one that is
/// cut.
constexpr std::uint64_t small_blob = std::uint64_t{64} << 10U;

}  // namespace

/// All members are guarded by the mutex of the BlobFetches.
class BlobFetches::Fetch {
 public:
  explicit Fetch(std::string key) : key_(std::move(key)) {}

  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  [[nodiscard]] bool is_coming() const noexcept { return file_ != nullptr; }
  void wait(Take take) { waiting_.push_back(std::move(take)); }
  std::vector<Take> take_waiting() { return std::exchange(waiting_, {}); }

  void begin(std::shared_ptr<GrowingFile> file, std::uint64_t size) {
    file_ = std::move(file);
    size_ = size;
  }
  /// For one more reader.
  ComingBlob join() {
    auto readers = readers_.lock();
    if (readers == nullptr) {
      readers = std::make_shared<std::shared_ptr<GrowingFile>>(file_);
      readers_ = readers;
    }
    return {.file = {readers, file_.get()}, .size = size_};
  }
  /// Whether anybody wants it, or did so less than this time ago.
  bool is_wanted(std::chrono::milliseconds patience) {
    const auto now = std::chrono::steady_clock::now();
    if (!waiting_.empty() || !readers_.expired()) {
      wanted_at_ = now;
      return true;
    }
    return now - wanted_at_ < patience;
  }

 private:
  const std::string key_;
  std::vector<Take> waiting_{};
  std::shared_ptr<GrowingFile> file_{};  ///< null = there is nothing to be sent yet
  std::uint64_t size_ = 0;
  std::weak_ptr<std::shared_ptr<GrowingFile>> readers_{};  ///< what they share
  std::chrono::steady_clock::time_point wanted_at_ = std::chrono::steady_clock::now();
};

/// Puts the bytes into the upload, and shows them to the readers.
class BlobFetches::Receiver final : public registry::BlobSink {
 public:
  Receiver(BlobFetches& fetches, const std::shared_ptr<Fetch>& fetch, Upload::Writing& writing)
      : fetches_(fetches), fetch_(fetch), writing_(writing) {}
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  ~Receiver() override { end(false); }

  Result<void> begin(std::optional<std::uint64_t> size) override {
    has_begun_ = true;
    if (!size || *size <= small_blob) {
      return {};
    }
    FNIMAGE_TRY(auto file, writing_.reader());
    file_ = std::make_shared<GrowingFile>(std::move(file));
    fetches_.announce(fetch_, file_, *size);
    return {};
  }
  Result<void> write(Bytes bytes) override {
    FNIMAGE_CHECK(writing_.write(bytes));
    received_ += bytes.size();
    if (file_ != nullptr) {
      file_->grew_to(received_);
    }
    if (fetches_.is_abandoned(fetch_)) {
      return fail(ErrorCode::cancelled, "nobody wants the blob any more");
    }
    return {};
  }
  /// Whether the upstream has answered that it is there.
  [[nodiscard]] bool has_begun() const noexcept { return has_begun_; }
  void end(bool is_whole) {
    if (!is_whole) {
      fetches_.withdraw(fetch_);  // first: whoever asks from now on is not to share the failure
    }
    if (file_ != nullptr) {
      file_->end(is_whole);
      file_.reset();
    }
  }

 private:
  BlobFetches& fetches_;
  const std::shared_ptr<Fetch>& fetch_;
  Upload::Writing& writing_;
  std::shared_ptr<GrowingFile> file_{};
  std::uint64_t received_ = 0;
  bool has_begun_ = false;
};

void BlobFetches::fetch(Remote& remote, const Place& place, const Digest& digest,
                        const Take& take) {
  const std::string key = place.local + "@" + digest.str();
  std::shared_ptr<Fetch> fetch;
  std::optional<ComingBlob> coming;
  bool is_new = false;
  {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Fetch>& known = under_way_[key];
    is_new = known == nullptr;
    if (is_new) {
      known = std::make_shared<Fetch>(key);
    }
    fetch = known;
    if (fetch->is_coming()) {
      coming = fetch->join();
    } else {
      fetch->wait(take);
    }
  }
  if (coming) {
    return take(coming);
  }
  if (is_new && !remote.fetch([this, &remote, place, digest, fetch] {
        end(fetch, caught([&] { return run(remote, place, digest, fetch); }));
      })) {
    end(fetch, fail(ErrorCode::rate_limited, "too many blobs wait for the upstream"));
  }
}

BlobFetches::Outcome BlobFetches::run(Remote& remote, const Place& place, const Digest& digest,
                                      const std::shared_ptr<Fetch>& fetch) {
  // Another one may have brought it just before this one was asked for.
  FNIMAGE_TRY(const auto repository, store_.find(place.local));
  if (repository != nullptr && repository->blob_size(digest)) {
    return std::nullopt;
  }
  if (const auto failure = remote.is_down()) {
    return fail(*failure);
  }
  FNIMAGE_TRY(const auto upload, store_.begin_upload(place.local, owner, digest.algorithm()));
  const auto received = receive(remote, place, digest, fetch, *upload);
  if (!received) {
    (void)store_.remove_upload(upload->id(), place.local, owner);
    return fail(received.error());
  }
  return std::nullopt;
}

Result<void> BlobFetches::receive(Remote& remote, const Place& place, const Digest& digest,
                                  const std::shared_ptr<Fetch>& fetch, Upload& upload) {
  FNIMAGE_TRY(const auto from, remote.repository(place.remote));
  registry::BlobSource* source = registry::blob_source_of(*from);
  if (source == nullptr) {
    return fail(ErrorCode::internal, "the upstream is no registry");
  }
  FNIMAGE_TRY(const auto writing, upload.begin());
  Receiver receiver(*this, fetch, *writing);
  auto sent = source->send_blob(digest, receiver);
  if (!sent && !receiver.has_begun()) {
    remote.failed(sent.error());
    return sent;
  }
  remote.succeeded();
  auto finished = sent ? writing->finish(digest) : std::move(sent);
  if (!finished) {
    remote.complain(finished.error());
    return finished;
  }
  receiver.end(true);
  return {};
}

void BlobFetches::announce(const std::shared_ptr<Fetch>& fetch,
                           const std::shared_ptr<GrowingFile>& file, std::uint64_t size) {
  std::vector<std::pair<Take, ComingBlob>> waiting;
  {
    const std::lock_guard lock(mutex_);
    fetch->begin(file, size);
    for (Take& take : fetch->take_waiting()) {
      waiting.emplace_back(std::move(take), fetch->join());
    }
  }
  for (const auto& [take, coming] : waiting) {
    take(std::optional(coming));
  }
}

bool BlobFetches::is_abandoned(const std::shared_ptr<Fetch>& fetch) {
  const std::lock_guard lock(mutex_);
  if (fetch->is_wanted(options_.abandoned)) {
    return false;
  }
  forget(fetch);  // whoever comes now begins anew
  return true;
}

void BlobFetches::withdraw(const std::shared_ptr<Fetch>& fetch) {
  const std::lock_guard lock(mutex_);
  forget(fetch);
}

void BlobFetches::end(const std::shared_ptr<Fetch>& fetch, const Outcome& outcome) {
  std::vector<Take> waiting;
  {
    const std::lock_guard lock(mutex_);
    forget(fetch);
    waiting = fetch->take_waiting();
  }
  for (const Take& take : waiting) {
    take(outcome);
  }
}

void BlobFetches::forget(const std::shared_ptr<Fetch>& fetch) {
  const auto found = under_way_.find(fetch->key());
  if (found != under_way_.end() && found->second == fetch) {
    under_way_.erase(found);
  }
}

}  // namespace fnimage::server
