// Builds a function for all its platforms and publishes it, in a program that can be asked to stop:
// publish DIRECTORY REFERENCE.
#include <csignal>
#include <iostream>
#include <string>
#include <thread>

#include <pthread.h>

//! [publish]
#include <fnimage/build/environment.hpp>
#include <fnimage/build/init.hpp>
#include <fnimage/build/output.hpp>
#include <fnimage/build/publish.hpp>

namespace {

using namespace fnimage;

/// Every step may fail; FNIMAGE_TRY hands the error to whoever called.
Result<std::string> publish(const std::string& directory, const std::string& name,
                            const std::stop_token& stop, Diagnostics& diagnostics) {
  FNIMAGE_TRY(const manifest::Reference reference, build::parse_destination(name));
  FNIMAGE_TRY(const build::BuildSpec spec,
              build::load_spec(std::filesystem::path(directory) / build::build_file_name));
  // One for each job that is to be stopped by itself.
  FNIMAGE_TRY(const auto owned, build::OwnedEnvironment::open(
                                    {.client = {.plain_http = true}, .stop = stop}, diagnostics));
  const build::Environment& environment = owned->environment();
  FNIMAGE_TRY(const build::Output output,
              build::Output::open("", {reference}, spec, {}, environment));
  FNIMAGE_TRY(const build::BuiltAndPublished done,
              build::build_and_publish(spec, {}, output.store(), output.tags(), {reference}, {},
                                       environment));
  return done.published.front().reference.str() + "@" + done.built.list.digest.str();
}

/// The library never prints: this is where its messages go, from any thread.
class Log final : public Diagnostics {
 public:
  void report(Severity severity, std::string_view message) noexcept override {
    if (severity == Severity::warning) {
      std::cerr << "warning: " + std::string(message) + "\n";
    }
  }
  std::unique_ptr<ProgressTask> begin(std::string_view label,
                                      std::uint64_t total) noexcept override {
    return null_diagnostics().begin(label, total);  // no progress
  }
};

}  // namespace
//! [publish]

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "publish DIRECTORY REFERENCE\n";
    return 2;
  }
  // SIGTERM is waited for by a thread, which asks the job to stop.
  sigset_t signals{};
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::stop_source stop;
  std::thread([signals, stop]() mutable {
    int signal = 0;
    sigwait(&signals, &signal);
    stop.request_stop();
  }).detach();
  Log log;
  const auto published = publish(argv[1], argv[2], stop.get_token(), log);
  if (!published) {
    std::cerr << published.error().describe() << "\nhint: " << published.error().hint() << '\n';
    return exit_code(published.error().code());
  }
  std::cout << *published << '\n';
  return 0;
}
