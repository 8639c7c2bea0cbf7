// What a command works with: the console, the registry client (made when first needed) and the
// local store. Thread-safety: belongs to one thread.
#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/dry_run.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "console.hpp"
#include "interrupt.hpp"
#include "options.hpp"

namespace fnimage::cli {

struct Settings {
  CommonOptions common;
  RegistryOptions registry;
  std::stop_token stop;  ///< asked by a signal
  Interrupt* interrupt = nullptr;
};

/// An image, and where it was found.
struct NamedImage {
  registry::Location location;
  registry::OpenedImage opened;
};

class Session {
 public:
  /// Both must outlive the session.
  Session(const Settings& settings, Console& console) : settings_(settings), console_(console) {}

  [[nodiscard]] const CommonOptions& common() const noexcept { return settings_.common; }
  [[nodiscard]] const RegistryOptions& registry_options() const noexcept {
    return settings_.registry;
  }
  [[nodiscard]] Console& console() noexcept { return console_; }
  /// Asked by a signal.
  [[nodiscard]] const std::stop_token& stop_token() const noexcept { return settings_.stop; }

  /// See Interrupt::take().
  [[nodiscard]] std::stop_token take_signals() const { return settings_.interrupt->take(); }
  /// What the process ends with when the command succeeds: another program's own.
  void set_exit_code(int code) noexcept { exit_code_ = code; }
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

  /// Owned by the session. Error: a broken docker config.json, or options that contradict.
  Result<registry::Client*> client();
  /// The transport below the client.
  Result<std::shared_ptr<registry::Transport>> transport();

  /// From now on registries are only read; what would be written is noted. Call it before client().
  Result<void> start_dry_run();
  /// Null when this is none.
  [[nodiscard]] const registry::DryRunTransport* dry_run() const noexcept { return dry_run_.get(); }

  /// What a command's argument names. @param in_local_store looks names with a registry up there
  /// too.
  Result<NamedImage> open_image(const std::string& reference, bool in_local_store);

  /// Where an image is changed, or gets something beside it: what it was read from may be for
  /// reading only. Error: unsupported for an archive.
  static Result<std::shared_ptr<registry::ImageStore>> open_for_writing(NamedImage& named);

  static Result<std::filesystem::path> local_directory();
  /// The local store. Error: not_found with Mode::existing before anything was built.
  static Result<std::unique_ptr<registry::OciLayout>> local_store(registry::OciLayout::Mode mode);

 private:
  const Settings& settings_;
  Console& console_;
  int exit_code_ = 0;
  std::shared_ptr<registry::Transport> transport_;
  std::shared_ptr<registry::DryRunTransport> dry_run_;
  std::unique_ptr<registry::Client> client_;
};

}  // namespace fnimage::cli
