// The notebook runtime. What the modules need of the image is stated at their tops; all of them are
// there in both modes, since together they are smaller than one page of a kernel's libraries.
#include "notebook.hpp"

#include <fmt/format.h>

#include "action_files.hpp"
#include "embedded.hpp"

namespace fnimage::runtime {

Result<Runtime> make_notebook(const Request& request) {
  if (!request.main.ends_with(".ipynb")) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("source.main \"{}\" is not a notebook (.ipynb)", request.main),
                "name the notebook, or choose another runtime");
  }
  FNIMAGE_TRY(Runtime runtime,
              make_python_action(request, {{"notebook_action.py", notebook_action_py},
                                           {"notebook_cells.py", notebook_cells_py},
                                           {"notebook_compiled.py", notebook_compiled_py},
                                           {"notebook_kernel.py", notebook_kernel_py},
                                           {"notebook_parameters.py", notebook_parameters_py},
                                           {"notebook_results.py", notebook_results_py},
                                           {"notebook_run.py", notebook_run_py}}));
  runtime.env["FNIMAGE_NOTEBOOK_MODE"] = request.compiled ? "compiled" : "kernel";
  if (!request.compiled) {
    runtime.debian_packages.insert(runtime.debian_packages.end(),
                                   {"python3-ipykernel", "python3-nbclient"});
  }
  return runtime;
}

Starter notebook_starter() {
  return {.file_name = "handler.ipynb", .text = R"json({
 "cells": [
  {
   "cell_type": "markdown",
   "metadata": {},
   "source": [
    "The cell tagged `parameters` says what the function can be called with, and the defaults."
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "metadata": {
    "tags": [
     "parameters"
    ]
   },
   "outputs": [],
   "source": [
    "name = \"stranger\"  # whom to greet"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "metadata": {},
   "outputs": [],
   "source": [
    "import os\n",
    "\n",
    "result = {\"greeting\": f\"Hello, {name}!\", \"machine\": os.uname().machine}"
   ]
  }
 ],
 "metadata": {
  "kernelspec": {
   "display_name": "Python 3",
   "language": "python",
   "name": "python3"
  },
  "language_info": {
   "name": "python"
  }
 },
 "nbformat": 4,
 "nbformat_minor": 4
}
)json"};
}

}  // namespace fnimage::runtime
