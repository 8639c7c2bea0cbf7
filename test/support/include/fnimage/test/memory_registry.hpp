// A registry in memory that keeps what arrived of broken uploads, with the oddities of real ones to
// choose from. Counts what it gets. Thread-safety: all methods may be called from any thread;
// Habits are set before the first request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fnimage/test/scripted_server.hpp>

namespace fnimage::test {

struct RegistryHabits {
  bool single_post = false;  ///< takes a blob with the POST
  bool many_tags = false;    ///< PUT manifests/<digest>?tag=…, answered with OCI-Tag
  bool forgets = false;      ///< a broken upload is 404 from then on
  int patch_status = 202;
  std::uint64_t min_chunk = 0;
  std::uint64_t max_body = UINT64_MAX;  ///< larger requests are 413
  /// The Range header for so many stored bytes; empty = none.
  std::function<std::string(std::size_t stored)> range = [](std::size_t stored) {
    return "0-" + std::to_string(stored == 0 ? 0 : stored - 1);
  };
  /// Answers instead of the registry when it returns something.
  std::function<std::optional<Reply>(const SeenRequest&)> instead{};
  /// Changes what the registry answers after it has done what was asked.
  std::function<void(const SeenRequest&, Reply&)> spoil{};
};

class MemoryRegistry {
 public:
  using Habits = RegistryHabits;

  explicit MemoryRegistry(Habits habits = {});

  [[nodiscard]] ScriptedServer& server() { return server_; }
  [[nodiscard]] std::string address() const { return server_.address(); }
  /// The next requests with a body of at least 64 KiB are cut after so many bytes of it, one each.
  void cut_next(std::vector<std::size_t> after);
  /// Called when a cut request has been read so far, before its connection is reset.
  void on_cut(std::function<void()> callback);

  /// Bytes of blobs that came, whatever became of them.
  [[nodiscard]] std::uint64_t received() const;
  [[nodiscard]] std::optional<std::string> blob(const std::string& digest) const;
  /// Takes a blob or manifest away from all repositories, as a garbage collection may.
  void lose(const std::string& digest);
  /// The digest that a tag of a repository stands for; empty = no such tag.
  [[nodiscard]] std::string tag(const std::string& repository, const std::string& name) const;
  [[nodiscard]] std::size_t open_uploads() const;
  /// How many requests began with this ("HEAD /v2/", "PATCH").
  [[nodiscard]] std::size_t count(std::string_view beginning) const;

 private:
  struct Upload {
    std::string repository;
    std::string bytes{};
    int step = 0;  ///< part of the Location: nothing can be sent to an old one
    bool lost = false;
  };

  std::optional<std::size_t> cut_of(const SeenRequest& request);
  Reply answer(const SeenRequest& request);
  Reply act(const SeenRequest& request);
  Reply blob_request(const SeenRequest& request, const std::string& repository,
                     const std::string& digest);
  Reply open_upload(const SeenRequest& request, const std::string& repository);
  Reply upload_request(const SeenRequest& request);
  Reply finish(const SeenRequest& request, const std::string& repository, std::string bytes);
  Reply manifest_request(const SeenRequest& request, const std::string& repository,
                         const std::string& reference);
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> session_headers(int id);

  const Habits habits_;
  mutable std::mutex mutex_;
  std::vector<std::size_t> cuts_;  // guarded by mutex_, as what follows
  std::function<void()> on_cut_;
  std::uint64_t received_ = 0;
  int next_upload_ = 1;
  std::map<int, Upload> uploads_;
  std::map<std::string, std::string> blobs_;
  std::set<std::string> links_;  // "repository@digest" of blobs
  std::map<std::string, std::pair<std::string, std::string>> manifests_;  // type and bytes
  std::map<std::string, std::string> tags_;                               // "repository:tag"
  ScriptedServer server_;
};

}  // namespace fnimage::test
