#!/usr/bin/env python3
"""Retrains the model and publishes it: what a trigger of the platform does, or cron.

    trigger.py TRAIN_URL IMAGE [PARAMETERS] [-- OPTIONS OF FNIMAGE]

Calls the function `train` at TRAIN_URL (http://HOST:PORT) with PARAMETERS (a JSON object), stores the
model that it answers with as test/model.h5, and publishes IMAGE, the function `test`, with it: the
first time by building it, from then on by replacing the layer of the model, on every platform.
"""

import base64
import json
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

TEST = pathlib.Path(__file__).resolve().parent / "test"
MODEL = TEST / "model.h5"
NOT_FOUND = 4  # fnimage's exit code


def call(url, value):
    """What an action answers, as the platform would ask it."""
    for path, body in (("/init", {}), ("/run", value)):
        request = urllib.request.Request(
            url + path, json.dumps({"value": body}).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request) as answer:
                result = json.load(answer)
        except urllib.error.HTTPError as error:
            if path == "/init" and error.code == 403:  # it was called before
                continue
            raise SystemExit(f"{url}{path}: {error.read().decode()}") from None
    if "error" in result:
        raise SystemExit(f"{url}: {json.dumps(result['error'], indent=2)}")
    return result


def publish(image, options):
    """A new layer where the image is there already; else the image."""
    known = subprocess.run(["fnimage", "inspect", *options, image], capture_output=True, check=False)
    if known.returncode == NOT_FOUND:
        command = ["build", "--push", *options, "-t", image, TEST]
    else:
        command = ["layer", "replace", *options, image, "--name", "model", "--from", MODEL]
    subprocess.run(["fnimage", *command], check=True)


def main():
    words = sys.argv[1:]
    options = words[words.index("--") + 1 :] if "--" in words else []
    words = words[: words.index("--")] if "--" in words else words
    if len(words) not in (2, 3):
        raise SystemExit(__doc__)
    url, image = words[:2]
    trained = call(url, json.loads(words[2]) if len(words) > 2 else {})
    MODEL.write_bytes(base64.b64decode(trained.pop("model")))
    print(f"trained: {json.dumps(trained)}")
    publish(image, options)


if __name__ == "__main__":
    main()
