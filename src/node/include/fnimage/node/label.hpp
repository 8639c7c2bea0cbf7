// What Kubernetes accepts as a label's key and value (apimachinery pkg/util/validation): keys of
// taints and names of resources follow the same rules. Thread-safety: pure functions.
#pragma once

#include <string_view>

#include <fnimage/base/result.hpp>

namespace fnimage::node {

/// "warehouse", "example.com/warehouse": a name of at most 63 bytes, and in front of it, if there
/// is one, a DNS name of at most 253. Error: invalid_argument; the message is to follow what it is
/// about: "is no label key: \"a b\"".
Result<void> check_label_key(std::string_view key);

/// Empty, or like a name of at most 63 bytes. Error: invalid_argument, as for keys.
Result<void> check_label_value(std::string_view value);

}  // namespace fnimage::node
