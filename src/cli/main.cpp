// fnimage: builds a function for every CPU architecture and publishes it under one name.
#include <csignal>
#include <cstdio>
#include <exception>

#include "app.hpp"

int main(int argc, char** argv) {
  // A reader that has gone is reported as a failed write, not as death by a signal.
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT(cert-err33-c): cannot fail for this signal
  try {
    return fnimage::cli::run(argc, argv);
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "fnimage: error: internal: %s\n", exception.what());
    return 1;
  }
}
