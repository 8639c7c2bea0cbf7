// The page of an image or list: what it is, how to pull it, its platforms.
#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/media_types.hpp>

#include "api/target.hpp"
#include "page/parts.hpp"
#include "page/views.hpp"

namespace fnimage::server {

namespace {

/// A command, and what it is of.
struct PullCommand {
  std::string_view program;
  std::string text;
};

/// "host:port/repository:tag", or with the digest.
std::string reference_of(const ImagePage& page) {
  const std::string name = page.host + "/" + page.repository;
  return page.tag.empty() ? name + "@" + page.tree.root.stored->descriptor.digest.str()
                          : name + ":" + page.tag;
}

std::vector<PullCommand> pull_commands(const ImagePage& page) {
  const std::string reference = reference_of(page);
  const std::string name = page.repository.substr(page.repository.rfind('/') + 1);
  const auto option = [&](std::string_view text) {
    return page.is_secure ? std::string() : std::string(text) + " ";
  };
  std::vector<PullCommand> commands{
      {"fnimage", fmt::format("fnimage pull {}{}", option("--plain-http"), reference)},
      {"Docker", fmt::format("docker pull {}", reference)},
      {"Podman", fmt::format("podman pull {}{}", option("--tls-verify=false"), reference)},
      {"skopeo", fmt::format("skopeo copy --all {}docker://{} oci:{}",
                             option("--src-tls-verify=false"), reference, name)},
      {"crane", fmt::format("crane pull {}{} {}.tar", option("--insecure"), reference, name)}};
  // OpenWhisk drops a digest from an image's name.
  if (!page.tag.empty()) {
    commands.push_back(
        {"OpenWhisk", fmt::format("wsk action create {} --docker {}", name, reference)});
  }
  return commands;
}

/// A command; its options are not broken at their hyphens.
Html command_part(std::string_view text) {
  Html part;
  for (const std::string_view word : split(text, ' ')) {
    if (!part.empty()) {
      part.add(" ");
    }
    part.add(word.starts_with('-') ? html(R"(<span class="whole">{}</span>)", word)
                                   : html("{}", word));
  }
  return part;
}

Html pull_section(const ImagePage& page) {
  Html section;
  section.add(R"(<section aria-labelledby="pull"><h2 id="pull">How to pull it</h2>
<dl class="commands">
)");
  std::size_t number = 0;
  for (const PullCommand& command : pull_commands(page)) {
    const std::string id = fmt::format("command-{}", ++number);
    section.add(
        R"(<div><dt>{}</dt><dd><code id="{}">{}</code><button type="button" class="copy" data-from="{}" aria-label="Copy the command of {}" hidden>Copy</button></dd></div>
)",
        command.program, id, command_part(command.text), id, command.program);
  }
  section.add("</dl>\n");
  if (!page.is_secure) {
    section.add(
        R"(<p class="quiet">This registry has no TLS: Docker and OpenWhisk’s nodes need it among their insecure registries, unless it is on localhost.</p>
)");
  }
  return section.add("</section>\n");
}

std::string kind_of(const ImageTree& tree) {
  const bool is_docker = (tree.root.list && tree.root.list->format == manifest::Format::docker) ||
                         (tree.root.image && tree.root.image->format == manifest::Format::docker);
  if (tree.is_list()) {
    return fmt::format("{} of {}", is_docker ? "Docker manifest list" : "OCI image index",
                       count_of(tree.count, "image"));
  }
  if (!tree.root.image) {
    return tree.root.stored->descriptor.media_type;
  }
  const auto& image = *tree.root.image;
  if (!image.artifact_type.empty()) {
    return "artifact: " + image.artifact_type;
  }
  return !manifest::is_config_type(image.config.media_type) ? "artifact: " + image.config.media_type
         : is_docker                                        ? "Docker image"
                                                            : "OCI image";
}

Html facts_section(const ImagePage& page) {
  const ImageTree& tree = page.tree;
  const manifest::Descriptor& root = tree.root.stored->descriptor;
  const std::string raw = fmt::format("/v2/{}/manifests/{}", encode_query(page.repository),
                                      encode_query(root.digest.str()));
  Html section;
  section.add(R"(<dl class="facts">
<div><dt>Kind</dt><dd><bdi>{}</bdi></dd></div>
<div><dt>Digest</dt><dd><code>{}</code></dd></div>
<div><dt>Size</dt><dd>{}{}</dd></div>
)",
              kind_of(tree), root.digest.str(), human_size(tree.size),
              tree.is_whole ? std::string_view() : ", without what is not here");
  if (tree.count > 1) {
    section.add("<div><dt>Shared</dt><dd>{} in layers that several platforms have</dd></div>\n",
                human_size(tree.shared));
  }
  const auto& subject = tree.root.list    ? tree.root.list->subject
                        : tree.root.image ? tree.root.image->subject
                                          : std::optional<manifest::Descriptor>();
  if (subject) {
    section.add(R"(<div><dt>Refers to</dt><dd><a href="{}"><code>{}</code></a></dd></div>
)",
                digest_path(page.repository, subject->digest.str()), subject->digest.str());
  }
  return section.add(R"(<div><dt>Raw</dt><dd><a href="{}">manifest as JSON</a>, {}</dd></div>
</dl>
)",
                     raw, human_size(root.size));
}

Html images_pager(const ImagePage& page) {
  const ImageTree& tree = page.tree;
  if (tree.count <= images_on_page) {
    return {};
  }
  const std::string path =
      page.tag.empty() ? digest_path(page.repository, tree.root.stored->descriptor.digest.str())
                       : tag_path(page.repository, page.tag);
  Html links;
  links.add(R"(<nav class="pager" aria-label="Images of the list"><span>{}–{} of {}</span>)",
            grouped(tree.first + 1), grouped(tree.first + tree.images.size()), grouped(tree.count));
  if (tree.first > 0) {
    links.add(R"(<a rel="prev" href="{}&amp;from={}">Previous</a>)", path,
              tree.first - std::min(tree.first, images_on_page));
  }
  if (tree.first + images_on_page < tree.count) {
    links.add(R"(<a rel="next" href="{}&amp;from={}">Next</a>)", path, tree.first + images_on_page);
  }
  return links.add("</nav>\n");
}

Html platforms_section(const ImagePage& page) {
  Html section;
  section.add(R"(<section aria-labelledby="platforms"><h2 id="platforms">{}</h2>
)",
              page.tree.is_list() ? std::string_view("Platforms") : "Image");
  if (page.tree.count > 1) {
    section.add(
        R"(<p class="legend quiet"><span class="key own"></span> this platform only <span class="key shared"></span> shared with other platforms</p>
)");
  }
  for (const ImageBranch& branch : page.tree.images) {
    section.add(branch_part(page, branch, page.tree.count == 1));
  }
  return section.add(images_pager(page)).add("</section>\n");
}

}  // namespace

Html image_view(const ImagePage& page) {
  const ImageTree& tree = page.tree;
  Html view;
  view.add(
      R"(<nav class="crumbs" aria-label="Where you are"><a href="/">Repositories</a> <span aria-hidden="true">/</span> <a href="{}"><bdi>{}</bdi></a></nav>
)",
      repository_path(page.repository), page.repository);
  view.add(R"(<h1><bdi><span class="quiet">{}{}</span>{}</bdi></h1>
)",
           page.repository, page.tag.empty() ? std::string_view("@") : std::string_view(":"),
           page.tag.empty() ? short_digest(tree.root.stored->descriptor.digest.str()) : page.tag);
  view.add(facts_section(page));
  if (!tree.root.problem.empty()) {
    view.add(R"(<p class="bad">This cannot be shown: <bdi>{}</bdi></p>
)",
             tree.root.problem);
  }
  if (!tree.images.empty() || tree.is_list()) {
    view.add(platforms_section(page));
  }
  view.add(check_section(page)).add(pull_section(page));
  if (tree.is_list()) {
    view.add(referrers_part(page.repository, tree.referrers, 2));
    if (!tree.root.list->annotations.empty()) {
      view.add("<section><h2>Annotations of the list</h2>\n")
          .add(pairs_part(tree.root.list->annotations))
          .add("</section>\n");
    }
  }
  return view;
}

}  // namespace fnimage::server
