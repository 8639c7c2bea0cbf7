// Reading notebooks: what is kept of them, and what is found out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fnimage/notebook/notebook.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::notebook {
namespace {

using Json = nlohmann::json;
using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;

Json code(const std::string& source, std::vector<std::string> tags = {}) {
  return {{"cell_type", "code"}, {"source", source}, {"metadata", {{"tags", std::move(tags)}}}};
}

Notebook read(const std::vector<Json>& cells) {
  return unwrap(read_notebook(Json{{"cells", cells}, {"nbformat", 4}}.dump(), "a.ipynb"));
}

TEST(Notebook, TheSameNotebookGivesTheSameText) {
  const char* const fresh = R"({
    "nbformat": 4, "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "cells": [
      {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Title\nText",
       "attachments": {"p.png": {"image/png": "AA=="}}},
      {"cell_type": "code", "id": "b", "metadata": {"tags": ["parameters"]}, "source": "x = 1",
       "outputs": [], "execution_count": null}]})";
  const char* const used = R"({
    "metadata": {"kernelspec": {"display_name": "Python 3", "name": "python3"},
                 "widgets": {"state": {}}, "toc": {}},
    "cells": [
      {"source": ["# Title\n", "Text"], "cell_type": "markdown", "id": "a",
       "attachments": {"p.png": {"image/png": "AA=="}}, "metadata": {"editable": true}},
      {"execution_count": 7, "cell_type": "code", "id": "b", "source": ["x = 1"],
       "metadata": {"tags": ["parameters"], "execution": {"iopub.status.busy": "2026-01-01"}},
       "outputs": [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}]}],
    "nbformat_minor": 5, "nbformat": 4})";
  const std::string stripped = unwrap(read_notebook(fresh, "a.ipynb")).stripped;
  EXPECT_EQ(stripped, unwrap(read_notebook(used, "a.ipynb")).stripped);
  EXPECT_EQ(stripped, unwrap(read_notebook(stripped, "a.ipynb")).stripped);
  const Json document = Json::parse(stripped);
  EXPECT_EQ(document["cells"][0]["attachments"]["p.png"]["image/png"], "AA==");
  EXPECT_EQ(document["cells"][0]["source"], Json({"# Title\n", "Text"}));
  EXPECT_EQ(document["cells"][1]["metadata"]["tags"], Json::array({"parameters"}));
  EXPECT_EQ(document["cells"][1]["outputs"], Json::array());
  EXPECT_EQ(document["nbformat_minor"], 5);
}

TEST(Notebook, Version3BecomesVersion4) {
  const Notebook notebook = unwrap(read_notebook(R"({
    "nbformat": 3, "metadata": {"name": "old"},
    "worksheets": [{"cells": [
      {"cell_type": "heading", "level": 2, "source": "Old"},
      {"cell_type": "code", "input": ["y = 2"], "language": "python", "outputs": [],
       "prompt_number": 1}]}]})",
                                                 "a.ipynb"));
  const Json document = Json::parse(notebook.stripped);
  EXPECT_EQ(document["nbformat"], 4);
  EXPECT_EQ(document["cells"][0]["source"], Json::array({"## Old"}));
  EXPECT_EQ(document["cells"][0]["cell_type"], "markdown");
  EXPECT_EQ(document["cells"][1]["source"], Json::array({"y = 2"}));
  EXPECT_EQ(notebook.code, "y = 2\n");
}

TEST(Notebook, SaysWhatItNeeds) {
  const Notebook notebook = unwrap(read_notebook(R"({"cells": [], "metadata": {
    "kernelspec": {"name": "ir", "language": "r"}, "language_info": {"name": "R"}}})",
                                                 "a.ipynb"));
  EXPECT_EQ(notebook.kernel, "ir");
  EXPECT_EQ(notebook.language, "R");
  EXPECT_EQ(notebook.parameters, std::nullopt);
  EXPECT_EQ(read({code("a = 0"), code("b = 1", {"x", "parameters"}), code("c = 2", {"parameters"})})
                .parameters,
            R"({"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",)"
            R"("properties":{"b":{"type":"number","default":1}},"additionalProperties":false})");
}

TEST(Notebook, NamesTheFirstLineThatIsNoPython) {
  const auto first = [](const std::string& source) -> std::string {
    const Notebook notebook = read({code("ok = 1 % 2 != 3"), code(source)});
    return notebook.ipython
               ? std::to_string(notebook.ipython->cell) + ":" +
                     std::to_string(notebook.ipython->number) + " " + notebook.ipython->text
               : "none";
  };
  EXPECT_EQ(first("a = (1\n % 2)\n'''\n%x\n'''\nb = '!?'  # ?!"), "none");
  EXPECT_EQ(first("%matplotlib inline\na = 1"), "none");
  EXPECT_EQ(first("a = 1\n\n%time f()"), "1:3 %time f()");
  EXPECT_EQ(first("!ls it's"), "1:1 !ls it's");
  EXPECT_EQ(first("if a:\n    !ls"), "1:2 !ls");
  EXPECT_EQ(first("a = !ls"), "1:1 a = !ls");
  EXPECT_EQ(first("a = %pwd"), "1:1 a = %pwd");
  EXPECT_EQ(first("f?"), "1:1 f?");
  EXPECT_EQ(first("?f"), "1:1 ?f");
  EXPECT_EQ(first("%%bash\nimport 'x"), "1:1 %%bash");
  EXPECT_EQ(first("%%time\nimport a"), "1:1 %%time");
}

TEST(Notebook, CodeIsWhatPythonSees) {
  EXPECT_EQ(
      read({code("import a\n%load_ext b\nimport c"), code("%%bash\nimport d"),
            code("%%time\nimport e"), Json{{"cell_type", "markdown"}, {"source", "import f"}}})
          .code,
      "import a\n           \nimport c\n      \nimport e\n");
}

TEST(Notebook, WhatIsNoneIsRefused) {
  const auto reading = [](std::string_view text) { return read_notebook(text, "a.ipynb"); };
  for (const char* text :
       {"", "[]", "{}", "{\"cells\": {}}", "{\"cells\": [1]}", "{\"cells\": [{}]}",
        R"({"cells": [{"cell_type": "code", "source": 1}]})",
        R"({"cells": [{"cell_type": "code", "source": ["a", 1]}]})",
        R"({"cells": [{"cell_type": "code", "source": {"a": "b"}}]})", R"({"worksheets": [1]})",
        R"({"worksheets": []})"}) {
    EXPECT_THAT(reading(text), fails_with(ErrorCode::invalid_input, HasSubstr("a.ipynb"))) << text;
  }
}

}  // namespace
}  // namespace fnimage::notebook
