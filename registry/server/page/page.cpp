#include "page/page.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>

#include "access/challenge.hpp"
#include "api/fields.hpp"
#include "api/reply.hpp"
#include "api/target.hpp"
#include "page/views.hpp"

namespace fnimage::server {

namespace {

constexpr std::string_view page_root = "/-/";
constexpr std::string_view repository_root = "/-/repo/";
constexpr std::string_view check_root = "/-/check/";
constexpr std::size_t names_on_page = 200;
constexpr int see_other = 303;
constexpr int unavailable = 503;

bool is_page(const Request& request) {
  return request.path == "/" || request.path.starts_with(page_root);
}

/// 0 for what is no number.
std::size_t number_of(const std::optional<std::string>& text) {
  std::size_t number = 0;
  if (text) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    number = error == std::errc() && end == text->data() + text->size() ? number : 0;
  }
  return number;
}

/// The names of one page out of all.
std::pair<Slice, std::vector<std::string>> slice_of(const std::vector<std::string>& all,
                                                    const Query& query) {
  constexpr std::size_t longest_filter = 200;
  Slice slice{.filter = query.get("q").value_or(std::string())};
  slice.filter.resize(std::min(slice.filter.size(), longest_filter));
  const std::string wanted = to_lower(slice.filter);
  std::vector<const std::string*> matching;
  for (const std::string& name : all) {
    if (wanted.empty() || to_lower(name).find(wanted) != std::string::npos) {
      matching.push_back(&name);
    }
  }
  slice.total = matching.size();
  const std::size_t last_page = slice.total == 0 ? 0 : (slice.total - 1) / names_on_page;
  slice.page = std::min(std::max<std::size_t>(number_of(query.get("page")), 1) - 1, last_page);
  slice.first = slice.page * names_on_page;
  slice.has_next = slice.page < last_page;
  std::vector<std::string> names;
  const std::size_t end = std::min(slice.first + names_on_page, slice.total);
  for (std::size_t i = slice.first; i < end; ++i) {
    names.push_back(*matching[i]);
  }
  return {std::move(slice), std::move(names)};
}

/// The tag that says most of a repository.
std::string main_tag(const std::vector<std::string>& tags) {
  constexpr const char* latest = "latest";
  if (std::ranges::binary_search(tags, latest)) {
    return latest;
  }
  const auto last = std::find_if(tags.rbegin(), tags.rend(), [](const std::string& tag) {
    return !tag.starts_with("sha256-");  // content tags, and tags that stand for referrers
  });
  return last == tags.rend() ? std::string() : *last;
}

/// Whether a request was sent by a page of this server: browsers say so themselves.
bool is_same_origin(const Request& request, std::string_view external_url) {
  const std::string_view site = request.header("Sec-Fetch-Site");
  if (!site.empty()) {
    return site == "same-origin";
  }
  constexpr std::string_view mark = "://";
  std::string_view origin = request.header("Origin");
  const std::size_t at = origin.find(mark);
  if (at == std::string_view::npos) {
    return false;
  }
  origin.remove_prefix(at + mark.size());
  return equals_ignoring_case(origin, request.header("Host")) ||
         equals_ignoring_case(origin, host_for_clients(request, external_url));
}

Frame frame_of(std::string title, const Caller* caller) {
  Frame frame{.title = std::move(title)};
  if (caller != nullptr) {
    frame.can_log_in = caller->is_anonymous();
    frame.user = caller->is_anonymous() ? std::string() : caller->subject.name;
  }
  return frame;
}

Response page_response(int status, std::string body, const std::string& policy) {
  Response response{.status = status};
  response.headers = {{"Content-Type", "text/html; charset=utf-8"},
                      {"Content-Security-Policy", policy},
                      {"X-Content-Type-Options", "nosniff"},
                      // Without an origin the button of a check could not be told from others'.
                      {"Referrer-Policy", "same-origin"},
                      {"Cross-Origin-Opener-Policy", "same-origin"},
                      {"Cache-Control", "private, no-cache"},
                      {"Vary", "Authorization"}};
  response.body = std::move(body);
  return response;
}

/// 200, or 304 when the client has it already.
Response content_response(const Request& request, const Frame& frame, const Html& content,
                          const std::string& policy) {
  std::string body = document(frame, content);
  const auto digest = manifest::Digest::of(body);
  const bool is_known = is_not_modified(request, digest);
  Response response = page_response(is_known ? status::not_modified : status::ok,
                                    is_known ? std::string() : std::move(body), policy);
  response.headers.push_back({"ETag", entity_tag(digest)});
  return response;
}

Response problem_response(int code, std::string_view title, std::string_view message,
                          const Caller* caller, const std::string& policy) {
  return page_response(
      code, document(frame_of(std::string(title), caller), problem_view(title, message)), policy);
}

Response not_found_response(const Caller* caller, const std::string& policy) {
  return problem_response(status::not_found, "Not found",
                          "There is nothing at this address, or nothing that you may see.", caller,
                          policy);
}

Response log_in_response(const std::string& policy) {
  Response response =
      problem_response(status::unauthorized, "Log in first",
                       "Who has no name and password here may not see this.", nullptr, policy);
  response.headers.push_back({"WWW-Authenticate", basic_challenge()});
  return response;
}

/// What the gate has answered, for people.
Response refusal_response(const Response& refusal, const std::string& policy) {
  Response response = refusal.status == status::unauthorized
                          ? page_response(refusal.status,
                                          document({.title = "Log in first"},
                                                   problem_view("Log in first",
                                                                "The name or the password is not "
                                                                "right.")),
                                          policy)
                          : problem_response(refusal.status, "Try again in a moment",
                                             "Too many are logging in just now.", nullptr, policy);
  for (const HeaderField& field : refusal.headers) {
    if (field.name == "WWW-Authenticate" || field.name == "Retry-After") {
      response.headers.push_back(field);
    }
  }
  return response;
}

Response failure_response(const Error& error, const Caller* caller, const std::string& policy) {
  return problem_response(failure_reply(error).status, "The server could not read it",
                          error.code() == ErrorCode::invalid_input
                              ? "Its index.json is damaged: whoever runs the registry can look."
                              : "Try again in a moment.",
                          caller, policy);
}

Response method_response(std::string_view allowed, const std::string& policy) {
  Response response =
      problem_response(status::method_not_allowed, "This cannot be done here",
                       "The address is for something else than what was asked.", nullptr, policy);
  response.headers.push_back({"Allow", std::string(allowed)});
  return response;
}

Response redirect(std::string location, const std::string& policy) {
  Response response = page_response(see_other, {}, policy);
  response.headers.push_back({"Location", std::move(location)});
  return response;
}

}  // namespace

Pages::Pages(Handler& inner, Store& store, Gate* gate, PageOptions options,
             std::filesystem::path directory, std::string external_url)
    : inner_(inner),
      store_(store),
      gate_(gate),
      external_url_(std::move(external_url)),
      policy_(content_policy()),
      checks_(std::move(options.check), std::move(directory)) {}

bool Pages::is_quick(const Request& request) const {
  return !is_page(request) && inner_.is_quick(request);
}

Answer Pages::answer(const Request& request) {
  if (!is_page(request)) {
    return inner_.answer(request);
  }
  const std::string_view allowed = request.path.starts_with(check_root) ? "POST" : "GET, HEAD";
  const bool is_reading = request.method == "GET" || request.method == "HEAD";
  if (allowed == "POST" ? request.method != "POST" : !is_reading) {
    return method_response(allowed, policy_);
  }
  Visit visit{.request = request};
  if (gate_ != nullptr) {
    auto entry = gate_->enter_page(request);
    if (const auto* refusal = std::get_if<Response>(&entry)) {
      return refusal_response(*refusal, policy_);
    }
    visit.caller = std::get<std::shared_ptr<const Caller>>(std::move(entry));
    if (visit.caller->is_anonymous() && !visit.caller->policy->has_anonymous()) {
      return log_in_response(policy_);
    }
  }
  return answer_page(visit);
}

void Pages::complete(const Request& request, Response& response) const {
  if (!is_page(request)) {
    inner_.complete(request, response);
  }
}

Response Pages::answer_page(const Visit& visit) {
  const std::string& path = visit.request.path;
  if (path == "/") {
    return home(visit);
  }
  if (path.starts_with(check_root)) {
    return begin_check(visit, path.substr(check_root.size()));
  }
  return path.starts_with(repository_root) ? repository(visit, path.substr(repository_root.size()))
                                           : not_found_response(visit.caller.get(), policy_);
}

Response Pages::home(const Visit& visit) {
  const Caller* caller = visit.caller.get();
  const Query query(visit.request.query);
  if (query.get("login")) {
    // The path is "/", so that browsers send the password to all pages.
    return caller != nullptr && caller->is_anonymous() ? log_in_response(policy_)
                                                       : redirect("/", policy_);
  }
  auto names = store_.repositories();
  if (!names) {
    return failure_response(names.error(), caller, policy_);
  }
  std::erase_if(*names, [&](const std::string& name) {
    return caller != nullptr && !caller->may(Right::pull, name);
  });
  auto [slice, shown] = slice_of(*names, query);
  std::vector<RepositoryRow> rows;
  ReadBudget budget;
  for (std::string& name : shown) {
    RepositoryRow& row = rows.emplace_back(RepositoryRow{.name = std::move(name)});
    const auto found = store_.find(row.name);
    const auto tags =
        found && *found ? (*found)->tags() : fail(ErrorCode::not_found, "the repository has gone");
    row.is_damaged = !tags;
    if (!tags) {
      continue;
    }
    row.tags = (*tags)->size();
    row.tag = main_tag(**tags);
    if (!row.tag.empty()) {
      auto summary = summaries_.of_tag(**found, row.tag, budget);
      row.summary = summary ? std::move(*summary) : nullptr;
    }
  }
  return content_response(visit.request, frame_of("fnimage registry", caller),
                          repositories_view(rows, slice), policy_);
}

std::variant<std::shared_ptr<Repository>, Response> Pages::find(const Visit& visit,
                                                                const std::string& name) {
  const Caller* caller = visit.caller.get();
  if (!is_valid_repository(name)) {
    return not_found_response(caller, policy_);
  }
  if (caller != nullptr && !caller->may(Right::pull, name)) {
    return caller->is_anonymous() ? log_in_response(policy_) : not_found_response(caller, policy_);
  }
  auto found = store_.find(name);
  if (!found) {
    return failure_response(found.error(), caller, policy_);
  }
  if (*found == nullptr) {
    return not_found_response(caller, policy_);
  }
  return std::move(*found);
}

Response Pages::repository(const Visit& visit, const std::string& name) {
  auto found = find(visit, name);
  if (auto* refusal = std::get_if<Response>(&found)) {
    return std::move(*refusal);
  }
  Repository& repository = *std::get<std::shared_ptr<Repository>>(found);
  const Query query(visit.request.query);
  if (const auto tag = query.get("tag")) {
    return manifest::is_valid_tag(*tag) ? image(visit, repository, *tag)
                                        : not_found_response(visit.caller.get(), policy_);
  }
  if (const auto text = query.get("digest")) {
    auto digest = manifest::Digest::parse(*text);
    return digest ? image(visit, repository, std::move(*digest))
                  : not_found_response(visit.caller.get(), policy_);
  }
  return tags(visit, repository);
}

Response Pages::tags(const Visit& visit, Repository& repository) {
  const Caller* caller = visit.caller.get();
  const auto all = repository.tags();
  if (!all) {
    return failure_response(all.error(), caller, policy_);
  }
  auto [slice, shown] = slice_of(**all, Query(visit.request.query));
  std::vector<TagRow> rows;
  ReadBudget budget;
  for (std::string& tag : shown) {
    auto summary = summaries_.of_tag(repository, tag, budget);
    if (!summary) {
      return failure_response(summary.error(), caller, policy_);
    }
    rows.push_back({.tag = std::move(tag), .summary = std::move(*summary)});
  }
  return content_response(visit.request, frame_of(repository.name(), caller),
                          tags_view(repository.name(), rows, slice), policy_);
}

Response Pages::image(const Visit& visit, Repository& repository,
                      const registry::Selector& selector) {
  const Caller* caller = visit.caller.get();
  auto tree = read_tree(repository, selector, number_of(Query(visit.request.query).get("from")));
  if (!tree) {
    return failure_response(tree.error(), caller, policy_);
  }
  if (!*tree) {
    return not_found_response(caller, policy_);
  }
  const manifest::Digest digest = (*tree)->root.stored->descriptor.digest;
  ImagePage page{.repository = repository.name(), .tree = std::move(**tree)};
  const auto* tag = std::get_if<std::string>(&selector);
  page.tag = tag == nullptr ? std::string() : *tag;
  page.host = host_for_clients(visit.request, external_url_);
  page.is_secure =
      external_url_.empty() ? visit.request.is_secure : external_url_.starts_with("https://");
  page.can_check = checks_.is_offered();
  page.is_checking = checks_.is_going_on(page.repository, digest);
  page.check = checks_.outcome(page.repository, digest);
  Frame frame = frame_of(tag == nullptr ? page.repository + "@" + short_digest(digest.str())
                                        : page.repository + ":" + page.tag,
                         caller);
  if (page.is_checking) {
    // Browsers do not load anew what differs in nothing but the part to be shown.
    const std::size_t count = number_of(Query(visit.request.query).get("wait")) + 1;
    frame.next = fmt::format("{}&wait={}#check",
                             tag == nullptr ? digest_path(page.repository, digest.str())
                                            : tag_path(page.repository, page.tag),
                             count);
  }
  return content_response(visit.request, frame, image_view(page), policy_);
}

Response Pages::begin_check(const Visit& visit, const std::string& name) {
  const Caller* caller = visit.caller.get();
  if (!is_same_origin(visit.request, external_url_)) {
    return problem_response(status::forbidden, "This came from elsewhere",
                            "A check begins with the button on an image’s page only.", caller,
                            policy_);
  }
  auto found = find(visit, name);
  if (auto* refusal = std::get_if<Response>(&found)) {
    return std::move(*refusal);
  }
  const Query query(visit.request.query);
  const auto digest = manifest::Digest::parse(query.get("digest").value_or(std::string()));
  const auto there = digest ? std::get<std::shared_ptr<Repository>>(found)->manifest(*digest)
                            : Result<std::optional<StoredManifest>>(std::nullopt);
  if (!there || !*there || !checks_.is_offered()) {
    return there ? not_found_response(caller, policy_)
                 : failure_response(there.error(), caller, policy_);
  }
  if (checks_.begin(name, *digest) == Checks::Begun::busy) {
    Response response = problem_response(unavailable, "Try again in a moment",
                                         "Many images wait to be checked.", caller, policy_);
    response.headers.push_back({"Retry-After", "10"});
    return response;
  }
  const std::string tag = query.get("tag").value_or(std::string());
  return redirect(
      (manifest::is_valid_tag(tag) ? tag_path(name, tag) : digest_path(name, digest->str())) +
          "#check",
      policy_);
}

}  // namespace fnimage::server
