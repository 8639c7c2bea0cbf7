// fnimage images: what the local store holds.
#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/describe.hpp>

#include "command.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

struct Row {
  std::string name;
  std::string digest;
  std::vector<std::string> platforms{};
  std::uint64_t size = 0;
};

Result<std::vector<Row>> read_rows() {
  std::vector<Row> rows;
  auto store = Session::local_store(registry::OciLayout::Mode::existing);
  if (!store) {
    if (store.error().code() == ErrorCode::not_found) {
      return rows;  // nothing was ever built
    }
    return fail(std::move(store).error());
  }
  FNIMAGE_TRY(const std::vector<std::string> tags, (*store)->tags());
  for (const std::string& tag : tags) {
    FNIMAGE_TRY(const build::Description description, build::describe(**store, tag));
    Row row{.name = tag, .digest = description.root.digest().str(), .size = description.total_size};
    for (const build::DescribedImage& image : description.images) {
      row.platforms.push_back(image.platform ? image.platform->str() : "unknown");
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string to_table(const std::vector<Row>& rows) {
  constexpr std::size_t digest_columns = 19;  // "sha256:" and 12 digits
  std::size_t width = std::string_view("REFERENCE").size();
  for (const Row& row : rows) {
    width = std::max(width, row.name.size());
  }
  std::string text = fmt::format("{:<{}}  {:<{}}  {:>10}  {}\n", "REFERENCE", width, "DIGEST",
                                 digest_columns, "SIZE", "PLATFORMS");
  for (const Row& row : rows) {
    text += fmt::format("{:<{}}  {}  {:>10}  {}\n", printable(row.name), width,
                        row.digest.substr(0, digest_columns), human_size(row.size),
                        fmt::join(row.platforms, ", "));
  }
  return text;
}

Result<void> run_images(Session& session) {
  FNIMAGE_TRY(const std::vector<Row> rows, read_rows());
  if (session.common().json) {
    nlohmann::ordered_json images = nlohmann::ordered_json::array();
    for (const Row& row : rows) {
      images.push_back({{"reference", row.name},
                        {"digest", row.digest},
                        {"size", row.size},
                        {"platforms", row.platforms}});
    }
    session.console().print(json_lines({{"images", std::move(images)}}));
  } else if (session.common().quiet) {
    for (const Row& row : rows) {
      session.console().print(printable(row.name) + "\n");
    }
  } else {
    session.console().print(to_table(rows));
  }
  return {};
}

}  // namespace

void add_images(CLI::App& app, Registration registration) {
  CLI::App& command = *app.add_subcommand("images", "List the images of the local store");
  add_common_options(command, registration.settings.common);
  command.footer("Example:\n  fnimage images --json");
  command.callback([registration] { registration.action = run_images; });
}

}  // namespace fnimage::cli
