// What placing needs to know of the images of a list. Thread-safety: a function that is pure but
// for the store.
#pragma once

#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/place/place.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::place {

/// Places a list or image: the needs are those that the entry is annotated with, or else the
/// image's own manifest, which is read for it. Errors: those of place(), of the store;
/// invalid_input for needs that cannot be read; not_found for an image that the list names and that
/// is missing.
Result<Placement> place_document(registry::ImageStore& store, const manifest::Document& document,
                                 const Options& options, WorkerPool& pool);

}  // namespace fnimage::place
