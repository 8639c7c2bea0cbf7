// Printing of errors in test failures.
#include <fnimage/test/result_matchers.hpp>

namespace fnimage {

void PrintTo(const Error& error, std::ostream* out) {  // NOLINT(readability-identifier-naming)
  *out << "error " << to_string(error.code()) << ": " << error.describe();
  if (!error.hint().empty()) {
    *out << " (hint: " << error.hint() << ")";
  }
}

}  // namespace fnimage
