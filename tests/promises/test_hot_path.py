"""What a request with a good token does, counted: counts do not flicker as times do."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from flask import Flask, request_finished, request_started, request_tearing_down
from flask_login import current_user, login_required
from itsdangerous import Signer

from tests.harness.kit import bearer, log_in, make_users
from tokenauth import MemorySessionStore, TokenAuth
from tokenauth.accounts import passwords
from tokenauth.tokens.signing import TokenSigner

OURS = "functions of tokenauth"
SECRET = "hot-path-key-" + "0123456789abcdef" * 3
NEW_SECRET = SECRET[::-1]

_HASHES = re.compile("sha|hash|hmac|pbkdf|scrypt|argon|derive", re.IGNORECASE)
_DATES = re.compile(
    "datetime|timedelta|utc|timestamp|strftime|strptime|now", re.IGNORECASE
)


@contextmanager
def calls() -> Generator[Counter[str]]:
    """Count what is called in this thread, Python's functions and C's, by name."""
    counted: Counter[str] = Counter()

    def count(  # pragma: no cover # while it runs, nothing is traced
        frame: FrameType, event: str, function: Any
    ) -> None:
        if event == "call":
            counted[frame.f_code.co_qualname] += 1
            counted[OURS] += frame.f_globals["__name__"].startswith("tokenauth.")
        elif event == "c_call":
            counted[f"{type(function.__self__).__name__}.{function.__name__}"] += 1

    sys.setprofile(count)
    try:
        yield counted
    finally:
        sys.setprofile(None)


class Counted:
    """An application as applications are, and one client that has logged in."""

    def __init__(self, secret: str = SECRET, **config: Any) -> None:
        self.sessions = MemorySessionStore()
        self.app = Flask("counted")
        self.app.config.update(SECRET_KEY=secret, **config)
        TokenAuth(self.app, make_users(), sessions=self.sessions)

        @self.app.get("/protected")
        @login_required
        def protected() -> dict[str, str]:
            return {"user": current_user.username, "id": current_user.get_id()}

        @self.app.get("/public")
        def public() -> dict[str, str]:
            return {}

        client = self.app.test_client(use_cookies=False)
        self.headers = bearer(log_in(client)["access_token"])
        assert client.get("/protected", headers=self.headers).status_code == 200

    def get(self, path: str, headers: dict[str, str] | None = None) -> Counter[str]:
        """Make one request and return what it called."""
        environ = self.app.test_request_context(path, headers=headers).request.environ
        status = ""

        def start_response(answered: str, _: object, *__: object) -> Callable[..., Any]:
            nonlocal status
            status = answered
            return lambda _: None

        with calls() as counted:
            b"".join(self.app.wsgi_app(environ, start_response))
        assert status == "200 OK"
        return counted


@pytest.fixture(scope="module")
def counted() -> Counted:
    """One application whose every room counts."""
    return Counted()


def test_one_hmac_and_no_key_is_derived(counted: Counted) -> None:
    """The kept HMAC is copied once and finished once; nothing else is hashed."""
    called = counted.get("/protected", counted.headers)
    assert called["HMAC.copy"] == called["HMAC.digest"] == 1
    assert called[Signer.derive_key.__qualname__] == 0
    assert {name for name in called if _HASHES.search(name)} == {
        "_KeptHMAC.get_signature",
        "HMAC.copy",
        "HMAC.update",
        "HMAC.digest",
    }


def test_a_token_of_an_older_key_takes_two_hmacs() -> None:
    """One for each key that is tried, the newest first."""
    older, newer = Counted(), Counted(NEW_SECRET, SECRET_KEY_FALLBACKS=[SECRET])
    newer.sessions._sessions |= older.sessions._sessions
    called = newer.get("/protected", older.headers)
    assert called["HMAC.copy"] == called["HMAC.digest"] == 2


def test_one_session_and_one_user_are_read(counted: Counted) -> None:
    """However often the view asks; and nothing is written."""
    called = counted.get("/protected", counted.headers)
    asked = {name for name in called if "Store" in name}
    assert asked == {"MemorySessionStore.get", "DictUserStore.get"}
    assert [called[name] for name in asked] == [1, 1]


def test_no_flask_session_is_opened(counted: Counted) -> None:
    """Nor saved: a token needs none."""
    flask_s = "SecureCookieSessionInterface"
    for path in ("/protected", "/public"):
        called = counted.get(path, counted.headers)
        assert (
            called[f"{flask_s}.open_session"] == called[f"{flask_s}.save_session"] == 0
        )
    assert counted.get("/public")[f"{flask_s}.open_session"] == 1


def test_a_public_page_reads_no_store(counted: Counted) -> None:
    """Not even where a token was sent: nobody asked whose."""
    for headers in (None, counted.headers):
        called = counted.get("/public", headers)
        assert called["HMAC.copy"] == called[TokenSigner.read.__qualname__] == 0
        assert not [name for name in called if "Store" in name]


def test_no_date_is_made(counted: Counted) -> None:
    """Times are numbers until a person is to read them."""
    called = counted.get("/protected", counted.headers)
    assert {name for name in called if _DATES.search(name)} == set()


def test_what_is_slow_is_not_called(counted: Counted) -> None:
    """No password hash, no compression, no JSON but the view's own, no SHA-512."""
    called = counted.get("/protected", counted.headers)
    assert [name for name in called if "zlib" in name or "JSONDecoder" in name] == []
    assert called[passwords.verify_password.__qualname__] == 0
    assert called["_create_identifier"] == 0  # Flask-Login's session protection
    assert called["LoginManager._load_user"] == 0
    assert called["LoginManager._update_remember_cookie"] == 0
    assert called["Decoder.decode"] == 1  # of the token's content


def test_the_token_is_read_once(counted: Counted) -> None:
    """To find the user; that there is one is enough to open no session."""
    called = counted.get("/protected", counted.headers)
    assert called["read_header"] == 1
    assert called[TokenSigner.read.__qualname__] == 1
    assert called["TokenLoginManager.find_user"] == 1


def test_the_way_of_a_token_is_short(counted: Counted) -> None:
    """A budget of our own functions a request: raise it only for a reason."""
    assert counted.get("/protected", counted.headers)[OURS] <= 32
    assert counted.get("/public", counted.headers)[OURS] <= 3
    assert counted.get("/public")[OURS] <= 9


def test_nothing_of_ours_hooks_into_every_request(counted: Counted) -> None:
    """Flask calls a hook at ten times the cost of what it does, on every page."""
    app = counted.app
    assert not app.before_request_funcs
    assert not any(app.after_request_funcs.values())
    assert not app.teardown_request_funcs
    for signal in (request_started, request_finished, request_tearing_down):
        assert not signal.has_receivers_for(app)
