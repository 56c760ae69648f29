"""Which worker runs which tests: one by one, but those that share servers together."""

from __future__ import annotations

import re

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# One worker starts the browser, another all servers of stores.
GROUPS = re.compile(
    r"(?P<stores>stores/|cli/test_check|harness/test_servers|test_unavailable"
    r"|two_hosts|postgresql|cluster|sentinel)"
    r"|(?P<browser>test_(?:browsers|client_js|cookie_attacks|docs_page|site)\.py)"
    r"|(?P<hostile>test_hostile_bytes)"
)


class Grouped(LoadScopeScheduling):
    """Large groups first, then each test to whichever worker is free."""

    def _split_scope(self, nodeid: str) -> str:
        found = GROUPS.search(nodeid)
        return (found and found.lastgroup) or nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> LoadScopeScheduling | None:
    """Do so by `--dist loadgroup`."""
    is_wanted = config.getoption("dist") == "loadgroup"
    return Grouped(config, log) if is_wanted else None
