// The webhook over HTTPS. Thread-safety: run() belongs to one thread, stop() to any.
#pragma once

#include <memory>

#include <fnimage/base/result.hpp>
#include <fnimage/resolve/resolver.hpp>

#include "certificate.hpp"
#include "inventory.hpp"
#include "options.hpp"

namespace controller {

class Server {
 public:
  /// All but the options must outlive it.
  Server(Options options, Certificate& certificate, Inventory& inventory,
         fnimage::resolve::Resolver& resolver);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// The port that it listens on. Error: unavailable when it cannot.
  fnimage::Result<int> bind();
  /// Answers until it is stopped, then those that are being answered.
  void run();
  void stop();

  /// Shown by /readyz: what went wrong outside; empty = nothing.
  void report(std::string problem);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace controller
