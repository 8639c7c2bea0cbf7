// An answer that somebody else gives later, on another thread: for whoever has to ask a third party
// first, so that neither an I/O thread nor a worker waits for it. Thread-safety: a Responder may be
// used from any thread, also after the connection or the server has ended.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace fnimage::server {

struct Response;

/// The right to answer one request, which copies share: only the first answer counts. When all
/// copies are gone without one, the client is told that something went wrong.
class Responder {
 public:
  using Send = std::function<void(Response)>;
  /// @param send called once, from any thread; must not wait.
  explicit Responder(Send send) : state_(std::make_shared<State>(std::move(send))) {}
  void operator()(Response response) const;

 private:
  class State {
   public:
    explicit State(Send send) : send_(std::move(send)) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State();
    void answer(Response response);

   private:
    Send send_;
    std::once_flag once_{};
  };
  std::shared_ptr<State> state_;
};

/// Called once, right after Handler::answer() on the same thread. It sees to it that an answer is
/// given, and must not wait for it.
using LateAnswer = std::function<void(Responder)>;

}  // namespace fnimage::server
