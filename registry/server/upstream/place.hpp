// Which repository of which upstream a request is about. Thread-safety: const methods from several
// threads.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/server/upstream.hpp>

namespace fnimage::server {

struct Place {
  std::size_t upstream = 0;  ///< which
  std::string local{};       ///< the repository's name here; may be too long for one
  std::string remote{};      ///< and there
};

class Places {
 public:
  explicit Places(std::vector<Upstream> upstreams) : upstreams_(std::move(upstreams)) {}

  /// Of a name here; nullopt = it is a repository of this server's own. Of nested prefixes the
  /// longest counts.
  [[nodiscard]] std::optional<Place> of_name(const std::string& repository) const;
  /// Of a name at the registry that containerd's mirror protocol names ("ns"); nullopt = it is no
  /// upstream, or not this part of it.
  [[nodiscard]] std::optional<Place> of_origin(std::string_view registry,
                                               const std::string& repository) const;
  [[nodiscard]] const std::vector<Upstream>& upstreams() const noexcept { return upstreams_; }

 private:
  std::vector<Upstream> upstreams_;
};

}  // namespace fnimage::server
