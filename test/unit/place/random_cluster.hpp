// Random lists, requirements, runtimes and nodes, near enough to each other that some nodes qualify
// and others do not. The same seed gives the same.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/node/node.hpp>
#include <fnimage/place/place.hpp>

namespace fnimage::place {

/// A node in both forms: as an object of the API, and as it is read from that.
struct RandomNode {
  nlohmann::json object;
  node::Node node;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  /// 0 … count-1
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(engine_() % count); }
  bool one_in(std::size_t count) { return below(count) == 0; }
  template <typename List>
  auto pick(const List& list) {
    return list[below(std::size(list))];
  }

 private:
  std::mt19937_64 engine_;  // its numbers are the same everywhere, distributions' are not
};

struct RandomList {
  manifest::Index list;
  std::vector<ImageFacts> facts;
};

RandomList random_list(Random& random);
std::vector<manifest::Runtime> random_runtimes(Random& random);
RandomNode random_node(Random& random, std::size_t number);
RandomNode random_node(Random& random, std::size_t number, const std::string& os,
                       const std::string& architecture);
/// A pod that has something of its own to say about where it runs.
nlohmann::json random_pod(Random& random);

}  // namespace fnimage::place
