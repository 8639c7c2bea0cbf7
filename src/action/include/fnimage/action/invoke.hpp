// One activation of a running action, from /init to the judged result. Thread-safety: may be called
// from several threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <fnimage/action/client.hpp>
#include <fnimage/base/result.hpp>

namespace fnimage::action {

enum class Initialisation : std::uint8_t {
  where_due,  ///< an action that says that it was initialised before is run all the same
  required,   ///< that is an error
  none        ///< only /run
};

struct Invocation {
  std::string arguments = "{}";  ///< JSON object or array
  Initialisation initialisation = Initialisation::where_due;
  Variables environment{};  ///< for /init
};

struct Activation {
  std::string id{};
  bool initialised = false;  ///< by this call
  std::chrono::milliseconds init_time{0};
  Answer answer{};
  Judgement judgement{};
};

/// What the function answers, errors too, is a value. Errors: that it cannot be reached or
/// initialised.
Result<Activation> invoke(const Client& client, const Invocation& invocation);

}  // namespace fnimage::action
