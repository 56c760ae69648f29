"""The picture of the README: what a protected page costs over a public one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

REQUEST = "a request to a protected page"
VERIFY = "verify a token"
OURS = "tokenauth"
COLOURS = {True: "#1a7f5a", False: "#9aa5b1"}


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw two rows of bars, ours in another colour, as SVG."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "tokenauth"  # the same figures, the same file
    mpl.rcParams["font.size"] = 9
    groups = [found["groups"][title] for title in (REQUEST, VERIFY)]
    titles = ("added to a bare Flask request, us", "verifying one token, us")
    sizes = [len(_bars(group)) for group in groups]
    figure, axes = plt.subplots(
        2, 1, figsize=(8, 0.32 * sum(sizes) + 1.2), height_ratios=sizes
    )
    for axis, group, title in zip(axes, groups, titles, strict=True):
        bars = _bars(group)
        drawn = axis.barh(
            list(bars),
            list(bars.values()),
            color=[COLOURS[name == OURS] for name in bars],
        )
        axis.bar_label(drawn, fmt="%.3g", padding=3)
        axis.invert_yaxis()
        axis.set_title(title, loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.1)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


def _bars(group: dict[str, Any]) -> dict[str, float]:
    """Return what is shown of a group, least first."""
    base = group["rows"][group["base"]]["median"] if group["is_overhead"] else 0.0
    bars = {
        name: row["median"] - base
        for name, row in group["rows"].items()
        if not (group["is_overhead"] and name == group["base"])
        and name not in {"64 KiB of junk", "tokenauth, 2 keys"}
    }
    return dict(sorted(bars.items(), key=lambda bar: bar[1]))
