// The greedy resolver of resolver.hpp; its oracle in the tests is apt-get -s. Thread-safety: all
// state is local.
#include "debian/resolver.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/deb822.hpp"
#include "debian/dependency.hpp"

namespace fnimage::source::debian {
namespace {

// A package with its relations, parsed when it is first looked at.
struct Node {
  IndexedPackage package{};
  std::vector<Clause> depends{};  ///< Pre-Depends first
  std::vector<Clause> recommends{};
  std::vector<Clause> conflicts{};  ///< with Breaks
  std::vector<Clause> provides{};
  int priority = 0;
  const Node* parent = nullptr;  ///< who asked for it first; null for what was requested
};

int priority_rank(std::string_view priority) {
  constexpr std::array<std::string_view, 4> order{"required", "important", "standard", "optional"};
  return static_cast<int>(std::find(order.begin(), order.end(), priority) - order.begin());
}

constexpr std::uint64_t kib = 1024;  // the unit of Installed-Size

std::optional<std::uint64_t> unsigned_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::optional(value) : std::nullopt;
}

bool provides(const Node& node, const Alternative& wanted) {
  return std::any_of(node.provides.begin(), node.provides.end(), [&](const Clause& clause) {
    const Alternative& provided = clause.front();
    return provided.name == wanted.name &&
           (wanted.relation == Relation::any ||
            (!provided.version.empty() && wanted.accepts(provided.version)));
  });
}

class Resolver {
 public:
  Resolver(const PackageIndex& index, const PackageRequest& request)
      : index_(index), request_(request) {}

  Result<Resolution> run() {
    FNIMAGE_TRY(const auto roots, choose_roots());
    for (Node* root : roots) {
      FNIMAGE_CHECK(expand(*root));
    }
    if (request_.recommends) {
      add_recommended();
    }
    FNIMAGE_CHECK(check_conflicts());
    return result();
  }

 private:
  struct Frame {
    Node* node;
    std::size_t next = 0;
  };

  Result<Node*> node_of(const IndexedPackage& package);
  std::optional<IndexedPackage> candidate(std::string_view name) const;
  Result<std::vector<Node*>> choose_roots();
  Result<Node*> choose_root(std::string_view wanted);
  Result<void> expand(Node& root);
  void add_recommended();
  bool has_conflicts_since(std::size_t first) const;
  void take_back(std::size_t first);
  Result<Node*> choose(const Node& dependent, const Clause& clause);
  Result<Node*> choose_any_version(const Clause& clause);
  Result<std::vector<Node*>> candidates(const Alternative& alternative);
  bool is_satisfied(const Clause& clause) const;
  bool satisfies_chosen(const Alternative& alternative) const;
  const Node* conflicting(const Node& node) const;
  const Node* conflict_with(const Node& node) const;
  bool is_excluded(std::string_view name);
  bool takes(const Alternative& alternative) const;
  Result<void> check_conflicts() const;
  Result<Resolution> result();
  std::vector<const Node*> needs_of(const Node& node) const;
  void order_from(const Node& root, std::set<const Node*>& seen,
                  std::vector<const Node*>& out) const;
  Result<DebianPackage> describe(const Node& node) const;
  void mark(Node& node, const Node* parent);
  static std::string chain(const Node& node);

  const PackageIndex& index_;
  const PackageRequest& request_;
  std::deque<Node> nodes_;
  std::unordered_map<const char*, Node*> by_package_;  ///< by the paragraph's address
  std::map<std::string_view, IndexedPackage> pinned_;
  std::map<std::string_view, const Node*> chosen_;
  std::vector<Node*> chosen_order_;
  std::map<std::string_view, std::vector<const Node*>> chosen_providers_;
  std::set<std::string, std::less<>> reached_excludes_;
};

Result<Node*> Resolver::node_of(const IndexedPackage& package) {
  if (const auto found = by_package_.find(package.paragraph.data()); found != by_package_.end()) {
    return found->second;
  }
  const Paragraph fields(package.paragraph);
  Node node{.package = package, .priority = priority_rank(fields.get("Priority"))};
  const auto append = [&](std::string_view field, std::vector<Clause>& to) -> Result<void> {
    FNIMAGE_TRY(auto clauses,
                parse_dependencies(fields.get(field), index_.architecture(),
                                   fmt::format("package {}: {}", package.name, field)));
    std::move(clauses.begin(), clauses.end(), std::back_inserter(to));
    return {};
  };
  FNIMAGE_CHECK(append("Pre-Depends", node.depends));
  FNIMAGE_CHECK(append("Depends", node.depends));
  FNIMAGE_CHECK(append("Recommends", node.recommends));
  FNIMAGE_CHECK(append("Conflicts", node.conflicts));
  FNIMAGE_CHECK(append("Breaks", node.conflicts));
  FNIMAGE_CHECK(append("Provides", node.provides));
  Node* stored = &nodes_.emplace_back(std::move(node));
  by_package_.emplace(package.paragraph.data(), stored);
  return stored;
}

std::optional<IndexedPackage> Resolver::candidate(std::string_view name) const {
  const auto pinned = pinned_.find(name);
  return pinned != pinned_.end() ? pinned->second : index_.candidate(name);
}

void Resolver::mark(Node& node, const Node* parent) {
  node.parent = parent;
  chosen_.emplace(node.package.name, &node);
  chosen_order_.push_back(&node);
  for (const Clause& clause : node.provides) {
    chosen_providers_[clause.front().name].push_back(&node);
  }
}

Result<Node*> Resolver::choose_root(std::string_view wanted) {
  const std::size_t mark = wanted.find_first_of("=/");
  const std::string_view name = wanted.substr(0, mark);
  if (request_.exclude.contains(std::string(name))) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("package {} is both asked for and excluded", printable(name)),
                "take it out of packages or out of exclude");
  }
  const auto versions = index_.versions(name);
  if (!versions.empty() && mark == std::string_view::npos) {
    return node_of(*candidate(name));
  }
  if (!versions.empty()) {
    const std::string_view version = wanted.substr(mark + 1);
    const bool by_suite = wanted[mark] == '/';
    for (const IndexedPackage& package : versions) {
      if ((by_suite ? index_.suite(package) : package.version) == version) {
        pinned_.insert_or_assign(package.name, package);
        return node_of(package);
      }
    }
    if (by_suite) {
      return fail(ErrorCode::not_found,
                  fmt::format("package {} is not in the suite {}", name, printable(version)),
                  "check the suite's name, and that it is among suites or repositories");
    }
    return fail(ErrorCode::not_found,
                fmt::format("package {} has no version {}: the mirror has {}", name,
                            printable(version), versions.front().version),
                "leave the version out, or use a mirror that keeps old versions");
  }
  const auto providers = index_.providers(name);
  if (providers.size() == 1 && mark == std::string_view::npos) {
    return node_of(providers.front().package);
  }
  if (!providers.empty()) {
    std::vector<std::string> names;
    names.reserve(providers.size());
    for (const Provider& provider : providers) {
      names.emplace_back(provider.package.name);
    }
    return fail(ErrorCode::not_found, fmt::format("{} is provided by several packages", name),
                "ask for one of them: " + join(names, ", "));
  }
  const auto names = index_.names();
  const auto near = nearest(name, names);
  return fail(ErrorCode::not_found,
              fmt::format("no package {} for {}", printable(name), index_.architecture()),
              near ? fmt::format("did you mean {}?", *near)
                   : std::string("check the package's name and the release"));
}

// Everything requested is chosen before any dependency, as apt does: so it wins over alternatives.
Result<std::vector<Node*>> Resolver::choose_roots() {
  std::vector<std::string_view> names(request_.packages.begin(), request_.packages.end());
  // They own /etc/os-release, the base directories and the accounts.
  for (const std::string_view base : {"base-files", "base-passwd"}) {
    if (!request_.exclude.contains(std::string(base)) && index_.candidate(base)) {
      names.push_back(base);
    }
  }
  if (request_.essential) {
    for (const IndexedPackage& package : index_.essential()) {
      if (!is_excluded(package.name)) {
        names.push_back(package.name);
      }
    }
  }
  std::vector<Node*> roots;
  for (const std::string_view name : names) {
    FNIMAGE_TRY(Node * node, choose_root(name));
    if (const auto other = chosen_.find(node->package.name); other == chosen_.end()) {
      mark(*node, nullptr);
      roots.push_back(node);
    } else if (other->second != node) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("package {} is asked for in two versions", node->package.name));
    }
  }
  return roots;
}

bool Resolver::is_excluded(std::string_view name) {
  if (!request_.exclude.contains(std::string(name))) {
    return false;
  }
  reached_excludes_.emplace(name);
  return true;
}

// Qualifiers other than :any and :native mean another architecture, which an image of one
// architecture does not have.
bool Resolver::takes(const Alternative& alternative) const {
  return alternative.qualifier.empty() || alternative.qualifier == "any" ||
         alternative.qualifier == "native" || alternative.qualifier == index_.architecture();
}

bool Resolver::satisfies_chosen(const Alternative& alternative) const {
  if (!takes(alternative)) {
    return false;
  }
  if (const auto real = chosen_.find(alternative.name);
      real != chosen_.end() && alternative.accepts(real->second->package.version)) {
    return true;
  }
  const auto found = chosen_providers_.find(alternative.name);
  return found != chosen_providers_.end() &&
         std::any_of(found->second.begin(), found->second.end(),
                     [&](const Node* node) { return provides(*node, alternative); });
}

bool Resolver::is_satisfied(const Clause& clause) const {
  return std::any_of(clause.begin(), clause.end(),
                     [&](const Alternative& alternative) { return satisfies_chosen(alternative); });
}

Result<std::vector<Node*>> Resolver::candidates(const Alternative& alternative) {
  std::vector<Node*> result;
  if (const auto real = candidate(alternative.name); real && alternative.accepts(real->version)) {
    FNIMAGE_TRY(Node * node, node_of(*real));
    result.push_back(node);
  }
  std::vector<Node*> providers;
  for (const Provider& provider : index_.providers(alternative.name)) {
    FNIMAGE_TRY(Node * node, node_of(provider.package));
    const auto pinned = pinned_.find(provider.package.name);
    const bool current = pinned == pinned_.end() ||
                         pinned->second.paragraph.data() == provider.package.paragraph.data();
    const bool listed = std::find(providers.begin(), providers.end(), node) != providers.end();
    if (current && !listed && provides(*node, alternative) &&
        provider.package.name != alternative.name) {
      providers.push_back(node);
    }
  }
  std::sort(providers.begin(), providers.end(), [](const Node* a, const Node* b) {
    return a->priority != b->priority ? a->priority < b->priority
                                      : a->package.name < b->package.name;
  });
  std::copy(providers.begin(), providers.end(), std::back_inserter(result));
  return result;
}

// The chosen package that `node` does not go with because of its own Conflicts or Breaks.
const Node* Resolver::conflict_with(const Node& node) const {
  for (const Clause& clause : node.conflicts) {
    const Alternative& against = clause.front();
    const auto real = chosen_.find(against.name);
    if (real != chosen_.end() && real->second != &node &&
        against.accepts(real->second->package.version)) {
      return real->second;
    }
    const auto found = chosen_providers_.find(against.name);
    if (found == chosen_providers_.end()) {
      continue;
    }
    for (const Node* provider : found->second) {
      if (provider->package.name != node.package.name && provides(*provider, against)) {
        return provider;
      }
    }
  }
  return nullptr;
}

// As above, in both directions.
const Node* Resolver::conflicting(const Node& node) const {
  if (const Node* other = conflict_with(node); other != nullptr) {
    return other;
  }
  for (const auto& [name, other] : chosen_) {
    for (const Clause& clause : other->conflicts) {
      const Alternative& against = clause.front();
      const bool hits =
          (against.name == node.package.name && against.accepts(node.package.version)) ||
          provides(node, against);
      if (hits && other->package.name != node.package.name) {
        return other;
      }
    }
  }
  return nullptr;
}

// Null: an excluded package would have been taken, which counts as satisfied.
Result<Node*> Resolver::choose(const Node& dependent, const Clause& clause) {
  Node* second_choice = nullptr;
  for (const Alternative& alternative : clause) {
    if (!takes(alternative)) {
      continue;
    }
    if (is_excluded(alternative.name)) {
      return nullptr;
    }
    FNIMAGE_TRY(const auto options, candidates(alternative));
    bool all_excluded = !options.empty();
    for (Node* option : options) {
      if (is_excluded(option->package.name)) {
        continue;
      }
      all_excluded = false;
      if (conflicting(*option) == nullptr) {
        return option;
      }
      second_choice = second_choice == nullptr ? option : second_choice;
    }
    if (all_excluded) {
      return nullptr;
    }
  }
  if (second_choice != nullptr) {
    return second_choice;  // the check at the end says with what it conflicts
  }
  FNIMAGE_TRY(Node * other, choose_any_version(clause));
  if (other != nullptr) {
    return other;
  }
  return fail(ErrorCode::invalid_input,
              fmt::format("package {} needs {}, which no package for {} satisfies (wanted by {})",
                          dependent.package.name, to_string(clause), index_.architecture(),
                          chain(dependent)),
              "exclude it if the function does not need it, or use another release or mirror");
}

// A version that is no candidate, when none that is will do: what was asked for of a suite with
// backports may need more of it. Null when there is none.
Result<Node*> Resolver::choose_any_version(const Clause& clause) {
  for (const Alternative& alternative : clause) {
    if (!takes(alternative) || pinned_.contains(alternative.name)) {
      continue;
    }
    for (const IndexedPackage& package : index_.versions(alternative.name)) {
      if (alternative.accepts(package.version)) {
        FNIMAGE_TRY(Node * node, node_of(package));
        if (conflicting(*node) == nullptr) {
          return node;
        }
      }
    }
  }
  return nullptr;
}

// What cannot be had, or does not go with what is there, is left out without a word, as apt does.
void Resolver::add_recommended() {
  // chosen_order_ grows while it is walked: what is recommended may recommend more.
  for (std::size_t i = 0; i < chosen_order_.size(); ++i) {
    Node& node = *chosen_order_[i];
    for (const Clause& clause : node.recommends) {
      if (is_satisfied(clause)) {
        continue;
      }
      const auto next = choose(node, clause);
      if (!next || *next == nullptr || chosen_.contains((*next)->package.name) ||
          conflicting(**next) != nullptr) {
        continue;
      }
      const std::size_t before = chosen_order_.size();
      mark(**next, &node);
      if (!expand(**next) || has_conflicts_since(before)) {
        take_back(before);
      }
    }
  }
}

bool Resolver::has_conflicts_since(std::size_t first) const {
  return std::any_of(chosen_order_.begin() + static_cast<std::ptrdiff_t>(first),
                     chosen_order_.end(),
                     [&](const Node* node) { return conflicting(*node) != nullptr; });
}

void Resolver::take_back(std::size_t first) {
  while (chosen_order_.size() > first) {
    const Node& node = *chosen_order_.back();
    chosen_order_.pop_back();
    chosen_.erase(node.package.name);
    for (const Clause& clause : node.provides) {
      chosen_providers_[clause.front().name].pop_back();  // the last in is the last in every list
    }
  }
}

Result<void> Resolver::expand(Node& root) {
  std::vector<Frame> stack{{&root}};
  while (!stack.empty()) {
    Frame& frame = stack.back();
    if (frame.next == frame.node->depends.size()) {
      stack.pop_back();
      continue;
    }
    const Clause& clause = frame.node->depends[frame.next++];
    if (is_satisfied(clause)) {
      continue;
    }
    FNIMAGE_TRY(Node * next, choose(*frame.node, clause));
    if (next == nullptr) {
      continue;
    }
    if (const auto other = chosen_.find(next->package.name); other != chosen_.end()) {
      return fail(
          ErrorCode::invalid_input,
          fmt::format("package {} needs {}, but version {} was asked for", frame.node->package.name,
                      to_string(clause), other->second->package.version),
          "leave the version out of the request");
    }
    mark(*next, frame.node);
    stack.push_back({next});
  }
  return {};
}

std::string Resolver::chain(const Node& node) {
  std::vector<std::string> names;
  for (const Node* at = &node; at != nullptr; at = at->parent) {
    names.emplace_back(at->package.name);
  }
  std::reverse(names.begin(), names.end());
  return join(names, " -> ");
}

Result<void> Resolver::check_conflicts() const {
  for (const auto& [name, node] : chosen_) {
    if (const Node* other = conflict_with(*node); other != nullptr) {
      return fail(
          ErrorCode::invalid_input,
          fmt::format(
              "packages {} {} and {} {} cannot be installed together (wanted by {} and by {})",
              node->package.name, node->package.version, other->package.name,
              other->package.version, chain(*node), chain(*other)),
          "ask for another alternative, or exclude one of the two");
    }
  }
  return {};
}

/// The chosen packages that can satisfy its dependencies, by name.
std::vector<const Node*> Resolver::needs_of(const Node& node) const {
  std::map<std::string_view, const Node*> needs;
  for (const Clause& clause : node.depends) {
    for (const Alternative& alternative : clause) {
      if (const auto real = chosen_.find(alternative.name); real != chosen_.end()) {
        needs.emplace(real->first, real->second);
      }
      if (const auto virtuals = chosen_providers_.find(alternative.name);
          virtuals != chosen_providers_.end()) {
        for (const Node* provider : virtuals->second) {
          needs.emplace(provider->package.name, provider);
        }
      }
    }
  }
  std::vector<const Node*> result;
  result.reserve(needs.size());
  for (const auto& [name, need] : needs) {
    result.push_back(need);
  }
  return result;
}

void Resolver::order_from(const Node& root, std::set<const Node*>& seen,
                          std::vector<const Node*>& out) const {
  struct Step {
    const Node* node;
    std::vector<const Node*> needs;
    std::size_t next = 0;
  };
  if (!seen.insert(&root).second) {
    return;
  }
  std::vector<Step> stack{{&root, needs_of(root)}};
  while (!stack.empty()) {
    Step& step = stack.back();
    if (step.next < step.needs.size()) {
      const Node* need = step.needs[step.next++];
      if (seen.insert(need).second) {
        stack.push_back({need, needs_of(*need)});
      }
    } else {
      out.push_back(step.node);
      stack.pop_back();
    }
  }
}

Result<DebianPackage> Resolver::describe(const Node& node) const {
  const IndexedPackage& package = node.package;
  const Paragraph fields(package.paragraph);
  const auto size = unsigned_number(fields.get("Size"));
  const std::string_view architecture = fields.get("Architecture");
  auto digest = manifest::Digest::parse(fmt::format("sha256:{}", fields.get("SHA256")));
  if (!size || !digest || (architecture != "all" && architecture != index_.architecture())) {
    return fail(ErrorCode::invalid_input,
                fmt::format("package {} {}: no usable Size, SHA256 and Architecture in the index",
                            package.name, package.version));
  }
  if (!index_.suite(package).empty()) {
    FNIMAGE_CHECK(join_url({}, fields.get("Filename")));  // refuses what leaves the mirror
  }
  DebianPackage described{
      .name = std::string(package.name),
      .version = std::string(package.version),
      .architecture = std::string(architecture),
      .suite = index_.suite(package),
      .file = std::string(fields.get("Filename")),
      .sha256 = std::move(*digest),
      .size = *size,
      .installed_size = unsigned_number(fields.get("Installed-Size")).value_or(0) * kib};
  if (node.parent != nullptr) {
    described.wanted_by = node.parent->package.name;
  }
  for (const Node* need : needs_of(node)) {
    described.needs.emplace_back(need->package.name);
  }
  return described;
}

Result<Resolution> Resolver::result() {
  std::set<const Node*> seen;
  std::vector<const Node*> order;
  for (const auto& [name, node] : chosen_) {
    order_from(*node, seen, order);
  }
  Resolution resolution;
  for (const Node* node : order) {
    FNIMAGE_TRY(auto package, describe(*node));
    resolution.packages.push_back(std::move(package));
  }
  for (const auto& [name, reason] : request_.exclude) {
    if (!reached_excludes_.contains(name)) {
      resolution.unused_excludes.push_back(name);
    }
  }
  return resolution;
}

}  // namespace

Result<Resolution> resolve_packages(const PackageIndex& index, const PackageRequest& request) {
  return Resolver(index, request).run();
}

}  // namespace fnimage::source::debian
