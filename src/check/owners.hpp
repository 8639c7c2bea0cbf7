// Which Debian package a file is of, from dpkg's lists in the image. Thread-safety: belongs to one
// thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <fnimage/check/image_files.hpp>

namespace fnimage::check {

class Owners {
 public:
  /// `files` must outlive it; nothing is read before the first question.
  explicit Owners(const ImageFiles& files) : files_(files) {}

  /// A package's name; empty when no package has the file.
  std::string package_of(std::string_view path);
  /// "package libblas3", "from /home/me/fn/solver" for a file of this machine, or "layer files".
  std::string origin_of(std::string_view path);

 private:
  void read();

  const ImageFiles& files_;
  bool read_ = false;
  std::map<std::string, std::string, std::less<>> packages_;  ///< path -> name
};

}  // namespace fnimage::check
