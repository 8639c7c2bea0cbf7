// The sink that drops everything.
#include <fnimage/base/diagnostics.hpp>

namespace fnimage {

namespace {

class NullTask final : public ProgressTask {
 public:
  void update(std::uint64_t /*done*/) noexcept override {}
  void finish(std::string_view /*outcome*/) noexcept override {}
};

class NullDiagnostics final : public Diagnostics {
 public:
  void report(Severity /*severity*/, std::string_view /*message*/) noexcept override {}
  std::unique_ptr<ProgressTask> begin(std::string_view /*label*/,
                                      std::uint64_t /*total*/) noexcept override {
    return std::make_unique<NullTask>();
  }
};

}  // namespace

Diagnostics& null_diagnostics() noexcept {
  static NullDiagnostics sink;
  return sink;
}

}  // namespace fnimage
