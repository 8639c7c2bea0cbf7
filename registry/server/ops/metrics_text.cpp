#include "ops/metrics_text.hpp"

#include <fmt/format.h>

namespace fnimage::server {

namespace {

std::string escaped_label(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c == '\\' || c == '"' ? "\\" : "";
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  text_ += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

void MetricsText::begin_sample(const Labels& labels, std::string_view suffix) {
  text_ += name_;
  text_ += suffix;
  std::string_view before = "{";
  for (const auto& [name, value] : labels) {
    text_ += fmt::format("{}{}=\"{}\"", before, name, escaped_label(value));
    before = ",";
  }
  text_ += labels.empty() ? " " : "} ";
}

void MetricsText::sample(const Labels& labels, std::uint64_t value, std::string_view suffix) {
  begin_sample(labels, suffix);
  text_ += fmt::format("{}\n", value);
}

void MetricsText::sample(const Labels& labels, double value, std::string_view suffix) {
  begin_sample(labels, suffix);
  text_ += fmt::format("{}\n", value);
}

void MetricsText::single(std::string_view name, std::string_view type, std::string_view help,
                         std::uint64_t value) {
  family(name, type, help);
  sample({}, value);
}

void MetricsText::single(std::string_view name, std::string_view type, std::string_view help,
                         double value) {
  family(name, type, help);
  sample({}, value);
}

}  // namespace fnimage::server
