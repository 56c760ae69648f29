"""An application for the servers of `test_servers`: as WSGI, and wrapped as ASGI."""

from __future__ import annotations

import os
from typing import Any

from a2wsgi import WSGIMiddleware

from tests.neighbours.kit import ORDERS, join

shop = join(
    ORDERS[0],
    lambda app: None,
    config={
        "TESTING": False,
        "TOKENAUTH_SESSION_URL": os.environ.get("SESSION_URL", "memory://"),
    },
)
app: Any = shop.app
asgi = WSGIMiddleware(app)
