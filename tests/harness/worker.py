"""What a client asks of a server that runs."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests.harness.servers import HOST, AppServer


class Answer(NamedTuple):
    status: int
    json: Any


class Worker(NamedTuple):
    """A process that serves the API on its own port, with the stores of all."""

    server: AppServer

    def ask(
        self,
        method: str,
        path: str,
        token: str = "",
        *,
        form: dict[str, str] | None = None,
        **body: Any,
    ) -> Answer:
        """Send one request, of a form or of JSON, on a connection of its own."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers["Content-Type"] = (
            "application/x-www-form-urlencoded" if form else "application/json"
        )
        sent = urlencode(form) if form else json.dumps(body)
        with closing(HTTPConnection(HOST, self.server.port, timeout=30)) as connection:
            connection.request(method, path, sent, headers)
            response = connection.getresponse()
            return Answer(response.status, json.loads(response.read() or "null"))

    def introspect(self, token: str, asked: str) -> Answer:
        return self.ask("POST", "/auth/introspect", token, form={"token": asked})
