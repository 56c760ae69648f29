"""The whole API as a target: whatever is asked, no 5xx, no redirect, no cookie."""

from __future__ import annotations

import io
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from flask import Flask

from tests.fuzz.readers import (
    ISSUED,
    LOGIN_SESSION,
    TOKEN_SESSION,
)
from tests.harness.kit import PASSWORDS, make_app
from tokenauth import DictUserStore, MemorySessionStore, User, hash_password
from tokenauth.accounts.hash_schemes import Argon2Cost
from tokenauth.web.api import ROUTES
from tokenauth.web.api.bodies import media_type
from tokenauth.web.api.schemas import TokenRequest

CHEAP: Final = Argon2Cost(memory=8, time=1)
_HASH: Final = hash_password(PASSWORDS["alice"], CHEAP)
_ALICE: Final = User("alice", _HASH, id="u-alice", scopes=["introspect"])
_SESSIONS: Final = MemorySessionStore()


def _make_app() -> Flask:
    config = {
        "PROPAGATE_EXCEPTIONS": True,
        "TOKENAUTH_ARGON2_MEMORY_COST": CHEAP.memory,
        "TOKENAUTH_ARGON2_TIME_COST": CHEAP.time,
        "TOKENAUTH_LOGIN_LIMITS": "1000000000 per minute",
        "TOKENAUTH_QUERY_PARAM": "token",
    }
    store = DictUserStore({"alice": _ALICE})
    return make_app(users=store, sessions=_SESSIONS, config=config)


_APP: Final = _make_app()


def api(data: bytes) -> None:
    """Send a request; only one that holds a token or the password opens anything.

    Args:
        data: Lines: method and target, `Authorization`, `Content-Type`, `Cookie`; then
            the body. `<access>`, `<refresh>` and `<personal>` stand for good tokens.
    """
    for purpose, token in ISSUED.items():
        data = data.replace(b"<%s>" % purpose.encode(), token.encode())
    first, *headers = data.split(b"\n", 4)
    _reset()
    status, answered = _ask(_environ(first, headers + [b""] * (4 - len(headers))))
    assert not 300 <= status < 400
    assert status < 500
    assert "set-cookie" not in answered
    holds_credentials = any(token.encode() in data for token in ISSUED.values())
    if status < 300 and not holds_credentials and b"POST" not in first:
        assert b"protected" not in first


def _reset() -> None:
    """Undo what the request before did: each input is answered by the same state."""
    _ALICE.password_hash = _HASH
    for session in (LOGIN_SESSION, TOKEN_SESSION):
        if _SESSIONS.get(session.id) != session:
            _SESSIONS.add(session, limit=100)


def _environ(first: bytes, rest: list[bytes]) -> dict[str, Any]:
    method, _, target = first.partition(b" ")
    path, _, query = target.partition(b"?")
    authorization, content_type, cookie, body = rest
    return {
        "REQUEST_METHOD": method.decode("latin-1"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "HTTP_AUTHORIZATION": authorization.decode("latin-1"),
        "CONTENT_TYPE": content_type.decode("latin-1"),
        "HTTP_COOKIE": cookie.decode("latin-1"),
        "HTTP_HOST": "localhost",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _ask(environ: dict[str, Any]) -> tuple[int, dict[str, str]]:
    answered: list[tuple[int, dict[str, str]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _: Any = None
    ) -> Any:
        answered.append(
            (int(status[:3]), {name.lower(): value for name, value in headers})
        )

    b"".join(_APP.wsgi_app(environ, start_response))
    return answered[-1]


_BODIES: Final = {
    "/login": b'{"username":"alice","password":"%s"}' % PASSWORDS["alice"].encode(),
    "/refresh": b'{"refresh_token":"<refresh>"}',
    "/password": b'{"current_password":"p","new_password":"q"}',
    "/tokens": b'{"name":"n","scope":"introspect","expires_in":60}',
    "/revoke": b"token=<personal>",
    "/introspect": b"token=<refresh>",
}
SEEDS: Final = [
    b"GET /protected\nBearer <access>\n\n\n",
    b"GET /protected?token=<personal>\n\n\nsession=a; remember_token=b\n",
    *(
        b"%s /auth%s\nBearer <access>\n%s\n\n%s"
        % (
            route.method.encode(),
            route.path.replace("<session_id>", LOGIN_SESSION.id).encode(),
            media_type(route.bodies[0] if route.bodies else TokenRequest).encode(),
            _BODIES.get(route.path, b""),
        )
        for route in ROUTES
    ),
]
