// Random clusters in which nothing but hardware decides: nodes with room for everything and without
// taints, and lists whose images ask for more of the hardware than others' do. The same seed gives
// the same.
#pragma once

#include "random_cluster.hpp"

namespace fnimage::place {

/// As random_node(), with devices and their labels as Node Feature Discovery names them. Of
/// processors, memory and TPUs it has plenty, and of graphics processors, too, when it has any.
RandomNode random_hardware(Random& random, const std::string& os, const std::string& architecture);

/// Makes the images of the list need more, most times all of them the same.
void need_hardware(Random& random, RandomList& made);

/// Without the needs for which there is no word among features: `near` and the kinds of TPUs.
void forget_places(RandomList& made);

/// Whether a need for a node's label is one for a feature.
bool is_feature(const std::string& key, const std::string& value);

}  // namespace fnimage::place
