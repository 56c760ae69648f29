"""A real server in a flood of logins, and guesses at it from several processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.benchmarks import flood, timing
from tests.benchmarks.flood import SCENARIOS, Client
from tests.benchmarks.flood_apps import HONEST
from tests.harness.servers import serve


@pytest.mark.parametrize(
    "scenario", [s for s in SCENARIOS if s.app == "ours"], ids=lambda s: s.name
)
def test_a_flood_leaves_honest_clients_served(
    scenario: flood.Scenario, is_full: bool, redis_url: str
) -> None:
    """Pages and owners' logins are all answered; the flood gets 401, 429 or 503.

    How long they take is measured by the benchmark, on a machine that is quiet.
    """
    if not is_full and scenario.name != "ours, gate alone":
        pytest.skip("seconds each: run with --full")
    calm, flooded = flood.measure(scenario, 5 if is_full else 1, redis_url)
    for period in (calm, flooded):
        assert set(period.pages.statuses) == {200}
        assert set(period.logins.statuses) == {200}
    assert set(flooded.flood) <= {"401", "429", "503"}
    # Two workers at 19 MiB, and some for the threads; 64 hashes would take 1216.
    assert flooded.peak_mib - flooded.idle_mib < 2 * 19 + 20


def test_parallel_guesses_at_several_processes_are_all_counted(redis_url: str) -> None:
    """200 at a time, at two workers that count on Redis: at most 10 are computed."""
    env = {
        "FLASK_TOKENAUTH_SESSION_URL": redis_url,
        "FLASK_TOKENAUTH_LOGIN_LIMITS": "10 per hour",
    }
    app = "tests.benchmarks.flood_apps:ours()"
    with serve(app, workers=2, threads=16, env=env) as server:

        def guess(i: int) -> int:
            address = f"127.0.3.{1 + i % 100}"
            with closing(Client(server.url, address)) as client:
                return client.log_in(HONEST, f"a guess of {i}")[0]

        with ThreadPoolExecutor(50) as pool:
            statuses = list(pool.map(guess, range(200)))
    assert 0 < statuses.count(401) <= 10
    assert set(statuses) <= {401, 429, 503}


def test_the_timing_test_sees_a_missing_hash() -> None:
    """The measurement that shows no difference is able to show one."""
    assert abs(timing.measure(timing.Hasty, 200)) > timing.THRESHOLD


def test_samples_of_one_thing_do_not_differ() -> None:
    """Welch's t of the same distribution is small, of another one large."""
    one = list(range(1000, 1100))
    assert abs(timing.welch_t(one, one)) < timing.THRESHOLD
    assert abs(timing.welch_t(one, [t + 50 for t in one])) > timing.THRESHOLD
