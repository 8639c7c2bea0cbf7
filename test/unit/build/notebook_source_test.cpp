// What becomes of a function's notebooks on their way into the image.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "build_fixture.hpp"
#include "user_layers.hpp"

namespace fnimage::build {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

/// A function that is a notebook with these cells of code, the first of them tagged.
BuildSpec notebook_spec(const test::TempDir& project, const std::string& parameters,
                        const std::string& code, std::string_view outputs = "[]") {
  const auto cell = [&](std::string_view tags, const std::string& source) {
    return fmt::format(
        R"({{"cell_type": "code", "metadata": {{"tags": [{}]}}, "source": {}, "outputs": {}}})",
        tags, nlohmann::json(source).dump(), outputs);
  };
  project.write("train.ipynb", fmt::format(R"({{"cells": [{}, {}], "nbformat": 4}})",
                                           cell(R"("parameters")", parameters), cell("", code)));
  BuildSpec spec = scratch_spec(project);
  spec.runtime = "notebook";
  spec.main = "train.ipynb";
  return spec;
}

/// What the source becomes in the image.
Result<std::vector<PlannedLayer>> source_of(const BuildSpec& spec, UserLayers& layers) {
  return layers.make(spec.platforms.front());
}

TEST(Notebooks, AreInTheImageWithoutTheirOutputs) {
  const test::TempDir project;
  const BuildSpec spec = notebook_spec(project, "epochs: int = 5  # how often", "print(epochs)");
  UserLayers fresh(spec, 0);
  const auto first = unwrap(source_of(spec, fresh));
  notebook_spec(project, "epochs: int = 5  # how often", "print(epochs)",
                R"([{"output_type": "stream", "name": "stdout", "text": "5\n"}])");
  UserLayers used(spec, 0);
  const auto second = unwrap(source_of(spec, used));
  EXPECT_EQ(first.front().tree.key(), second.front().tree.key());
  EXPECT_THAT(
      used.labels(),
      ElementsAre(Pair("io.fnimage.notebook.parameters",
                       HasSubstr(R"("epochs":{"type":"integer","default":5,"description":)"))));
}

TEST(Notebooks, MistakesAreNamedBeforeAnythingIsBuilt) {
  const test::TempDir project;
  const auto building = [](BuildSpec spec) {
    UserLayers layers(spec, 0);
    return source_of(spec, layers);
  };
  BuildSpec spec = notebook_spec(project, "a = 1", "!ls");
  EXPECT_THAT(building(spec), is_ok());
  spec.notebook.compiled = true;
  EXPECT_THAT(building(spec),
              fails_with(ErrorCode::invalid_input,
                         HasSubstr("train.ipynb: cell 1, line 1 is no Python: !ls")));
  spec = notebook_spec(project, "a = 1", "b = 2");
  spec.notebook.parameters = false;
  EXPECT_THAT(building(spec), fails_with(ErrorCode::invalid_input, HasSubstr("says none")));
  project.write("train.ipynb", R"({"cells": []})");
  EXPECT_THAT(building(spec), is_ok());
  spec.notebook.parameters = true;
  EXPECT_THAT(building(spec),
              fails_with(ErrorCode::invalid_input, HasSubstr("no cell tagged \"parameters\"")));
  project.write("train.ipynb", R"({"cells": [], "metadata": {"language_info": {"name": "R"}}})");
  EXPECT_THAT(building(spec), fails_with(ErrorCode::invalid_input, HasSubstr("a notebook of R")));
  project.write("train.ipynb", "{");
  EXPECT_THAT(building(spec), fails_with(ErrorCode::invalid_input, HasSubstr("train.ipynb")));
}

}  // namespace
}  // namespace fnimage::build
