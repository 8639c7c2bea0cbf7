// What the subcommands of `fnimage manifest` share. Thread-safety: belongs to one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/build/list.hpp>

#include "command.hpp"
#include "rehearsal.hpp"
#include "shape_options.hpp"

namespace fnimage::cli {

void set_up_manifest_create(CLI::App& command, Registration registration);
void set_up_manifest_add(CLI::App& command, Registration registration);
void set_up_manifest_remove(CLI::App& command, Registration registration);
void set_up_manifest_annotate(CLI::App& command, Registration registration);
void set_up_manifest_inspect(CLI::App& command, Registration registration);
void set_up_manifest_push(CLI::App& command, Registration registration);
void set_up_manifest_rm(CLI::App& command, Registration registration);

/// A list and the store that it stands in.
struct OpenedList {
  std::unique_ptr<registry::ImageStore> store;
  build::ListTarget target;
};

/// @param push the list in its registry is meant, not the one in the local store.
Result<OpenedList> open_list(std::string_view text, bool push, Session& session);

/// The local store; null when nothing was ever stored.
Result<std::unique_ptr<registry::OciLayout>> local_store_if_any();

/// --push, --dry-run and --no-lint.
struct WhereArguments {
  bool push = false;
  bool dry_run = false;
  bool no_lint = false;
};
void add_push_flags(CLI::App& command, WhereArguments& arguments);

/// Runs a command's work. With --dry-run nothing is written, and what would be is printed instead
/// of the result. Error: invalid_argument for --dry-run without --push.
Result<void> run_or_rehearse(const WhereArguments& arguments, Session& session,
                             const std::function<Result<void>()>& work);

/// --os, --arch, --variant, --os-version, --os-features.
void add_platform_edit_options(CLI::App& command, build::PlatformEdit& edit);

struct ChangedList {
  build::ListTarget target;
  registry::PublishedList published;
};

/// The results of a change for people or programs (an object, or an array when there are several).
/// @param what for people: "Created manifest list".
void print_changed(const std::vector<ChangedList>& lists, std::string_view what, Session& session);

/// print_changed() of the first of `wanted`: as many as are published. Nothing when there are none.
void print_done(const std::vector<build::NewList>& wanted,
                const std::vector<registry::PublishedList>& published, std::string_view what,
                Session& session);

}  // namespace fnimage::cli
