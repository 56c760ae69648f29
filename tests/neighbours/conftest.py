"""What the tests of each neighbour may ask for."""

from __future__ import annotations

import pytest

from tests.neighbours.kit import ORDERS


@pytest.fixture(params=ORDERS)
def order(request: pytest.FixtureRequest) -> str:
    """Which of the two is set up first."""
    return str(request.param)
