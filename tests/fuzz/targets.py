"""All that is fuzzed, by name, with the inputs that are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz import api, readers

CORPUS: Final = Path(__file__).parent / "corpus"


class Target(NamedTuple):
    """What is fuzzed.

    Attributes:
        run: Takes any bytes; raises only when something is wrong.
        seeds: Inputs to begin with, made from the code as it is.
    """

    run: Callable[[bytes], None]
    seeds: list[bytes]

    @property
    def corpus(self) -> Path:
        """Folder of the inputs that fuzzing found, each for a way through the code."""
        return CORPUS / self.run.__name__


TARGETS: Final = {
    run.__name__: Target(run, seeds)
    for run, seeds in [*readers.SEEDS.items(), (api.api, api.SEEDS)]
}
