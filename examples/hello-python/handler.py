"""Greets, and says which machine it greets from: the same image name, whatever the node."""

import os


def main(args):
    name = args.get("name", "world")
    machine = os.uname().machine
    print(f"greeting {name} on {machine}")
    return {"greeting": f"Hello, {name}!", "machine": machine}
