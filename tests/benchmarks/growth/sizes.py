"""The same call beside few and beside many."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.benchmarks.measure import Bar, Group, take_turns

SIZES: Final = (1_000, 1_000_000)
FLAT: Final = 1.2
ANSWERS: Final = (": request", ": refresh", ": whole login", ": logout")


def beside(
    title: str,
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    notes: Mapping[str, str] | None = None,
) -> Group:
    """Return the times of single calls, compared with those of the first size.

    Each is called `rounds` times, the first of which warms up.
    """
    samples = take_turns(
        f"growth, {title}",
        calls,
        rounds=rounds - 1,
        number=1,
        clock=time.perf_counter,
    )
    return Group(
        title=f"growth, {title}",
        unit="us",
        base=next(iter(calls)),
        samples=samples,
        notes=notes or {},
    )


def flat(groups: Sequence[Group]) -> list[Bar]:
    """Return the bars that whole answers cost beside the most what beside the least."""
    return [
        Bar(
            what=group.title,
            value=group.ratio_of_medians(list(group.samples)[-1]),
            at_most=FLAT,
        )
        for group in groups
        if group.title.endswith(ANSWERS)
    ]
