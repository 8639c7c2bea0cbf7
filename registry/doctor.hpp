// The part of the examination that writes: uploads, manifests, tags, removal. Thread-safety: one
// thread.
#pragma once

#include <fnimage/registry/doctor.hpp>

#include "session.hpp"

namespace fnimage::registry {

/// Tries everything in a repository and appends what was found. Sets diagnosis.problem when a blob,
/// an image or a list cannot be stored.
void examine_repository(Session& session, const std::string& repository, Diagnosis& diagnosis);

}  // namespace fnimage::registry
