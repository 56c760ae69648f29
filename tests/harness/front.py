"""What stands before a server, as DNS or a load balancer would: a forwarder."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"


class Front:
    """Leads new connections to the port that `target` is; with TLS if told to."""

    def __init__(self, target: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.target, self._tls = target, tls
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._lead(self._listener.accept()[0])

    def _lead(self, client: socket.socket) -> None:
        self._open.append(client)
        with suppress(OSError):
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
                self._open.append(client)
            server = socket.create_connection((HOST, self.target))
            self._open.append(server)
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def tls_context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return what a server needs for TLS, and its certificate, which nobody signed."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST}"),
            *("-days", "2", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
