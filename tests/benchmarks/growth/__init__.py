"""Whether what is asked all the time costs more beside more of anything.

There is one application or store a size. Calls go in turn to each of them, each for
another session or user, so what else the machine does hits all sizes alike.

No engine waits for its disk here, since that would hide what is looked for.

What is promised is promised of whole answers. Their smallest parts are shown as well:
what takes a microsecond in memory takes more beside a million of them, since the
processor has not all of them in its caches.
"""

from __future__ import annotations

from tests.benchmarks.growth import keys, sessions, users
from tests.benchmarks.measure import Bar, Group


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return the groups of sessions, users and keys, and what is promised of them."""
    parts = [part.measure(rounds) for part in (sessions, users, keys)]
    groups = [group for found, _ in parts for group in found]
    return groups, [bar for _, found in parts for bar in found]
