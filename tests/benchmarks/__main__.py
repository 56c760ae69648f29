"""Measure speed beside the peers.

`make bench` runs all parts; `make bench ONLY=micro,request` some of them. The figures
are compared with those kept in `results/latest.json`; `ARGS=--keep` keeps the new ones
and draws the picture. Run it on a machine that is quiet.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable

from tests.benchmarks import (
    flood,
    footprint,
    growth,
    key_pairs,
    lag,
    micro,
    plot,
    report,
    request,
    served,
    stores,
)
from tests.benchmarks.measure import Bar, Group

Measure = Callable[[int], tuple[list[Group], list[Bar]]]

# Each with the rounds, or for the flood the seconds, that make its figures steady.
PARTS: dict[str, tuple[Measure, int]] = {
    "micro": (micro.measure, 200),
    "key_pairs": (key_pairs.measure, 100),
    "request": (request.measure, 300),
    "stores": (stores.measure, 200),
    "lag": (lag.measure, 100),
    "served": (served.measure, 5),
    "footprint": (footprint.measure, 15),
    "flood": (flood.measure_all, 20),
    "growth": (growth.measure, 1000),
}


def main() -> None:
    """Measure the parts that were asked for."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--only", default="", help="parts, joined by commas")
    parser.add_argument("--rounds", type=int, help="instead of each part's own number")
    parser.add_argument("--keep", action="store_true", help="keep what is found")
    arguments = parser.parse_args()
    names = [name for name in arguments.only.split(",") if name] or list(PARTS)
    if unknown := set(names) - set(PARTS):
        parser.error(
            f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}"
        )
    logging.getLogger("tokenauth").setLevel(logging.ERROR)
    groups: list[Group] = []
    bars: list[Bar] = []
    for name in names:
        measure, rounds = PARTS[name]
        found = measure(arguments.rounds or rounds)
        groups += found[0]
        bars += found[1]
    document = report.document(groups, bars, arguments.rounds or 0)
    print(report.text(document))
    if before := report.last():
        print(f"\nSince {before['date']}:\n{report.moved(document, before)}")
    if arguments.keep:
        report.keep(document, is_whole=set(names) == set(PARTS))
        plot.draw(document, report.RESULTS / "latest.svg")
    sys.exit(0)


if __name__ == "__main__":
    main()
