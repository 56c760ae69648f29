"""HTTP as bytes on a socket: what a client library would refuse to send."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from tests.harness.servers import HOST

_STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3})[^\r\n]*\r\n", re.MULTILINE)


class Answer(NamedTuple):
    """All that a server sent before it closed the connection."""

    raw: bytes

    @property
    def statuses(self) -> list[int]:
        """Of every answer on the connection, without `100 Continue`."""
        return [int(s) for s in _STATUS.findall(self.raw) if s != b"100"]

    @property
    def status(self) -> int | None:
        """The one status; None: the server closed without a word."""
        statuses = self.statuses
        assert len(statuses) <= 1, self.raw
        return statuses[0] if statuses else None

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def json(self) -> Any:
        return json.loads(self.raw.rpartition(b"\r\n\r\n")[2])


def exchange(
    port: int, sent: bytes | Iterable[bytes], *, timeout: float = 20
) -> Answer:
    """Send bytes, whatever they are, and read until the server closes.

    Args:
        port: Where the server listens.
        sent: The bytes, or the pieces that they are sent in.
        timeout: Seconds after which a server that says nothing has failed.
    """
    pieces = [sent] if isinstance(sent, bytes) else sent
    with socket.create_connection((HOST, port), timeout) as connection:
        sender = threading.Thread(target=_send, args=(connection, pieces))
        sender.start()
        received = []
        with suppress(ConnectionResetError):
            while data := connection.recv(1 << 16):
                received.append(data)
        sender.join(timeout)
    return Answer(b"".join(received))


def _send(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    # The server may answer and close before it has read everything.
    with suppress(OSError):
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)  # nothing more follows


def request(
    target: str = "/protected",
    *headers: str | bytes,
    method: str = "GET",
    version: str = "1.1",
    body: bytes | None = None,
) -> bytes:
    """Write a request that is right but for what the caller puts into it."""
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    lines.append("Connection: close")
    encoded = (x if isinstance(x, bytes) else x.encode("latin-1") for x in lines)
    return b"\r\n".join(encoded) + b"\r\n\r\n" + (body or b"")


def post(target: str, *headers: str | bytes, body: bytes | None = None) -> bytes:
    """Write a request with a JSON body."""
    return request(
        target, "Content-Type: application/json", *headers, method="POST", body=body
    )
