// Quantities as Kubernetes writes them: "4", "500m", "16Gi", "1e3", "2.5Gi" (apimachinery
// pkg/api/resource quantity.go). Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>

namespace fnimage::node {

/// A quantity of at least 0 in units of 1/`per_unit`, rounded up as Kubernetes does: "1500m" is
/// 1500 with 1000 per unit and 2 with 1. Error: invalid_input, also for what does not fit 63 bits;
/// the message is to follow the name of the field: "is no quantity: …".
Result<std::uint64_t> parse_quantity(std::string_view text, std::uint64_t per_unit = 1);

/// The shortest text that parse_quantity() reads as this many; of two that are as short the one
/// with a binary suffix: "16Gi", "1k", "1500".
std::string quantity_text(std::uint64_t value);

/// The same for thousandths: "4", "500m".
std::string millis_text(std::uint64_t millis);

}  // namespace fnimage::node
