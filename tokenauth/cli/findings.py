"""What a review says about one thing."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Level: TypeAlias = Literal["ok", "warning", "error"]


class Finding(NamedTuple):
    """What was found about one thing.

    Attributes:
        level: `error`: it must be mended; `warning`: it should be, or there is a
            reason; `ok`.
        area: What was looked at.
        text: What was found, and what to mend, in one line.
    """

    level: Level
    area: str
    text: str
