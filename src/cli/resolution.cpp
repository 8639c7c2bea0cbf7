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

/// The entries of a list; none of an image.
Result<std::vector<manifest::Descriptor>> entries_of(const manifest::Document& root) {
  if (!root.is_index()) {
    return std::vector<manifest::Descriptor>();
  }
  FNIMAGE_TRY(manifest::Index index, root.index());
  return std::move(index.manifests);
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

std::string verdict_lines(const std::vector<manifest::Descriptor>& entries,
                          const manifest::RuntimeChoice& choice) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const manifest::EntryVerdict& verdict = choice.verdicts.at(i);
    rows.push_back({short_digest(entries[i].digest), entry_platform(entries[i]),
                    fmt::format("{}{}{}", verdict_word(verdict), verdict.reason.empty() ? "" : ": ",
                                verdict.reason)});
  }
  return aligned(rows, "  ");
}

std::string outcome_lines(const Answer& answer) {
  std::string text;
  if (answer.taken) {
    text = fmt::format("  => {}, {} to pull{}{}\n", answer.taken->digest.str(),
                       human_size(answer.pull_size), answer.tag.empty() ? "" : ", tag ",
                       printable(answer.tag));
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

ordered_json entries_json(const std::vector<manifest::Descriptor>& entries,
                          const manifest::RuntimeChoice& choice) {
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

ordered_json answer_json(const Answer& answer, const std::vector<manifest::Descriptor>& entries) {
  ordered_json value = {{"node", answer.node},
                        {"platform", answer.machine.platform.str()},
                        {"cpuVariant", answer.machine.cpu_variant},
                        {"runtime", answer.runtime.str()},
                        {"taken", answer.taken ? to_json(*answer.taken) : ordered_json()},
                        {"reason", answer.reason},
                        {"notes", answer.warnings},
                        {"tag", answer.tag.empty() ? ordered_json() : ordered_json(answer.tag)},
                        {"pullSize", answer.pull_size}};
  if (answer.choice) {
    value["entries"] = entries_json(entries, *answer.choice);
  }
  return value;
}

}  // namespace

Result<std::string> to_blocks(const ResolvedImage& image, const std::vector<Answer>& answers) {
  FNIMAGE_TRY(const std::vector<manifest::Descriptor> entries, entries_of(image.root));
  std::string text =
      first_line(image, image.root.is_index() ? fmt::format("list of {}", entries.size())
                                              : std::string("single image"));
  for (const Answer& answer : answers) {
    text += fmt::format("{}: {}, {}\n", printable(answer.node, 80), machine_name(answer.machine),
                        answer.runtime.str());
    text += answer.choice ? verdict_lines(entries, *answer.choice) : std::string();
    text += outcome_lines(answer);
  }
  return text;
}

std::string to_table(const ResolvedImage& image, const std::vector<Answer>& answers) {
  std::vector<std::vector<std::string>> rows{
      {"NODE", "PLATFORM", "RUNTIME", "TAKES", "TO PULL", "TAG"}};
  for (const Answer& answer : answers) {
    rows.push_back({printable(answer.node, 80), machine_name(answer.machine), answer.runtime.str(),
                    answer.taken ? short_digest(answer.taken->digest) : "none",
                    answer.taken ? human_size(answer.pull_size) : "-",
                    answer.tag.empty() ? "-" : printable(answer.tag)});
  }
  return first_line(image, image.root.is_index() ? "list" : "single image") + aligned(rows, "") +
         remarks(answers);
}

Result<ordered_json> to_json(const ResolvedImage& image, const std::vector<Answer>& answers) {
  FNIMAGE_TRY(const std::vector<manifest::Descriptor> entries, entries_of(image.root));
  ordered_json values = ordered_json::array();
  for (const Answer& answer : answers) {
    values.push_back(answer_json(answer, entries));
  }
  return ordered_json{{"reference", image.name},
                      {"digest", image.root.digest().str()},
                      {"mediaType", image.root.media_type()},
                      {"list", image.root.is_index()},
                      {"nodes", std::move(values)}};
}

}  // namespace fnimage::cli
