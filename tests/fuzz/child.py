"""One target under atheris, until libFuzzer has had enough."""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["tokenauth", "tests.fuzz"]):
    from tests.fuzz.targets import TARGETS
    from tokenauth.events import LOGGER

if __name__ == "__main__":
    # The lines are written, and go nowhere.
    LOGGER.addHandler(logging.NullHandler())
    LOGGER.propagate = False
    LOGGER.setLevel(logging.INFO)
    _, name, *options = sys.argv
    # libFuzzer starts itself again when it merges corpora: through a shell, as this.
    program = f"{sys.executable} -m tests.fuzz.child {name}"
    atheris.Setup([program, *options], TARGETS[name].run)
    atheris.Fuzz()  # ends the process
