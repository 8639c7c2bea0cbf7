// A repository's index.json: kept parsed as long as the file is the same, which one stat(2) tells;
// written crash-safely. Thread-safety: current() from several threads; write() by who has the
// layout's lock.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include <fnimage/base/result.hpp>

#include "http/open_file.hpp"
#include "store/file_stamp.hpp"
#include "store/index_content.hpp"

namespace fnimage::server {

class RepositoryIndex {
 public:
  RepositoryIndex(const std::filesystem::path& layout, const manifest::ListLimits& limits);

  /// Whether there is one. Reads nothing.
  [[nodiscard]] bool exists() const noexcept { return FileStamp::of(path_).has_value(); }
  /// As it stands. Errors: not_found, invalid_input.
  Result<IndexContent::Ptr> current();
  /// Replaces the file; safe when it returns success.
  /// @param before makes safe what the file names anew, just before it gets its name: file systems
  /// with a journal have then written that together with the file's bytes. Empty: there is nothing.
  Result<void> write(const IndexContent::Ptr& content,
                     const std::function<Result<void>()>& before = {});
  /// Makes safe what others have written.
  [[nodiscard]] Result<void> sync() const;
  [[nodiscard]] const manifest::ListLimits& limits() const noexcept { return limits_; }

 private:
  struct Loaded {
    IndexContent::Ptr content{};
    FileStamp stamp{};
    std::shared_ptr<const OpenFile> file{};  ///< held open, see FileStamp
    bool is_settled = true;  ///< it was old enough when it was read for any change to show
  };
  IndexContent::Ptr known(const FileStamp& stamp);
  Result<IndexContent::Ptr> load();
  Result<Loaded> read() const;
  void set(Loaded loaded);

  std::filesystem::path path_;
  manifest::ListLimits limits_;
  std::mutex loading_;  ///< held by the one thread that reads; taken before mutex_
  std::mutex mutex_;
  Loaded loaded_;   // guarded by mutex_
  Loaded written_;  // guarded by mutex_: what is just getting its name, which readers may see first
};

}  // namespace fnimage::server
