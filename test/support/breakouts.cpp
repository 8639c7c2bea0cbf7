// See the header.
#include <fstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include <fnimage/test/breakouts.hpp>

namespace fnimage::test {

namespace {

using nlohmann::json;

std::string filled_in(std::string text, const std::string& outside) {
  for (const auto& [mark, value] : {std::pair(std::string("@cwd@"), outside),
                                    std::pair(std::string("@sentinel@"), outside + "/sentinel")}) {
    if (const std::size_t at = text.find(mark); at != std::string::npos) {
      text.replace(at, mark.size(), value);
    }
  }
  return text;
}

RawTarEntry raw_entry(const json& value, const std::string& outside) {
  const auto text = [&](std::size_t at) {
    return filled_in(value.at(at).get<std::string>(), outside);
  };
  const std::string kind = value.at(0).get<std::string>();
  if (kind == "dir") {
    return raw_directory(text(1));
  }
  if (kind == "file") {
    return raw_file(text(1), text(2));
  }
  return kind == "symlink" ? raw_symlink(text(1), text(2)) : raw_hardlink(text(1), text(2));
}

std::vector<RawTarEntry> raw_entries(const json& value, const std::string& outside) {
  std::vector<RawTarEntry> entries;
  for (const json& entry : value) {
    entries.push_back(raw_entry(entry, outside));
  }
  return entries;
}

}  // namespace

std::vector<Breakout> breakouts(const std::string& outside) {
  std::ifstream file(FNIMAGE_TEST_ROOT "/support/breakouts.json");
  std::vector<Breakout> all;
  for (const json& value : json::parse(file)) {
    Breakout one{.name = value.at("name").get<std::string>(),
                 .base = raw_entries(value.at("base"), outside),
                 .attack = raw_entries(value.at("attack"), outside),
                 .refused = value.value("refused", false),
                 .bad_whiteouts = value.value("bad_whiteouts", std::vector<std::string>())};
    const json tree = value.value("tree", json::object());
    for (const auto& [path, text] : tree.items()) {
      one.tree.emplace_back(path,
                            text.is_null() ? std::nullopt : std::optional(text.get<std::string>()));
    }
    all.push_back(std::move(one));
  }
  if (all.empty()) {
    throw std::runtime_error("breakouts.json has no cases");
  }
  return all;
}

}  // namespace fnimage::test
