"""The system's Firefox, driven by its own protocol (WebDriver BiDi)."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.harness.servers import Server

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
needs_firefox = pytest.mark.skipif(
    FIREFOX is None or find_spec("websockets") is None,
    reason="NOT RUN: no Firefox. Install it (Debian: apt-get install firefox-esr) and "
    "the dependency group 'browser'.",
)

# All names are this machine's, and nothing is asked for at the start.
PREFERENCES: dict[str, Any] = {
    "network.dns.forceResolve": "127.0.0.1",
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "dom.ipc.processCount": 1,  # one site needs no more
    "dom.ipc.processPrelaunch.enabled": False,
    "fission.autostart": False,
    "remote.prefs.recommended": True,
}


@dataclass(eq=False, kw_only=True)
class Firefox(Server):
    """One browser with a fresh profile; any certificate will do."""

    url_format = "ws://{host}:{port}/session"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._open = ExitStack()

    def stop(self) -> None:
        self._open.close()
        super().stop()

    def _command(self) -> Sequence[str | Path]:
        lines = [
            f"user_pref({json.dumps(name)}, {json.dumps(value)});"
            for name, value in PREFERENCES.items()
        ]
        (self.folder / "user.js").write_text("\n".join(lines))
        port = f"--remote-debugging-port={self.port}"
        headless = ["--headless", "--no-remote", "--profile"]
        return [str(FIREFOX), port, *headless, self.folder]

    def _answers(self) -> bool:
        from websockets.sync.client import connect

        if not self._speaks_http():
            return False
        self._socket = self._open.enter_context(connect(self.url, max_size=None))
        self._ids = itertools.count()
        capabilities = {"alwaysMatch": {"acceptInsecureCerts": True}}
        self.send("session.new", capabilities=capabilities)
        return True

    def send(self, method: str, **params: Any) -> Any:
        """Give a command; return its result."""
        number = next(self._ids)
        sent = {"id": number, "method": method, "params": params}
        self._socket.send(json.dumps(sent))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]

    def open(self, url: str) -> str:
        """Open a tab; return its id."""
        tab: str = self.send("browsingContext.create", type="tab")["context"]
        self.send("browsingContext.navigate", context=tab, url=url, wait="complete")
        self.run(tab, "new Promise((done) => setInterval(() => window.auth && done()))")
        return tab

    def reload(self, tab: str) -> None:
        self.send("browsingContext.reload", context=tab, wait="complete")
        self.run(tab, "new Promise((done) => setInterval(() => window.auth && done()))")

    def run(self, tab: str, expression: str) -> Any:
        """Return what an expression is in the end, by way of JSON."""
        answer = self.send(
            "script.evaluate",
            expression=f"(async () => JSON.stringify([await ({expression})]))()",
            target={"context": tab},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])[0]

    def cookies(self) -> list[Any]:
        found: list[Any] = self.send("storage.getCookies")["cookies"]
        return found
