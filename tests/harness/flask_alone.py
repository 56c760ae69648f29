"""The `flask` command, as in an environment without other extensions' commands.

What is beside us in that of the tests takes as long to import as all the rest.
"""

import sys
from importlib import metadata
from typing import Any

from flask.cli import main

installed = metadata.entry_points


def ours(**by: Any) -> Any:
    return installed(**by, name="tokenauth")


if __name__ == "__main__":
    metadata.entry_points = ours
    sys.argv[0] = "flask"
    main()
