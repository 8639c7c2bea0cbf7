// Texts of programs that are read without being run: maintainer scripts (alternatives, users and
// groups), sysusers.d, and the imports of Python modules.
#include "debian/configure/account_scripts.hpp"
#include "debian/configure/alternatives.hpp"
#include "debian/configure/shell.hpp"
#include "fuzz.hpp"
#include "python_source.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage;
  using namespace fnimage::source::debian;
  using fuzz::require;
  const std::string text(fuzz::text_of(data, size));
  const ShellValues known = shell_values("ppc64el", "powerpc64le-linux-gnu");
  std::size_t bytes = 0;
  for (const ShellCommand& command : simple_commands(text, known)) {
    require(!command.words.empty(), "commands have words");
    for (const std::string& word : command.words) {
      bytes += word.size();
    }
  }
  constexpr std::size_t max_bytes = std::size_t{256} << 20U;
  require(bytes <= max_bytes, "what a script says is bounded");
  Layout layout;
  const ImageView image(layout, 0);
  for (const AlternativeInstall& install : read_alternatives(text, known, image)) {
    require(!install.link.empty() && !install.name.empty() && !install.path.empty(),
            "alternatives are whole");
  }
  AccountRequests requests;
  read_account_commands(simple_commands(text, known, "configure"), requests);
  read_sysusers(text, requests);
  for (const UserRequest& user : requests.users) {
    require(!user.name.empty(), "users have names");
  }
  for (const check::Import& import : check::imports_of(text)) {
    require(import.level > 0 || !import.module.empty(), "imports say what they import");
  }
  return 0;
}
