// What is around the content of all pages, and the paths of pages.
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/manifest/digest.hpp>

#include "api/target.hpp"
#include "page/assets.hpp"
#include "page/views.hpp"

namespace fnimage::server {

namespace {

/// "'sha256-<base64>'", a source of a policy (CSP 3, 2.3.1).
std::string policy_source(std::string_view text) {
  constexpr int base = 16;
  const auto digest = manifest::Digest::of(text);
  std::string raw;
  for (std::size_t i = 0; i < digest.hex().size(); i += 2) {
    raw += static_cast<char>(std::stoi(std::string(digest.hex().substr(i, 2)), nullptr, base));
  }
  return fmt::format("'sha256-{}'", to_base64(as_bytes(raw)));
}

Html user_area(const Frame& frame) {
  if (!frame.user.empty()) {
    return html(R"(<span class="user">Logged in as <bdi>{}</bdi></span>)", frame.user);
  }
  return frame.can_log_in ? html(R"(<a class="user" href="/?login=1">Log in</a>)") : Html();
}

}  // namespace

std::string content_policy() {
  return fmt::format(
      "default-src 'none'; style-src {}; script-src {}; img-src data:; form-action 'self'; "
      "base-uri 'none'; frame-ancestors 'none'",
      policy_source(page_style), policy_source(page_script));
}

std::string document(const Frame& frame, const Html& content) {
  Html page;
  page.add(R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
)");
  if (!frame.next.empty()) {
    page.add(R"(<meta http-equiv="refresh" content="2; url={}">
)",
             frame.next);
  }
  page.add(R"(<title>{}</title>
<link rel="icon" href="data:,">
<style>{}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="top"><div class="wide"><a class="home" href="/"><span class="mark" aria-hidden="true"></span>fnimage registry</a>{}</div></header>
<main id="content" class="wide">
{}</main>
<footer class="wide">Served by <code>fnimage serve</code>. The registry’s API is at <a href="/v2/">/v2/</a>.</footer>
<script>{}</script>
</body>
</html>
)",
           frame.title, Html::trusted(page_style), user_area(frame), content,
           Html::trusted(page_script));
  return std::move(page).str();
}

Html problem_view(std::string_view title, std::string_view message) {
  return html(R"(<h1>{}</h1>
<p>{}</p>
<p><a href="/">All repositories</a></p>
)",
              title, message);
}

std::string repository_path(const std::string& repository) {
  return "/-/repo/" + encode_query(repository);
}

std::string tag_path(const std::string& repository, const std::string& tag) {
  return repository_path(repository) + "?tag=" + encode_query(tag);
}

std::string digest_path(const std::string& repository, const std::string& digest) {
  return repository_path(repository) + "?digest=" + encode_query(digest);
}

std::string grouped(std::size_t number) {
  constexpr std::size_t group = 3;
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > group; at -= group) {
    text.insert(at - group, ",");
  }
  return text;
}

std::string count_of(std::size_t number, std::string_view word) {
  return fmt::format("{} {}{}", grouped(number), word, number == 1 ? "" : "s");
}

std::string short_digest(const std::string& digest) {
  constexpr std::size_t digits = 12;
  return digest.substr(0, digest.find(':') + 1 + digits);
}

}  // namespace fnimage::server
