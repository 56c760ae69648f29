"""What a run found: as text, as JSON beside the last one, and as a picture."""

from __future__ import annotations

import json
import os
import platform
import ssl
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Bar, Group, middle_half

RESULTS = Path(__file__).parent / "results"
LATEST = RESULTS / "latest.json"
MOVED = 0.1  # a figure that changed by less is not worth a line
PACKAGES = (
    "Flask",
    "Flask-Login",
    "itsdangerous",
    "Werkzeug",
    "msgspec",
    "cryptography",
    "Django",
    "Flask-HTTPAuth",
    "Flask-JWT-Extended",
    "Flask-Security",
    "joserfc",
    "orjson",
    "PyJWT",
    "pyseto",
)

Document = dict[str, Any]


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    cpu = platform.processor() or "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if "model name" in line]
        cpu = lines[0].partition(":")[2].strip() if lines else cpu
    return {
        "cpu": f"{os.cpu_count()} x {cpu}",
        "system": platform.system(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
    }


def document(groups: Sequence[Group], bars: Sequence[Bar], rounds: int) -> Document:
    """Return all that is kept of a run."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "rounds": rounds,
        "machine": machine(),
        "versions": {name: version(name) for name in PACKAGES},
        "groups": {group.title: _figures(group) for group in groups},
        "bars": {
            bar.what: {
                "value": round(bar.value, 3),
                "bound": bar.bound,
                "kept": bar.is_kept,
            }
            for bar in bars
        },
    }


def _figures(group: Group) -> Document:
    rows = {}
    for name, samples in group.samples.items():
        ratios = group.ratios(name)
        rows[name] = {
            "median": round(statistics.median(samples), 3),
            "ratio": round(statistics.median(ratios), 3),
            "middle_half": [round(each, 3) for each in middle_half(ratios)],
            "note": group.notes.get(name, ""),
        }
    return {
        "unit": group.unit,
        "base": group.base,
        "is_overhead": group.is_overhead,
        "rows": rows,
    }


def text(found: Document) -> str:
    """Return a run as Markdown tables."""
    lines = [", ".join(found["machine"].values()) + f", {found['date']}"]
    for title, group in found["groups"].items():
        compared = f"added / {group['base']}" if group["is_overhead"] else group["base"]
        if not group["is_overhead"]:
            compared = f"x {compared}"
        lines += [
            "",
            f"| {title} | {group['unit']} | {compared} | middle half | |",
            "| --- | ---: | ---: | --- | --- |",
        ]
        for name, row in group["rows"].items():
            low, high = row["middle_half"]
            figures = f"{row['median']:.4g} | {row['ratio']:.2f} | {low:.2f}-{high:.2f}"
            lines.append(f"| {name} | {figures} | {row['note']} |")
    lines += ["", "| bar | bound | this run | |", "| --- | --- | ---: | --- |"]
    for what, bar in found["bars"].items():
        kept = "" if bar["kept"] else "missed"
        lines.append(f"| {what} | {bar['bound']} | {bar['value']:.3g} | {kept} |")
    return "\n".join(lines)


def moved(found: Document, before: Document) -> str:
    """Return which ratios changed since another run, as lines."""
    lines = []
    for title, group in found["groups"].items():
        for name, row in group["rows"].items():
            old = before["groups"].get(title, {}).get("rows", {}).get(name)
            if old and abs(row["ratio"] - old["ratio"]) > MOVED * max(
                0.1, old["ratio"]
            ):
                change = f"{old['ratio']:.2f} -> {row['ratio']:.2f}"
                lines.append(f"{title}: {name}: {change}")
    return "\n".join(lines) or "nothing moved by more than a tenth"


def keep(found: Document, *, is_whole: bool) -> None:
    """Write a run in place of the last one, or over the parts that it measured anew."""
    before = {} if is_whole else last()
    for key in ("groups", "bars"):
        found[key] = before.get(key, {}) | found[key]
    RESULTS.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(found, indent=1) + "\n")


def last() -> Document:
    """Return the run that was kept last; empty when there is none."""
    found: Document = json.loads(LATEST.read_text()) if LATEST.exists() else {}
    return found
