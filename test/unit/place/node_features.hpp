// What Node Feature Discovery makes of an image's compatibility: the features of a node, and rules
// over them. Written from its documentation (docs/usage/customization-guide.md, "Feature rule
// format", and docs/usage/image-compatibility.md) on the document alone, so that it shares no
// mistake with what it judges.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace fnimage::place::nfd {

using nlohmann::json;

/// By their names, "cpu.cpuid". A set that is there may be empty; one that is not there matches
/// nothing.
struct Features {
  std::map<std::string, std::set<std::string>> flags{};
  std::map<std::string, std::map<std::string, std::string>> attributes{};
  std::map<std::string, std::vector<std::map<std::string, std::string>>> instances{};
};

/// What a worker found that made these labels.
Features features_of(const json& labels);

/// Whether a node has what the document asks for. Rules are read in both of the ways that there
/// are: all of a compatibility's have to hold for people who read what `nfd compat validate-node`
/// says, any one makes a node a member of a NodeFeatureGroup. They must not differ, which fails the
/// test. An expression that cannot be evaluated makes it false as a whole.
bool holds(const json& document, const Features& features);

/// What is wrong with the document by its schema; empty = nothing.
std::vector<std::string> faults_of(const json& document);

/// The document as Go's YAML reads it. Words that are numbers or truth without their quotes fail
/// the test: Go would refuse them where text has to be.
json loaded(const std::string& yaml);

}  // namespace fnimage::place::nfd
