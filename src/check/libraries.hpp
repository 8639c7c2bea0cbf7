// How the dynamic loader of an image finds libraries: DT_RPATH, LD_LIBRARY_PATH, DT_RUNPATH,
// /etc/ld.so.cache, default directories; a library for another machine is passed over. Directories
// for newer processors (glibc-hwcaps) are not looked into: an image must work without. Sources:
// ld.so(8), gABI ch. 5 "Shared Object Dependencies", musl's dynlink.c for its path file.
// Thread-safety: belongs to one thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/check/image_files.hpp>
#include <fnimage/elf/object.hpp>
#include <fnimage/manifest/image_config.hpp>

#include "survey.hpp"

namespace fnimage::check {

/// An object of the image, parsed.
struct LoadedObject {
  std::string path;  ///< relative to the root, without links
  elf::Object object;
  std::vector<std::string> rpath{};    ///< the directories of DT_RPATH; none beside a DT_RUNPATH
  std::vector<std::string> runpath{};  ///< the directories of DT_RUNPATH
  std::set<std::string, std::less<>> versions{};  ///< that it defines
};

class Libraries {
 public:
  /// All must outlive it.
  Libraries(const ImageFiles& files, const Survey& survey, const manifest::ImageConfig& config);

  /// The object at a path (without links); null when it cannot be read as one, which why() says.
  const LoadedObject* object(const std::string& path);
  [[nodiscard]] std::string why(const std::string& path) const;

  /// The library that `from` gets for a name. @param inherited DT_RPATHs of those that load it,
  /// nearest first.
  const LoadedObject* find(const std::string& name, const LoadedObject& from,
                           const std::vector<const LoadedObject*>& inherited = {});

  /// Where a library of that name, for the same machine, is in the image; empty = nowhere.
  const std::string& anywhere(const std::string& name, const elf::Identity& machine);
  /// Whether so much was looked up that nothing is found any more: no image of good will gets
  /// there.
  [[nodiscard]] bool is_exhausted() const noexcept;
  /// Whether objects in that directory are found by their names alone.
  bool is_searched(std::string_view directory, const elf::Identity& machine);

 private:
  /// What the loader of a machine knows by itself.
  struct Defaults {
    std::vector<std::string> directories{};
    std::multimap<std::string, std::string, std::less<>> cache{};  ///< name -> path
    std::set<std::string, std::less<>> searched{};                 ///< real directories of both
  };

  const Defaults& defaults_for(const elf::Identity& machine);
  std::string loader_of(const elf::Identity& machine);
  void read_cache(const elf::Identity& machine, Defaults& defaults) const;
  const LoadedObject* in_cache(const std::string& name, const elf::Identity& machine);
  const LoadedObject* in_directories(const std::vector<std::string>& directories,
                                     const std::string& name, const elf::Identity& machine);
  const LoadedObject* at(const std::string& path, const elf::Identity& machine);

  const ImageFiles& files_;
  const Survey& survey_;
  std::vector<std::string> environment_;  ///< LD_LIBRARY_PATH
  std::map<std::string, std::unique_ptr<LoadedObject>, std::less<>> objects_;
  std::map<std::string, std::string, std::less<>> broken_;
  std::map<std::string, Defaults, std::less<>> defaults_;                ///< by machine
  std::multimap<std::string, std::string, std::less<>> by_name_;         ///< file name -> path
  std::map<std::pair<std::string, std::string>, std::string> anywhere_;  ///< by machine and name
  std::size_t lookups_ = 0;
};

}  // namespace fnimage::check
