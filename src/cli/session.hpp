// What a command works with: the console, the registry client (made when first needed) and the
// local store. Thread-safety: belongs to one thread.
#pragma once

#include <filesystem>
#include <memory>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "console.hpp"
#include "options.hpp"

namespace fnimage::cli {

struct Settings {
  CommonOptions common;
  RegistryOptions registry;
};

class Session {
 public:
  /// Both must outlive the session.
  Session(const Settings& settings, Console& console) : settings_(settings), console_(console) {}

  [[nodiscard]] const CommonOptions& common() const noexcept { return settings_.common; }
  [[nodiscard]] Console& console() noexcept { return console_; }

  /// Owned by the session. Error: a broken docker config.json, or options that contradict.
  Result<registry::Client*> client();
  /// The transport below the client.
  Result<std::shared_ptr<registry::Transport>> transport();

  static Result<std::filesystem::path> local_directory();
  /// The local store. Error: not_found with Mode::existing before anything was built.
  static Result<std::unique_ptr<registry::OciLayout>> local_store(registry::OciLayout::Mode mode);

 private:
  const Settings& settings_;
  Console& console_;
  std::shared_ptr<registry::Transport> transport_;
  std::unique_ptr<registry::Client> client_;
};

}  // namespace fnimage::cli
