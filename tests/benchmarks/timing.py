"""Whether the time of a refused login tells if the account exists.

Logins of an unknown user and wrong passwords of a known one, interleaved in random
order, compared with Welch's t-test as dudect does (Reparaz, Balasch, Verbauwhede:
"Dude, is my code constant time?", 2017): |t| below 4.5 shows no difference, above it
there is one. The same is measured with the dummy hash taken out, so that the test is
known to see a difference. Hashes are cheap here, for a small difference is easier to
see beside little work:

    python -m tests.benchmarks.timing [--pairs 10000]
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tokenauth import DictUserStore, InvalidCredentialsError
from tokenauth.accounts.hash_schemes import Argon2Cost
from tokenauth.accounts.hashing_pool import HashingPool
from tokenauth.accounts.password_check import PasswordChecker
from tokenauth.accounts.passwords import PasswordHasher, hash_password
from tokenauth.accounts.policy import PasswordPolicy
from tokenauth.accounts.throttle import LoginThrottle

THRESHOLD: Final = 4.5
COST: Final = Argon2Cost(memory=256, time=1)
KEPT: Final = 0.9  # slower ones were interrupted: dudect crops them


class Hasty(PasswordChecker, frozen=True, kw_only=True):
    """PasswordChecker with the dummy hash taken out."""

    def check(self, username: str, password: str, address: str | None = None) -> None:  # type: ignore[override]
        if self.users.find(username) is None:
            raise InvalidCredentialsError
        super().check(username, password, address)


def make(credentials: type[PasswordChecker]) -> PasswordChecker:
    """Return what proves the password of `known`, and of nobody else."""
    return credentials(
        users=DictUserStore({"known": hash_password("the right one", COST)}),
        hasher=PasswordHasher(COST),
        policy=PasswordPolicy(),
        throttle=LoginThrottle(
            "1000000000 per day",
            secret=b"k" * 32,
            realm="timing",
            now=time.time,
        ),
        pool=HashingPool(1),
        emit=lambda *_, **__: None,
    )


def sample(checker: PasswordChecker, pairs: int) -> tuple[list[int], list[int]]:
    """Return nanoseconds of logins by unknown and by known users."""
    times: dict[str, list[int]] = {"nobody": [], "known": []}
    for _ in range(pairs):
        for username in random.sample(sorted(times), 2):
            begun = time.perf_counter_ns()
            with suppress(InvalidCredentialsError):
                checker.check(username, "a wrong guess", "192.0.2.1")
            times[username].append(time.perf_counter_ns() - begun)
    return times["nobody"], times["known"]


def welch_t(one: list[int], other: list[int]) -> float:
    """Return the t statistic of two samples, of each without what took longest."""
    longest = sorted(one + other)[int(KEPT * (len(one) + len(other))) - 1]
    kept = [[each for each in times if each <= longest] for times in (one, other)]
    means = [statistics.fmean(times) for times in kept]
    spread = sum(statistics.variance(times) / len(times) for times in kept)
    return (means[0] - means[1]) / math.sqrt(spread)


def measure(credentials: type[PasswordChecker], pairs: int) -> float:
    """Return t of so many pairs, after a warm-up."""
    measured = make(credentials)
    sample(measured, 100)
    one, other = sample(measured, pairs)
    t = welch_t(one, other)
    medians = [statistics.median(times) / 1000 for times in (one, other)]
    print(
        f"{credentials.__name__:12} unknown {medians[0]:7.1f} us, "
        f"known {medians[1]:7.1f} us, t = {t:8.2f}"
    )
    return t


def main() -> None:
    """Measure both and say whether each is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000)
    pairs = parser.parse_args().pairs
    verdicts: list[tuple[type[PasswordChecker], Callable[[float], bool]]] = [
        (PasswordChecker, lambda t: abs(t) < THRESHOLD),
        (Hasty, lambda t: abs(t) >= THRESHOLD),
    ]
    outcomes = [is_right(measure(each, pairs)) for each, is_right in verdicts]
    if not all(outcomes):
        raise SystemExit(f"not as it should be: the threshold is {THRESHOLD}")


if __name__ == "__main__":
    main()
