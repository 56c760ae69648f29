"""One target under atheris, until libFuzzer has had enough."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["tokenauth", "tests.fuzz"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    _, name, *options = sys.argv
    # libFuzzer starts itself again when it merges corpora: through a shell, as this.
    program = f"{sys.executable} -m tests.fuzz.child {name}"
    atheris.Setup([program, *options], TARGETS[name].run)
    atheris.Fuzz()  # ends the process
