// Jupyter notebooks: what a function that is one needs to know of it, and the notebook without what
// running it has left. Source: nbformat's format description (versions 3 and 4). Thread-safety:
// pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>

namespace fnimage::notebook {

/// The largest notebook that is read, outputs and all, in bytes.
inline constexpr std::size_t max_notebook_bytes = std::size_t{64} << 20;

/// A line that only IPython understands: "%time f()", "!ls", "x?".
struct IpythonLine {
  std::size_t cell = 0;    ///< among all cells, from 0
  std::size_t number = 0;  ///< of the line in its cell, from 1
  std::string text{};
};

struct Notebook {
  /// As nbformat 4, without outputs, execution counts, the state of widgets and whatever else
  /// changes when nothing but the outputs does. The same notebook gives the same text, whichever
  /// program has saved it.
  std::string stripped;
  std::string kernel{};    ///< that its metadata name; empty = none
  std::string language{};  ///< "python"; empty = it says none
  /// The JSON Schema of the parameters, on one line; nullopt without a cell tagged "parameters".
  std::optional<std::string> parameters{};
  /// The first line that plain Python does not understand. "%matplotlib …" is none: it only says
  /// where plots are shown.
  std::optional<IpythonLine> ipython{};
  /// The code of all cells as one Python source; IPython's lines are left empty.
  std::string code{};
};

/// Error: invalid_input for what is no notebook, naming it by `what`.
Result<Notebook> read_notebook(std::string_view text, std::string_view what);

}  // namespace fnimage::notebook
