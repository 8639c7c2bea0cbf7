// A blob of a registry as Content: a GET that streams while it is read, goes on with Range after a
// broken connection (F18), and is verified before its end (C7, C8). Thread-safety: open() may be
// called from several threads.
#pragma once

#include <memory>
#include <string>

#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/descriptor.hpp>

#include "session.hpp"

namespace fnimage::registry {

/// @param path "/v2/<name>/blobs/<digest>". Nothing is asked until a reader is opened and read; a
/// blob that is not there is not_found from the reader. Readers from offset 0 verify digest and
/// size, others only the size.
ContentPtr remote_blob(std::shared_ptr<Session> session, std::string path, Scopes scopes,
                       const manifest::Descriptor& blob);

}  // namespace fnimage::registry
