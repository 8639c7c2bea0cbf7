// See the header. What is sent ahead, what refers to images and where tags are expected each change
// the order of a plain transfer; this is where they meet.
#include <future>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/caught.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/build/publish.hpp>
#include <fnimage/check/list.hpp>
#include <fnimage/manifest/validate.hpp>
#include <fnimage/registry/referrers.hpp>

namespace fnimage::build {

namespace {

/// For messages: a thousand names help nobody.
std::string first_names(const std::vector<std::string>& names) {
  constexpr std::size_t most = 3;
  if (names.size() <= most) {
    return fmt::format("{}", fmt::join(names, ", "));
  }
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + most, ", "),
                     names.size() - most);
}

/// The platforms' tags, as transfer_all() gives them.
Result<void> tag_platforms_of(registry::ImageStore& from, const manifest::Document& list,
                              const std::string& tag, registry::ImageStore& to) {
  FNIMAGE_TRY(const manifest::Index index, list.index());
  for (const manifest::Descriptor& entry : index.manifests) {
    if (!entry.platform || entry.platform->os == "unknown") {
      continue;
    }
    FNIMAGE_TRY(const manifest::Document child, from.get_manifest(entry.digest));
    FNIMAGE_CHECK(to.put_manifest(child, tag + "-" + entry.platform->tag_suffix()));
  }
  return {};
}

class Publisher {
 public:
  Publisher(registry::ImageStore& from, const PublishOptions& options, registry::Client& client,
            Diagnostics& diagnostics)
      : from_(from),
        options_(options),
        client_(client),
        diagnostics_(diagnostics),
        is_guarded_(options.expected.absent || options.expected.digest),
        tags_last_(is_guarded_ || options.referrers) {}

  Result<std::vector<Published>> run(const std::vector<PublishItem>& items) {
    if (options_.lint) {
      FNIMAGE_CHECK(lint_all(items));
    }
    for (const PublishItem& item : items) {
      FNIMAGE_CHECK(add(item));
    }
    if (options_.ahead != nullptr) {
      options_.ahead->finish();
    }
    auto results = registry::transfer_all(from_, destinations_, options_.parallel, diagnostics_);
    if (!results) {
      return fail(std::move(results).error().while_doing("push " + first_names(names_)));
    }
    std::vector<Published> published;
    for (std::size_t i = 0; i < items.size(); ++i) {
      Published& one = published.emplace_back(Published{items[i].to, std::move((*results)[i])});
      FNIMAGE_CHECK(complete(items[i], *stores_[i], one));
    }
    return published;
  }

 private:
  /// What lists of the source are for nodes. What is missing there, the transfer says.
  [[nodiscard]] Result<void> lint_all(const std::vector<PublishItem>& items) const {
    std::set<manifest::Digest> seen;
    for (const PublishItem& item : items) {
      FNIMAGE_TRY(const manifest::Document root, from_.get_manifest(item.selector));
      if (!root.is_index() || !seen.insert(root.digest()).second) {
        continue;
      }
      FNIMAGE_TRY(std::vector<manifest::Finding> findings,
                  check::lint_stored(from_, root, options_.parallel));
      std::erase_if(findings, [](const manifest::Finding& finding) {
        return finding.rule == check::missing_image_rule;
      });
      FNIMAGE_CHECK(manifest::require_publishable(findings, item.to.str()));
      for (const manifest::Finding& finding : findings) {
        if (options_.warn) {
          diagnostics_.report(Severity::warning, fmt::format("{}: {}; {}", item.to.str(),
                                                             finding.message, finding.fix));
        }
      }
    }
    return {};
  }

  Result<void> add(const PublishItem& item) {
    FNIMAGE_TRY(stores_.emplace_back(), client_.repository(item.to));
    if (is_guarded_) {
      FNIMAGE_CHECK(require_expected({stores_.back().get(), item.to}, options_.expected));
    }
    destinations_.push_back(
        {.selector = item.selector, .store = stores_.back().get(), .repair = options_.repair});
    if (!tags_last_) {
      destinations_.back().tags = {item.to.tag_or_latest()};
      destinations_.back().tag_platforms = options_.tag_platforms;
    }
    names_.push_back(item.to.str());
    return {};
  }

  /// What is left to do when the image itself is there.
  Result<void> complete(const PublishItem& item, registry::ImageStore& to, Published& one) const {
    if (const auto repository = to.repository(); options_.ahead != nullptr && repository) {
      options_.ahead->correct(*repository, one.result);
    }
    if (options_.referrers) {
      FNIMAGE_TRY(one.referrers, send_referrers(item, to, one.result));
    }
    if (tags_last_) {
      FNIMAGE_TRY(one.result.moved, move_tags(item, to));
    }
    return {};
  }

  /// Moves the tag to what has been sent, if it is where it is expected; then the platforms' tags.
  [[nodiscard]] Result<std::vector<registry::MovedTag>> move_tags(const PublishItem& item,
                                                                  registry::ImageStore& to) const {
    const std::string tag = item.to.tag_or_latest();
    FNIMAGE_TRY(const manifest::Document root, from_.get_manifest(item.selector));
    std::vector<registry::MovedTag> moved{{.tag = tag, .previous = options_.expected.digest}};
    if (is_guarded_) {
      FNIMAGE_TRY(const bool stood, to.put_manifest_if(root, tag, options_.expected.digest));
      if (!stood) {
        return fail(ErrorCode::already_exists,
                    fmt::format("{} has changed meanwhile", item.to.str()),
                    "look with `fnimage manifest inspect`");
      }
    } else {
      FNIMAGE_TRY(registry::Retagged retagged, registry::retag(to, root.digest(), {tag}));
      moved = std::move(retagged.tags);
      std::erase_if(moved,
                    [&](const registry::MovedTag& one) { return one.previous == root.digest(); });
    }
    if (options_.tag_platforms && root.is_index()) {
      FNIMAGE_CHECK(tag_platforms_of(from_, root, tag, to));
    }
    return moved;
  }

  /// What refers to an image that has just been sent goes after it.
  [[nodiscard]] Result<std::size_t> send_referrers(const PublishItem& item,
                                                   registry::ImageStore& to,
                                                   registry::TransferResult& result) const {
    FNIMAGE_TRY(const manifest::Document root, from_.get_manifest(item.selector));
    FNIMAGE_TRY(const registry::Companions companions, registry::find_companions_of(from_, root));
    FNIMAGE_TRY(const auto sent,
                registry::copy_companions(from_, companions, to, options_.parallel, diagnostics_));
    for (const registry::TransferResult& one : sent) {
      result += one;
    }
    return companions.count();
  }

  registry::ImageStore& from_;
  const PublishOptions& options_;
  registry::Client& client_;
  Diagnostics& diagnostics_;
  bool is_guarded_;  ///< a tag moves only from where it is expected
  bool tags_last_;   ///< not with the transfer, but after what comes behind it
  std::vector<std::unique_ptr<registry::ImageStore>> stores_{};
  std::vector<registry::Destination> destinations_{};
  std::vector<std::string> names_{};
};

Result<std::unique_ptr<registry::UploadAhead>> open_upload_ahead(
    const std::vector<manifest::Reference>& references, std::size_t parallel,
    const Environment& environment) {
  std::vector<std::unique_ptr<registry::ImageStore>> stores;
  for (const manifest::Reference& reference : references) {
    FNIMAGE_TRY(stores.emplace_back(), environment.client.repository(reference));
  }
  return std::make_unique<registry::UploadAhead>(std::move(stores), parallel,
                                                 environment.diagnostics);
}

Result<BuiltAndPublished> build_then_publish(
    const BuildSpec& spec, BuildOptions& build_options, registry::ImageStore& store,
    const std::vector<std::string>& tags, const std::vector<manifest::Reference>& references,
    PublishOptions& publish_options, const Environment& environment,
    const std::function<Result<void>(const BuildResult&)>& on_built) {
  std::unique_ptr<registry::UploadAhead> ahead;
  if (references.empty()) {
    FNIMAGE_TRY(BuildResult built, build(spec, build_options, store, tags, environment));
    FNIMAGE_CHECK(on_built ? on_built(built) : Result<void>());
    return BuiltAndPublished{.built = std::move(built)};
  }
  if (publish_options.ahead == nullptr) {
    FNIMAGE_TRY(ahead, open_upload_ahead(references, publish_options.parallel, environment));
    publish_options.ahead = ahead.get();
  }
  build_options.on_new_layer = [to = publish_options.ahead, also = build_options.on_new_layer](
                                   const manifest::Descriptor& layer, const ContentPtr& content) {
    to->send(layer, content);
    if (also) {
      also(layer, content);
    }
  };
  publish_options.warn = false;
  // The answer is there when the plan is made, and waited for before the work begins.
  registry::Client& client = environment.client;
  const std::shared_future<Result<void>> registries = std::async(
      std::launch::async, [&references, &client] { return check_registries(references, client); });
  build_options.before_layers = [registries, also = build_options.before_layers] {
    const Result<void>& answered = registries.get();
    return answered && also ? also() : answered;
  };
  FNIMAGE_TRY(BuildResult built, build(spec, build_options, store, tags, environment));
  FNIMAGE_CHECK(on_built ? on_built(built) : Result<void>());
  FNIMAGE_CHECK(require_not_stopped(environment.pool.stop_token()));
  FNIMAGE_TRY(std::vector<Published> published,
              publish(store, built.list.digest, references, publish_options, environment.client,
                      environment.diagnostics));
  return BuiltAndPublished{.built = std::move(built), .published = std::move(published)};
}

}  // namespace

Result<manifest::Reference> parse_destination(std::string_view text) {
  FNIMAGE_TRY(manifest::Reference reference, manifest::Reference::parse(text));
  if (reference.registry().empty()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} names no registry to push to", printable(text)),
                "write it as registry.example/name:tag");
  }
  if (reference.digest()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("cannot push to a digest: {}", printable(text)), "name a tag");
  }
  return reference;
}

Result<void> check_registries(const std::vector<manifest::Reference>& references,
                              registry::Client& client) {
  std::set<std::string> seen;
  for (const manifest::Reference& reference : references) {
    if (seen.insert(reference.registry()).second) {
      FNIMAGE_CHECK(client.ping(reference.registry()));
    }
  }
  return {};
}

Result<std::vector<Published>> publish_all(registry::ImageStore& from,
                                           const std::vector<PublishItem>& items,
                                           const PublishOptions& options, registry::Client& client,
                                           Diagnostics& diagnostics) {
  return caught([&] { return Publisher(from, options, client, diagnostics).run(items); });
}

Result<std::vector<Published>> publish(registry::ImageStore& from,
                                       const registry::Selector& selector,
                                       const std::vector<manifest::Reference>& references,
                                       const PublishOptions& options, registry::Client& client,
                                       Diagnostics& diagnostics) {
  std::vector<PublishItem> items;
  items.reserve(references.size());
  for (const manifest::Reference& reference : references) {
    items.push_back({selector, reference});
  }
  return publish_all(from, items, options, client, diagnostics);
}

Result<BuiltAndPublished> build_and_publish(
    const BuildSpec& spec, BuildOptions build_options, registry::ImageStore& store,
    const std::vector<std::string>& tags, const std::vector<manifest::Reference>& references,
    PublishOptions publish_options, const Environment& environment,
    const std::function<Result<void>(const BuildResult&)>& on_built) {
  return caught([&] {
    return build_then_publish(spec, build_options, store, tags, references, publish_options,
                              environment, on_built);
  });
}

}  // namespace fnimage::build
