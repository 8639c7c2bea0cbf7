// The zstd engine. Private to layer. Thread-safety: see compression.hpp.
#pragma once

#include <memory>
#include <string>

#include <fnimage/layer/compression.hpp>

namespace fnimage::layer::detail {

std::string zstd_engine_id();
std::unique_ptr<Compressor> make_zstd(Writer& out, WorkerPool& pool);

}  // namespace fnimage::layer::detail
