// What a platform's controller asks for each pod: which image a node takes, and what it is to pull.
// controller NODES REFERENCE, where NODES is what `kubectl get nodes -o json` prints.
#include <iostream>
#include <string>

//! [controller]
#include <fnimage/base/stream.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/registry/credentials.hpp>
#include <fnimage/resolve/resolver.hpp>

namespace {

using namespace fnimage;

/// Made once, and asked by any number of threads: what registries say is kept.
Result<std::unique_ptr<resolve::Resolver>> open_resolver() {
  FNIMAGE_TRY(std::shared_ptr<registry::Transport> transport, registry::make_curl_transport({}));
  FNIMAGE_TRY(std::shared_ptr<const registry::CredentialStore> credentials,
              registry::default_credentials());
  auto client = std::make_shared<registry::Client>(std::move(transport), std::move(credentials),
                                                   registry::ClientOptions{.plain_http = true},
                                                   null_diagnostics());
  return std::make_unique<resolve::Resolver>(resolve::open_with(std::move(client)));
}

/// One line for each node: what it is to pull.
Result<std::string> pulls_of(resolve::Resolver& resolver, const std::string& reference,
                             const std::string& nodes_file) {
  FNIMAGE_TRY(const std::string text, read_file(nodes_file, node::max_nodes_bytes));
  FNIMAGE_TRY(const std::vector<node::Node> nodes, node::read_nodes(text, nodes_file));
  FNIMAGE_TRY(const auto found, resolver.resolve(reference, nodes));
  std::string lines;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const resolve::Choice& choice = found.choices[i];
    lines += nodes[i].name + ": " +
             (choice ? found.image.image->pull_name(choice) : "runs on other nodes") + "\n";
  }
  return lines;
}

}  // namespace
//! [controller]

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "controller NODES REFERENCE\n";
    return 2;
  }
  const auto resolver = open_resolver();
  const auto lines = resolver ? pulls_of(**resolver, argv[2], argv[1]) : fail(resolver.error());
  if (!lines) {
    std::cerr << lines.error().describe() << "\nhint: " << lines.error().hint() << '\n';
    return exit_code(lines.error().code());
  }
  std::cout << *lines;
  return 0;
}
