"""Times of calls that take turns, so that what else the machine does hits all alike.

A figure is the median of its rounds; a ratio is the median of the ratios of the same
round, and its spread the middle half of them (the interquartile range).
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

Samples = dict[str, list[float]]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A figure of ours that is promised, and whether this run kept it."""

    what: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_kept(self) -> bool:
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    @property
    def bound(self) -> str:
        return f"<= {self.at_most}" if self.at_least is None else f">= {self.at_least}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """What was measured side by side, each compared with the same one."""

    title: str
    unit: str
    base: str
    samples: Samples
    notes: Mapping[str, str] = field(default_factory=dict)
    is_overhead: bool = False  # compare what is added to the base, as shares of it

    def ratios(self, name: str, base: str | None = None) -> list[float]:
        """Return the ratios of the same round; what is added, as shares of the base."""
        pairs = zip(self.samples[name], self.samples[base or self.base], strict=True)
        less = 1 if self.is_overhead and base is None else 0
        return [one / other - less for one, other in pairs]

    def ratio(self, name: str, base: str | None = None) -> float:
        return statistics.median(self.ratios(name, base))

    def ratio_of_medians(self, name: str) -> float:
        """Return a ratio that single slow calls do not move."""
        base = statistics.median(self.samples[self.base])
        return statistics.median(self.samples[name]) / base

    def added_ratio(self, name: str, other: str) -> float:
        """Return what one adds to the base over what another adds."""
        three = [self.samples[each] for each in (name, other, self.base)]
        rounds = zip(*three, strict=True)
        shares: list[float] = [(a - c) / (b - c) for a, b, c in rounds]
        return statistics.median(shares)


def middle_half(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and the third quartile."""
    low, _, high = statistics.quantiles(values, n=4)
    return low, high


def take_turns(
    title: str,
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    number: int,
    clock: Callable[[], float] = time.process_time,
) -> Samples:
    """Return microseconds a call of each, one figure a round.

    Args:
        title: Shown while it runs.
        calls: What is measured; each begins one round in turn.
        rounds: How many.
        number: Calls of each in a round.
        clock: Seconds: CPU time of the process, or wall time where a server is asked.
    """
    samples: Samples = {name: [] for name in calls}
    names = list(calls)
    for call in calls.values():  # caches and lazy imports are filled before
        call()
    gc.collect()
    gc.freeze()
    for turn in progress(title, rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            call = calls[name]
            begun = clock()
            for _ in repeat(None, number):
                call()
            samples[name].append((clock() - begun) / number * 1e6)
    gc.unfreeze()
    return samples


def progress(title: str, rounds: int) -> Iterator[int]:
    """Yield the rounds, and show how far they are."""
    for turn in range(rounds):
        if sys.stderr.isatty() or turn == 0:
            end = "" if sys.stderr.isatty() else "\n"
            print(f"\r{title}: {turn}/{rounds} ", end=end, file=sys.stderr, flush=True)
        yield turn
    if sys.stderr.isatty():
        print(f"\r{title}: done{' ' * 12}", file=sys.stderr)
