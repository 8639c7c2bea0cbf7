// The text format that Prometheus reads (version 0.0.4). Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fnimage::server {

using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

inline constexpr std::string_view metrics_media_type = "text/plain; version=0.0.4; charset=utf-8";

class MetricsText {
 public:
  /// Begins a family: its samples follow. @param type "counter", "gauge", "histogram". @param help
  /// one line.
  void family(std::string_view name, std::string_view type, std::string_view help);
  /// @param suffix of the family's name: "_bucket".
  void sample(const Labels& labels, std::uint64_t value, std::string_view suffix = {});
  void sample(const Labels& labels, double value, std::string_view suffix = {});
  /// A family with one sample.
  void single(std::string_view name, std::string_view type, std::string_view help,
              std::uint64_t value);
  void single(std::string_view name, std::string_view type, std::string_view help, double value);

  std::string take() { return std::move(text_); }

 private:
  void begin_sample(const Labels& labels, std::string_view suffix);

  std::string name_{};
  std::string text_{};
};

}  // namespace fnimage::server
