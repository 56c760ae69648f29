"""`make fuzz`: run every target for a while, and say how often each ran."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.targets import TARGETS, Target

_DONE = re.compile(r"stat::number_of_executed_units: (\d+)")
_MAX_LENGTH = 20_000  # over the limit of bodies, and far over that of tokens


def main() -> int:
    """Run the targets that are asked for; 1 when one of them failed."""
    asked = _arguments()
    names = asked.targets or list(TARGETS)
    total, failed = 0, []
    for name in names:
        runs, has_failed = _fuzz(name, asked, asked.seconds / len(names))
        total += runs
        failed += [name] * has_failed
        print(f"{name:12} {runs:>12,} runs", flush=True)
    print(f"{'together':12} {total:>12,} runs; failed: {', '.join(failed) or 'none'}")
    return bool(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="all of them without a name")
    parser.add_argument(
        "--seconds", type=float, default=60, help="for all together (default: 60)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="add what was found to the corpus"
    )
    asked = parser.parse_args()
    if unknown := set(asked.targets) - set(TARGETS):
        parser.error(f"no such target: {min(unknown)}; there are {', '.join(TARGETS)}")
    return asked


def _fuzz(name: str, asked: argparse.Namespace, seconds: float) -> tuple[int, bool]:
    """Run one target in a process of its own, which libFuzzer ends."""
    target = TARGETS[name]
    target.corpus.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        for i, seed in enumerate(target.seeds):
            Path(scratch, f"seed-{i}").write_bytes(seed)
        ended = _libfuzzer(
            name,
            f"-max_total_time={max(1, round(seconds))}",
            f"-max_len={_MAX_LENGTH}",
            "-timeout=5",  # one input that takes so long has failed
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            f"-artifact_prefix={target.corpus}/failed-",
            scratch,
            str(target.corpus),
        )
        if ended.returncode:
            print(ended.stderr, file=sys.stderr)
        elif asked.keep:
            _keep(name, target, scratch)
    done = _DONE.search(ended.stderr)
    return int(done[1]) if done else 0, ended.returncode != 0


def _keep(name: str, target: Target, scratch: str) -> None:
    """Add the inputs that lead where no input of the corpus leads."""
    _libfuzzer(name, "-merge=1", f"-max_len={_MAX_LENGTH}", str(target.corpus), scratch)


def _libfuzzer(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.child", name, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
