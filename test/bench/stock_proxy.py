"""What actions are served with today, as far as a cold start goes: Flask on gevent's server, as in OpenWhisk's docker
skeleton and Python runtimes. stock_proxy.py python|exec|notebook FILE; a notebook is run by nbclient in a kernel, as
papermill does."""

import json
import os
import subprocess
import sys

import flask
from gevent.pywsgi import WSGIServer

KIND, FILE = sys.argv[1:]
proxy = flask.Flask(__name__)
function = None


def load():
    if KIND == "python":
        names = {"__name__": "action"}
        with open(FILE, encoding="utf-8") as source:
            exec(compile(source.read(), FILE, "exec"), names)
        return names["main"]
    return {"exec": run_program, "notebook": run_notebook}[KIND]


def run_program(value):
    text = json.dumps(value)
    done = subprocess.run([FILE, text], input=text, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_notebook(value):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(FILE, 4)
    lines = "\n".join(f"{name} = {item!r}" for name, item in value.items())
    notebook.cells.insert(1, nbformat.v4.new_code_cell(lines))
    NotebookClient(notebook).execute()
    return {"text": notebook.cells[-1].outputs[-1].text}


@proxy.route("/init", methods=["POST"])
def init():
    global function
    flask.request.get_json(force=True)
    function = load()
    return flask.jsonify(ok=True)


@proxy.route("/run", methods=["POST"])
def run():
    return flask.jsonify(function(flask.request.get_json(force=True)["value"]))


WSGIServer(("", int(os.environ["FNIMAGE_PORT"])), proxy, log=None).serve_forever()
