// fnimage: builds a function for every CPU architecture and publishes it under one name.
#include <csignal>
#include <cstdio>
#include <exception>

#include <malloc.h>

#include "app.hpp"
#include "interrupt.hpp"

int main(int argc, char** argv) {
  // A reader that has gone is reported as a failed write, not as death by a signal.
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT(cert-err33-c): cannot fail for this signal
  // Buffers go back to the system when they are freed. By default glibc keeps them once it has seen
  // some, for each of its arenas: a third of the peak memory of a build.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);  // NOLINT(concurrency-mt-unsafe): no other thread yet
  try {
    fnimage::cli::Interrupt interrupt;
    const int code = fnimage::cli::run(argc, argv, interrupt);
    return code != 0 && interrupt.signal() != 0 && !interrupt.is_taken() ? 128 + interrupt.signal()
                                                                         : code;
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "fnimage: error: internal: %s\n", exception.what());
    return 1;
  }
}
