"""The `flask` command, as in an environment without other extensions' commands.

What is beside us in that of the tests takes as long to import as all the rest. Several
commands with "," between them run one after the other, and share what they import.
"""

import itertools
import os
import sys
from importlib import import_module, metadata
from typing import Any

from flask.cli import main

installed = metadata.entry_points


def ours(**by: Any) -> Any:
    return installed(**by, name="tokenauth")


def run(words: list[str]) -> None:
    sys.argv = ["flask", *words]
    main()


if __name__ == "__main__":
    metadata.entry_points = ours
    split = itertools.groupby(sys.argv[1:], ",".__ne__)
    *first, last = [list(words) for is_command, words in split if is_command] or [[]]
    if first:
        import_module("flask_migrate")
        import_module("tokenauth.stores.sql")
    for command in first:
        child = os.fork()
        if not child:
            run(command)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"failed: {command}")
    run(last)
