// What a row of a list of tags says of an image: remembered by digest, so that the next page need
// not read it again. Thread-safety: all methods from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "page/lru.hpp"
#include "page/tree.hpp"

namespace fnimage::server {

struct ImageSummary {
  std::string digest{};
  std::string kind{};                    ///< "list", "image", an artifact's type
  std::vector<std::string> platforms{};  ///< the first ones
  std::size_t more_platforms = 0;
  std::optional<std::uint64_t> size{};  ///< bytes, each blob counted once; of all there is here
  std::string problem{};
};

class Summaries {
 public:
  /// What a tag stands for. Says less when the budget is used up. Errors: those of the repository.
  Result<std::shared_ptr<const ImageSummary>> of_tag(Repository& repository, const std::string& tag,
                                                     ReadBudget& budget);

 private:
  static constexpr std::size_t most_kept = 20'000;
  Lru<ImageSummary> kept_{most_kept};
};

}  // namespace fnimage::server
