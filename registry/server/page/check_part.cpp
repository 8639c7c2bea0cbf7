// The result of a check, and the button that begins one.
#include <algorithm>

#include <fmt/format.h>

#include "api/target.hpp"
#include "page/parts.hpp"

namespace fnimage::server {

namespace {

std::string verdict_of(const CheckedPart& part) {
  const auto errors = static_cast<std::size_t>(
      std::ranges::count_if(part.findings, [](const CheckFinding& f) { return f.is_error; }));
  const std::size_t warnings = part.findings.size() - errors;
  if (errors > 0 && warnings > 0) {
    return count_of(errors, "error") + ", " + count_of(warnings, "warning");
  }
  return errors > 0     ? count_of(errors, "error")
         : warnings > 0 ? count_of(warnings, "warning")
                        : "good";
}

Html findings_part(const CheckedPart& part) {
  if (part.findings.empty()) {
    return html(R"(<span class="quiet">Nothing is wrong.</span>)");
  }
  Html list;
  list.add("<ul class=\"findings\">");
  for (const CheckFinding& finding : part.findings) {
    list.add("<li><strong>{}</strong> <bdi>{}</bdi> <bdi>{}</bdi> <code>{}</code>",
             finding.is_error ? "error:" : "warning:",
             finding.subject.empty() ? std::string("the image") : finding.subject, finding.message,
             finding.rule);
    if (!finding.fix.empty()) {
      list.add("<br><span class=\"quiet\">fix: <bdi>{}</bdi></span>", finding.fix);
    }
    list.add("</li>");
  }
  return list.add("</ul>");
}

Html outcome_part(const CheckOutcome& outcome) {
  if (!outcome.error.empty()) {
    return html(
        R"(<p class="bad" role="status">It could not be checked: <bdi>{}</bdi> <bdi>{}</bdi></p>
)",
        outcome.error, outcome.hint);
  }
  Html table;
  table.add(
      R"(<table role="table" class="rows"><caption>What was found, without running anything</caption>
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Platform</th><th role="columnheader" scope="col">Result</th><th role="columnheader" scope="col">Found</th><th role="columnheader" scope="col" class="number">Files</th><th role="columnheader" scope="col" class="number">Programs</th></tr></thead>
<tbody role="rowgroup">
)");
  for (const CheckedPart& part : outcome.summary.parts) {
    const bool is_bad =
        std::ranges::any_of(part.findings, [](const CheckFinding& f) { return f.is_error; });
    const std::string verdict = verdict_of(part);
    table.add(
        R"(<tr role="row"><th role="rowheader" scope="row"><bdi>{}</bdi></th><td role="cell" data-label="Result"><span class="{}">{}</span></td><td role="cell" data-label="Found">{}</td><td role="cell" class="number" data-label="Files">{}</td><td role="cell" class="number" data-label="Programs">{}</td></tr>
)",
        part.name,
        is_bad                  ? "verdict bad"
        : part.findings.empty() ? "verdict good"
                                : "verdict fair",
        verdict, findings_part(part), grouped(part.files), grouped(part.objects));
  }
  return table.add("</tbody></table>\n");
}

/// Where the button's form goes.
std::string form_path(const ImagePage& page) {
  std::string path = fmt::format("/-/check/{}?digest={}", encode_query(page.repository),
                                 encode_query(page.tree.root.stored->descriptor.digest.str()));
  return page.tag.empty() ? path : path + "&tag=" + encode_query(page.tag);
}

}  // namespace

Html check_section(const ImagePage& page) {
  const bool is_image =
      page.tree.is_list() || (page.tree.root.image && page.tree.root.image->artifact_type.empty() &&
                              manifest::is_config_type(page.tree.root.image->config.media_type));
  if (!page.can_check || !is_image) {
    return {};
  }
  Html section;
  section.add(R"(<section aria-labelledby="check"><h2 id="check">Check</h2>
)");
  if (page.is_checking) {
    return section.add(
        R"(<p role="status"><span class="working" aria-hidden="true"></span>Being checked. This page shows the result by itself.</p>
</section>
)");
  }
  if (page.check) {
    section.add(outcome_part(*page.check));
  } else {
    section.add(
        R"(<p>Can it start on each of its platforms? Machine of every program, interpreters, libraries, Python imports: looked at without running anything.</p>
)");
  }
  return section.add(R"(<form method="post" action="{}"><button>{}</button></form>
</section>
)",
                     form_path(page), page.check ? "Check again" : "Check it");
}

}  // namespace fnimage::server
