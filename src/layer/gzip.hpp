// The gzip engine. Private to layer. Thread-safety: see compression.hpp.
#pragma once

#include <memory>
#include <string>

#include <fnimage/layer/compression.hpp>

namespace fnimage::layer::detail {

std::string gzip_engine_id();
std::unique_ptr<Compressor> make_gzip(Writer& out, WorkerPool& pool,
                                      std::shared_ptr<BlockPool> blocks);

}  // namespace fnimage::layer::detail
