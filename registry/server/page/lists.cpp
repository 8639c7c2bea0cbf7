// The pages that list: repositories, and a repository's tags.
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>

#include "api/target.hpp"
#include "page/views.hpp"

namespace fnimage::server {

namespace {

Html platform_chips(const ImageSummary& summary) {
  if (summary.platforms.empty()) {
    return html(R"(<span class="quiet">–</span>)");
  }
  Html chips;
  for (const std::string& platform : summary.platforms) {
    chips.add(R"(<span class="chip">{}</span> )", platform);
  }
  if (summary.more_platforms > 0) {
    chips.add(R"(<span class="quiet">and {} more</span>)", grouped(summary.more_platforms));
  }
  return chips;
}

std::string size_text(const ImageSummary& summary) {
  return summary.size ? human_size(*summary.size) : "–";
}

Html filter_form(const std::string& path, const Slice& slice, std::string_view label) {
  return html(R"(<form class="filter" role="search" action="{}">
<label for="filter">{}</label>
<input id="filter" type="search" name="q" value="{}" autocomplete="off" maxlength="200">
<button>Filter</button>
<span id="shown" role="status"></span>
</form>
)",
              path, label, slice.filter);
}

std::string path_of_slice(const std::string& path, const Slice& slice, std::size_t page) {
  return slice.filter.empty()
             ? fmt::format("{}?page={}", path, page + 1)
             : fmt::format("{}?q={}&page={}", path, encode_query(slice.filter), page + 1);
}

/// Nothing when all names are on this page.
Html pager(const std::string& path, const Slice& slice, std::size_t shown) {
  if (slice.page == 0 && !slice.has_next) {
    return {};
  }
  Html links;
  links.add(R"(<nav class="pager" aria-label="Pages"><span>{}–{} of {}</span>)",
            grouped(slice.first + 1), grouped(slice.first + shown), grouped(slice.total));
  if (slice.page > 0) {
    links.add(R"(<a rel="prev" href="{}">Previous</a>)",
              path_of_slice(path, slice, slice.page - 1));
  }
  if (slice.has_next) {
    links.add(R"(<a rel="next" href="{}">Next</a>)", path_of_slice(path, slice, slice.page + 1));
  }
  return links.add("</nav>\n");
}

Html tags_cell(const RepositoryRow& row) {
  if (row.is_damaged) {
    return html(R"(<span class="bad">damaged</span>)");
  }
  if (row.tag.empty()) {
    return html(R"(<span class="quiet">{}</span>)", count_of(row.tags, "tag"));
  }
  Html cell = html(R"(<a href="{}"><bdi>{}</bdi></a>)", tag_path(row.name, row.tag), row.tag);
  return row.tags == 1
             ? cell
             : cell.add(R"( <span class="quiet">and {} more</span>)", grouped(row.tags - 1));
}

Html repository_row(const RepositoryRow& row) {
  const ImageSummary none;
  const ImageSummary& summary = row.summary ? *row.summary : none;
  return html(
      R"(<tr role="row" data-name="{}"><th role="rowheader" scope="row"><a href="{}"><bdi>{}</bdi></a></th><td role="cell" data-label="Tags">{}</td><td role="cell" data-label="Platforms">{}</td><td role="cell" class="number" data-label="Size">{}</td></tr>
)",
      row.name, repository_path(row.name), row.name, tags_cell(row), platform_chips(summary),
      size_text(summary));
}

Html tag_row(const std::string& repository, const TagRow& row) {
  const ImageSummary& summary = *row.summary;
  const Html digest = summary.digest.empty()
                          ? html(R"(<span class="quiet">–</span>)")
                          : html(R"(<a href="{}"><code title="{}">{}</code></a>)",
                                 digest_path(repository, summary.digest), summary.digest,
                                 short_digest(summary.digest));
  const std::string kind = summary.problem.empty() ? summary.kind : summary.problem;
  return html(
      R"(<tr role="row" data-name="{}"><th role="rowheader" scope="row"><a href="{}"><bdi>{}</bdi></a></th><td role="cell" data-label="Kind"><bdi>{}</bdi></td><td role="cell" data-label="Platforms">{}</td><td role="cell" class="number" data-label="Size">{}</td><td role="cell" data-label="Digest">{}</td></tr>
)",
      row.tag, tag_path(repository, row.tag), row.tag, kind, platform_chips(summary),
      size_text(summary), digest);
}

}  // namespace

Html repositories_view(const std::vector<RepositoryRow>& rows, const Slice& slice) {
  Html page;
  page.add("<h1>Repositories</h1>\n");
  if (slice.total == 0 && slice.filter.empty()) {
    return page.add(
        "<p>There is nothing here that you may see. What is pushed shows up here.</p>\n");
  }
  page.add(filter_form("/", slice, "Repositories whose name has"));
  if (rows.empty()) {
    return page.add("<p>No repository’s name has “<bdi>{}</bdi>”.</p>\n", slice.filter);
  }
  page.add(
      R"(<table role="table" class="rows"><caption>{}. Platforms and size are those of the tag that is named.</caption>
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Repository</th><th role="columnheader" scope="col">Tags</th><th role="columnheader" scope="col">Platforms</th><th role="columnheader" scope="col" class="number">Size</th></tr></thead>
<tbody role="rowgroup">
)",
      slice.total == 1 ? std::string("1 repository") : grouped(slice.total) + " repositories");
  for (const RepositoryRow& row : rows) {
    page.add(repository_row(row));
  }
  return page.add("</tbody></table>\n").add(pager("/", slice, rows.size()));
}

Html tags_view(const std::string& repository, const std::vector<TagRow>& rows, const Slice& slice) {
  const std::string path = repository_path(repository);
  Html page;
  page.add(R"(<nav class="crumbs" aria-label="Where you are"><a href="/">Repositories</a></nav>
<h1><bdi>{}</bdi></h1>
)",
           repository);
  if (slice.total == 0 && slice.filter.empty()) {
    return page.add("<p>This repository has no tags.</p>\n");
  }
  page.add(filter_form(path, slice, "Tags whose name has"));
  if (rows.empty()) {
    return page.add("<p>No tag’s name has “<bdi>{}</bdi>”.</p>\n", slice.filter);
  }
  page.add(
      R"(<table role="table" class="rows"><caption>{}</caption>
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Tag</th><th role="columnheader" scope="col">Kind</th><th role="columnheader" scope="col">Platforms</th><th role="columnheader" scope="col" class="number">Size</th><th role="columnheader" scope="col">Digest</th></tr></thead>
<tbody role="rowgroup">
)",
      count_of(slice.total, "tag"));
  for (const TagRow& row : rows) {
    page.add(tag_row(repository, row));
  }
  return page.add("</tbody></table>\n").add(pager(path, slice, rows.size()));
}

}  // namespace fnimage::server
