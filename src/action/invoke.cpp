#include <utility>

#include <fmt/format.h>

#include <fnimage/action/invoke.hpp>

namespace fnimage::action {

namespace {

/// Not initialised, and no way to be.
Error init_error(const Answer& answer, std::string_view request) {
  if (says_initialised(answer)) {
    return Error(ErrorCode::already_exists, "the action was initialised before")
        .with_hint("start it anew, or leave out --init");
  }
  constexpr int forbidden = 403;
  Error error = error_of(judge_init(answer), request);
  if (answer.status != forbidden) {
    return error;
  }
  return Error(error.code(), error.message())
      .with_hint(
          "it wants its code with /init: only an image that has its function can be called "
          "without");
}

/// True when this initialised it.
Result<bool> initialise(const Client& client, const Invocation& invocation,
                        Activation& activation) {
  if (invocation.initialisation == Initialisation::none) {
    return false;
  }
  FNIMAGE_TRY(const Answer answer, client.init(activation.id, invocation.environment));
  if (judge_init(answer).outcome == Outcome::success) {
    activation.init_time = answer.took;
    return true;
  }
  if (says_initialised(answer) && invocation.initialisation == Initialisation::where_due) {
    return false;
  }
  return fail(init_error(answer, fmt::format("POST {}", client.init_path())));
}

/// In one request where that is due: a single endpoint is told all at once.
Result<void> call_single(const Client& client, const Invocation& invocation,
                         Activation& activation) {
  if (invocation.initialisation != Initialisation::none) {
    FNIMAGE_TRY(activation.answer,
                client.init_and_run(activation.id, invocation.environment, invocation.arguments));
    activation.initialised = !says_initialised(activation.answer);
    if (activation.initialised) {
      return {};
    }
    if (invocation.initialisation == Initialisation::required) {
      return fail(init_error(activation.answer, "POST /"));
    }
  }
  FNIMAGE_TRY(activation.answer, client.run(activation.id, invocation.arguments));
  return {};
}

}  // namespace

Result<Activation> invoke(const Client& client, const Invocation& invocation) {
  Activation activation{.id = new_activation_id()};
  if (client.endpoint().knative) {
    FNIMAGE_CHECK(call_single(client, invocation, activation));
  } else {
    FNIMAGE_TRY(activation.initialised, initialise(client, invocation, activation));
    FNIMAGE_TRY(activation.answer, client.run(activation.id, invocation.arguments));
  }
  activation.judgement = judge_run(activation.answer);
  return activation;
}

}  // namespace fnimage::action
