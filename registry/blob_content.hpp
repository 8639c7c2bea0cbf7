// Content that stores hand out and take. Private to registry.
// Thread-safety: as Content, may be opened from several threads at once.
#pragma once

#include <string>

#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry::detail {

/// `inner` whose readers verify size and digest before their end, from whatever offset they start.
/// It does not offer inner's file: what lies there is not known to be right.
ContentPtr verified_content(ContentPtr inner, manifest::Digest digest, std::string what);

/// A blob of `from` that is asked for when first read: a destination that has it never reads it.
/// `from` must outlive the content.
ContentPtr lazy_blob(ImageStore& from, manifest::Descriptor blob);

}  // namespace fnimage::registry::detail
