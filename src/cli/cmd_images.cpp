// fnimage images: what the local store holds, or a layout or archive.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/archive/open.hpp>
#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/describe.hpp>
#include <fnimage/registry/referrers.hpp>

#include "command.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

struct Row {
  std::string name;
  std::string digest;
  std::vector<std::string> platforms{};
  std::uint64_t size = 0;
  std::string problem{};  ///< why it could not be read; empty = fine
};

/// @param place empty = the local store. Null when nothing was ever built.
Result<std::unique_ptr<registry::ImageStore>> open_place(const std::string& place,
                                                         Session& session) {
  if (place.empty()) {
    auto store = Session::local_store(registry::OciLayout::Mode::existing);
    if (!store && store.error().code() == ErrorCode::not_found) {
      return nullptr;
    }
    return store;
  }
  FNIMAGE_TRY(const registry::Location location, registry::parse_location(place));
  if (!location.is_path() || !location.tag.empty()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} is no layout or archive", printable(place)),
                "write oci:DIR, oci-archive:FILE or docker-archive:FILE; `fnimage tags` lists a "
                "repository");
  }
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const std::filesystem::path local, Session::local_directory());
  return archive::open_store(location, *client, local);
}

/// One damaged entry does not keep the others from being shown.
Result<Row> read_row(registry::ImageStore& store, const std::string& tag) {
  const auto description = build::describe(store, tag);
  if (!description) {
    FNIMAGE_TRY(const auto found, store.resolve(tag));
    return Row{.name = tag,
               .digest = found ? found->digest.str() : "",
               .problem = description.error().describe()};
  }
  Row row{.name = tag, .digest = description->root.digest().str(), .size = description->total_size};
  for (const build::DescribedImage& image : description->images) {
    if (!image.is_attestation()) {
      row.platforms.push_back(image.platform ? image.platform->str() : "unknown");
    }
  }
  return row;
}

Result<std::vector<Row>> read_rows(const std::string& place, Session& session) {
  std::vector<Row> rows;
  FNIMAGE_TRY(const auto store, open_place(place, session));
  if (!store) {
    return rows;
  }
  FNIMAGE_TRY(const std::vector<std::string> tags, store->tags());
  for (const std::string& tag : tags) {
    if (registry::is_companion_tag(tag)) {
      continue;  // no image, but what belongs to one; `fnimage inspect --referrers` shows it
    }
    FNIMAGE_TRY(Row row, read_row(*store, tag));
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
                        row.problem.empty() ? join(row.platforms, ", ")
                                            : "cannot be read: " + printable(row.problem));
  }
  return text;
}

Result<void> run_images(const std::string& place, Session& session) {
  FNIMAGE_TRY(const std::vector<Row> rows, read_rows(place, session));
  if (session.common().json) {
    nlohmann::ordered_json images = nlohmann::ordered_json::array();
    for (const Row& row : rows) {
      images.push_back({{"reference", row.name},
                        {"digest", row.digest},
                        {"size", row.size},
                        {"platforms", row.platforms}});
      if (!row.problem.empty()) {
        images.back()["problem"] = row.problem;
      }
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

void set_up_images(CLI::App& command, Registration registration) {
  const auto place = std::make_shared<std::string>();
  command.add_option("PLACE", *place, "oci:DIR or an archive instead of the local store");
  complete(command, registration, "Example:\n  fnimage images --json",
           [place](Session& session) { return run_images(*place, session); });
}

}  // namespace fnimage::cli
