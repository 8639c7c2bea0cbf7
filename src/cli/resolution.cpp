#include "resolution.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

#include "json_text.hpp"

namespace fnimage::cli {

namespace {

using nlohmann::ordered_json;
using resolve::Answer;

std::string short_digest(const manifest::Digest& digest) {
  return fmt::format("{}:{:.12}", digest.algorithm(), digest.hex());
}

std::string machine_name(const manifest::NodeMachine& machine) {
  return machine.cpu_variant.empty()
             ? machine.platform.str()
             : fmt::format("{} ({})", machine.platform.str(), machine.cpu_variant);
}

std::string entry_platform(const manifest::Descriptor& entry) {
  return entry.platform ? printable(entry.platform->str(), 100) : "no platform";
}

std::string_view verdict_word(const manifest::EntryVerdict& verdict) noexcept {
  if (verdict.is_taken) {
    return "taken";
  }
  return verdict.is_pulled ? "pulled too" : "passed over";
}

std::string first_line(const ResolvedImage& image, std::string_view what) {
  return fmt::format("{}\n{}  {}\n", printable(image.name), image.root.digest().str(), what);
}

/// Rows of text, each column as wide as its widest word.
std::string aligned(const std::vector<std::vector<std::string>>& rows, std::string_view indent) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line(indent);
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += fmt::format("{:{}}{}", row[i], widths[i], i + 1 < row.size() ? "  " : "");
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string verdict_lines(const manifest::Index& list, const manifest::RuntimeChoice& choice) {
  const std::vector<manifest::Descriptor>& entries = list.manifests;
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const manifest::EntryVerdict& verdict = choice.verdicts.at(i);
    rows.push_back({short_digest(entries[i].digest), entry_platform(entries[i]),
                    fmt::format("{}{}{}", verdict_word(verdict), verdict.reason.empty() ? "" : ": ",
                                verdict.reason)});
  }
  return aligned(rows, "  ");
}

std::string variant_lines(const Answer& answer) {
  std::string text;
  for (const resolve::PassedVariant& passed : answer.passed) {
    text += fmt::format("  variant {}: passed over: {}\n", passed.suffix, passed.reason);
  }
  if (!answer.variant.empty()) {
    text += fmt::format("  variant {}: taken\n", answer.variant);
  }
  return text;
}

std::string outcome_lines(const Answer& answer) {
  std::string text;
  if (answer.taken) {
    const std::string required =
        answer.requirements ? require::describe(*answer.requirements) : std::string();
    text = fmt::format("  => {}, {} to pull{}{}{}{}\n", answer.taken->digest.str(),
                       human_size(answer.pull_size), answer.tag.empty() ? "" : ", tag ",
                       printable(answer.tag), required.empty() ? "" : ", requires ",
                       printable(required));
  } else {
    text = fmt::format("  => none: {}\n", answer.reason);
  }
  for (const std::string& warning : answer.warnings) {
    text += fmt::format("  note: {}\n", warning);
  }
  return text;
}

/// What concerns some of the nodes, once each: the text, then whose it is.
std::string remarks(const std::vector<Answer>& answers) {
  std::vector<std::pair<std::string, std::vector<std::string>>> texts;
  std::map<std::string, std::size_t> places;
  const auto add = [&](const std::string& text, const Answer& answer) {
    const auto [place, is_new] = places.emplace(text, texts.size());
    if (is_new) {
      texts.push_back({text, {}});
    }
    auto& names = texts[place->second].second;
    const std::string name = printable(answer.node, 80);
    if (names.empty() || names.back() != name) {
      names.push_back(name);
    }
  };
  for (const Answer& answer : answers) {
    for (const resolve::PassedVariant& passed : answer.passed) {
      add(fmt::format("variant {} passed over: {}", passed.suffix, passed.reason), answer);
    }
    if (!answer.taken) {
      add("none: " + answer.reason, answer);
    }
    for (const std::string& warning : answer.warnings) {
      add("note: " + warning, answer);
    }
  }
  std::string lines;
  constexpr std::size_t most = 5;
  for (const auto& [text, names] : texts) {
    const std::span<const std::string> shown = std::span(names).first(std::min(most, names.size()));
    const std::string more =
        names.size() > most ? fmt::format(" and {} more", names.size() - most) : "";
    lines += fmt::format("{}{}: {}\n", join(shown, ", "), more, text);
  }
  return lines;
}

ordered_json entries_json(const manifest::Index& list, const manifest::RuntimeChoice& choice) {
  const std::vector<manifest::Descriptor>& entries = list.manifests;
  ordered_json values = ordered_json::array();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const manifest::EntryVerdict& verdict = choice.verdicts.at(i);
    values.push_back({{"digest", entries[i].digest.str()},
                      {"platform", entries[i].platform ? ordered_json(entries[i].platform->str())
                                                       : ordered_json()},
                      {"taken", verdict.is_taken},
                      {"pulled", verdict.is_pulled || verdict.is_taken},
                      {"reason", verdict.reason}});
  }
  return values;
}

ordered_json passed_json(const Answer& answer) {
  ordered_json values = ordered_json::array();
  for (const resolve::PassedVariant& passed : answer.passed) {
    values.push_back({{"variant", passed.suffix}, {"reason", passed.reason}});
  }
  return values;
}

ordered_json answer_json(const Answer& answer) {
  ordered_json value = {
      {"node", answer.node},
      {"platform", answer.machine.platform.str()},
      {"cpuVariant", answer.machine.cpu_variant},
      {"runtime", answer.runtime.str()},
      {"taken", answer.taken ? to_json(*answer.taken) : ordered_json()},
      {"reason", answer.reason},
      {"notes", answer.warnings},
      {"variant", answer.variant.empty() ? ordered_json() : ordered_json(answer.variant)},
      {"passedVariants", passed_json(answer)},
      {"requires", answer.requirements ? ordered_json::parse(require::to_json(*answer.requirements))
                                       : ordered_json()},
      {"tag", answer.tag.empty() ? ordered_json() : ordered_json(answer.tag)},
      {"pullSize", answer.pull_size}};
  if (answer.choice) {
    value["entries"] = entries_json(*answer.list, *answer.choice);
  }
  return value;
}

bool says_variants(const std::vector<Answer>& answers) {
  return std::any_of(answers.begin(), answers.end(), [](const Answer& answer) {
    return !answer.variant.empty() || !answer.passed.empty();
  });
}

}  // namespace

Result<std::string> to_blocks(const ResolvedImage& image, const std::vector<Answer>& answers) {
  std::string what = "single image";
  if (image.root.is_index()) {
    FNIMAGE_TRY(const manifest::Index index, image.root.index());
    what = fmt::format("list of {}", index.manifests.size());
  }
  std::string text = first_line(image, what);
  for (const Answer& answer : answers) {
    text += fmt::format("{}: {}, {}\n", printable(answer.node, 80), machine_name(answer.machine),
                        answer.runtime.str());
    text += variant_lines(answer);
    text += answer.choice ? verdict_lines(*answer.list, *answer.choice) : std::string();
    text += outcome_lines(answer);
  }
  return text;
}

std::string to_table(const ResolvedImage& image, const std::vector<Answer>& answers) {
  std::vector<std::vector<std::string>> rows{
      {"NODE", "PLATFORM", "RUNTIME", "TAKES", "TO PULL", "TAG"}};
  const bool with_variants = says_variants(answers);
  if (with_variants) {
    rows.front().emplace_back("VARIANT");
  }
  for (const Answer& answer : answers) {
    rows.push_back({printable(answer.node, 80), machine_name(answer.machine), answer.runtime.str(),
                    answer.taken ? short_digest(answer.taken->digest) : "none",
                    answer.taken ? human_size(answer.pull_size) : "-",
                    answer.tag.empty() ? "-" : printable(answer.tag)});
    if (with_variants) {
      rows.back().push_back(answer.variant.empty() ? "-" : answer.variant);
    }
  }
  return first_line(image, image.root.is_index() ? "list" : "single image") + aligned(rows, "") +
         remarks(answers);
}

ordered_json to_json(const ResolvedImage& image, const std::vector<Answer>& answers) {
  ordered_json values = ordered_json::array();
  for (const Answer& answer : answers) {
    values.push_back(answer_json(answer));
  }
  return ordered_json{{"reference", image.name},
                      {"digest", image.root.digest().str()},
                      {"mediaType", image.root.media_type()},
                      {"list", image.root.is_index()},
                      {"nodes", std::move(values)}};
}

}  // namespace fnimage::cli
