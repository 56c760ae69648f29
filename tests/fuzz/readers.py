"""What is fuzzed: one function a reader, which raises when bytes do what they must not.

A failure is any exception but our own types, or a token accepted that was not issued.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import argon2
import msgspec
from flask import Request

from tests.harness.kit import SECRET, Clock
from tokenauth import AuthError, DictUserStore, MemorySessionStore, Session, User
from tokenauth.accounts.counters import parse_limits
from tokenauth.accounts.hash_schemes import (
    MAX_COST,
    MAX_WORK,
    Argon2Cost,
    is_bearable,
    is_supported,
    needs_upgrade,
)
from tokenauth.accounts.names import MAX_USERNAME_LENGTH, fold_username
from tokenauth.errors import ConfigurationError
from tokenauth.sessions.inspection import TokenInspector
from tokenauth.sessions.issuer import TokenIssuer
from tokenauth.sessions.session import NEVER, PERSONAL
from tokenauth.sessions.verifier import TokenVerifier
from tokenauth.settings import KNOWN, load
from tokenauth.tokens.header import is_token, read_header
from tokenauth.tokens.keys import is_guessable
from tokenauth.tokens.signing import TokenSigner
from tokenauth.web.api.bodies import FORM, JSON, read_body
from tokenauth.web.api.schemas import (
    LoginRequest,
    PasswordRequest,
    RefreshRequest,
    TokenForm,
    TokenRequest,
)

NOW: Final = Clock()()
CONFIG: Final = {"SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": [SECRET[::-1]]}

# Their ids are fixed and so are the tokens: an input found once stays what it was.
ALICE: Final = User("alice", id="u-alice", scopes=["introspect"])
LOGIN_SESSION: Final = Session(
    id="fuzz-login-session-001",
    user_id=ALICE.id,
    scopes=ALICE.scopes,
    created_at=NOW,
    authenticated_at=NOW,
    refreshed_at=NOW,
    idle_expires_at=NOW + 7 * 86400,
    expires_at=NOW + 30 * 86400,
)
TOKEN_SESSION: Final = msgspec.structs.replace(
    LOGIN_SESSION,
    id="fuzz-token-session-001",
    kind=PERSONAL,
    idle_expires_at=NEVER,
    expires_at=NEVER,
)

_SETTINGS: Final = load(CONFIG, "app")
MINT: Final = TokenIssuer(_SETTINGS)
PAIR: Final = MINT.pair(LOGIN_SESSION, ALICE, NOW)
PERSONAL_TOKEN: Final = MINT.personal_token(TOKEN_SESSION)
ISSUED: Final = {
    "access": PAIR.access_token,
    "refresh": PAIR.refresh_token,
    "personal": PERSONAL_TOKEN,
}

_SESSIONS: Final = MemorySessionStore()
for _session in (LOGIN_SESSION, TOKEN_SESSION):
    _SESSIONS.add(_session, limit=1)
_USERS: Final = DictUserStore({"alice": ALICE})
_SHARED: Final = (
    *(_SETTINGS, MINT, _USERS, _SESSIONS),
    *(lambda *_, **__: None, Clock(), _SESSIONS.get),
)
_VERIFIER: Final = TokenVerifier(*_SHARED)
_INSPECTOR: Final = TokenInspector(*_SHARED)


def header(data: bytes) -> None:
    """Read an Authorization header: what is taken for a token stands there as one."""
    text = data.decode("latin-1")
    with suppress(AuthError):
        token = read_header(text)
        if token is not None:
            assert is_token(token)
            assert re.fullmatch(
                rf" *(bearer +)?{re.escape(token)} *", text, re.IGNORECASE
            )


def token(data: bytes) -> None:
    """Verify a token: of all texts, only the issued ones pass, each for its purpose."""
    text = data.decode(errors="surrogateescape")
    with suppress(AuthError):
        _VERIFIER.authenticate(text)
        assert text in (PAIR.access_token, PERSONAL_TOKEN)
    with suppress(AuthError):
        inspection = _INSPECTOR.inspect(text)
        assert text == ISSUED[inspection.purpose]
    with suppress(AuthError):
        MINT.refresh.verify(text, NOW)
        assert text == PAIR.refresh_token


def content(data: bytes) -> None:
    """Read what a stolen key could sign: claims of the right shape, or a refusal."""
    encoded = base64.urlsafe_b64encode(data).rstrip(b"=")
    signers: tuple[TokenSigner[Any], ...] = (MINT.access, MINT.refresh)
    for signer in signers:
        with suppress(AuthError):
            claims = signer.read(signer.sign(encoded).decode())
            assert signer.read(signer.issue(claims)) == claims
            signer.check_times(claims, NOW)
    with suppress(AuthError):
        _VERIFIER.authenticate(MINT.access.sign(encoded).decode())


BODY_TYPES: Final[tuple[type[msgspec.Struct], ...]] = (
    LoginRequest,
    RefreshRequest,
    PasswordRequest,
    TokenRequest,
)


def body(data: bytes) -> None:
    """Read a body: what is taken is text throughout, and what `json` reads, too."""
    which, raw = data[:1] or b"\0", data[1:]
    body_type = BODY_TYPES[which[0] % len(BODY_TYPES)]
    with suppress(AuthError):
        taken = read_body(_request(raw, JSON), body_type)
        for name, value in json.loads(raw or b"{}").items():
            assert getattr(taken, name) == value
            assert not isinstance(value, str) or value.encode().decode() == value


def form(data: bytes) -> None:
    """Read a form: the token is text."""
    with suppress(AuthError):
        assert read_body(_request(data, FORM), TokenForm).token.encode() != b""


def _request(raw: bytes, media_type: str) -> Request:
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": media_type,
        "wsgi.input": io.BytesIO(raw),
        "wsgi.input_terminated": True,
    }
    return Request(environ)


def settings(data: bytes) -> None:
    """Read a configuration as an environment gives it, one `NAME=value` a line."""
    text = data.decode(errors="surrogateescape")
    given: dict[str, Any] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        try:  # as Flask.config.from_prefixed_env
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    with suppress(ConfigurationError):
        read = load(given, "app")
        assert all(len(key) >= 32 for key in read.secret_keys)
        assert given.get("TESTING") or not any(map(is_guessable, read.secret_keys))
        assert 0 < read.access_lifetime < float("inf")
        assert 0 <= read.refresh_grace < float("inf")
        assert is_bearable(read.argon2)
        parse_limits(read.login_limits)


def stored_hash(data: bytes) -> None:
    """Look at a stored hash, which is data: it is computed only if that is bearable."""
    stored = data.decode(errors="surrogateescape")
    if is_supported(stored) and stored.startswith("$argon2"):
        asked = argon2.extract_parameters(stored)
        assert asked.memory_cost <= MAX_COST.memory
        assert asked.memory_cost * asked.time_cost <= MAX_WORK
    needs_upgrade(stored, Argon2Cost())


def name(data: bytes) -> None:
    """Fold a username: it has one form, which folding leaves as it is."""
    with suppress(UnicodeDecodeError):
        folded = fold_username(data.decode(errors="surrogatepass"))
        if folded is not None:
            assert folded.encode()
            assert fold_username(folded) == folded or len(folded) > MAX_USERNAME_LENGTH


_LOGIN = b'\0{"username":"alice","password":"p","label":"l","scope":"introspect"}'
_KEY = b"SECRET_KEY=" + SECRET.encode()
SEEDS: Final[dict[Callable[[bytes], None], list[bytes]]] = {
    header: [
        b"Bearer " + PAIR.access_token.encode(),
        b"bearer  a.b ",
        b"a.b",
        b"Basic YTpi, Bearer a.b",
    ],
    token: [each.encode() for each in ISSUED.values()],
    content: [
        base64.urlsafe_b64decode(each.removeprefix("tka_").partition(".")[0] + "==")
        for each in ISSUED.values()
    ],
    body: [
        _LOGIN,
        b'\1{"refresh_token":"a.b"}',
        b'\2{"current_password":"p","new_password":"q","end_tokens":true}',
        b'\3{"name":"n","scope":"s","expires_in":60}',
    ],
    form: [b"token=a.b&token_type_hint=access_token", b"token=%C3%A9"],
    settings: [
        _KEY + b"\nTOKENAUTH_ACCESS_LIFETIME=900",
        _KEY + b'\nSECRET_KEY_FALLBACKS=["%s"]\nTESTING=true' % SECRET.encode(),
        _KEY + b"".join(b"\n%s=1" % known.encode() for known in sorted(KNOWN)),
        _KEY
        + b"\nTOKENAUTH_LOGIN_LIMITS=9 per minute\nTOKENAUTH_URL_PREFIX=/a"
        + b'\nTOKENAUTH_REFRESH_GRACE=1e1\nTOKENAUTH_REALM="r"'
        + b"\nTOKENAUTH_ARGON2_MEMORY_COST=19456\nTOKENAUTH_ARGON2_TIME_COST=2",
        _KEY + b"\nTOKENAUTH_SESSION_LIFETIME=1" + b"0" * 400,
    ],
    stored_hash: [
        b"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng",
        b"$argon2i$m=512,t=2,p=2$c29tZXNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng",
        b"scrypt:32768:8:1$salt$" + b"0" * 128,
        b"pbkdf2:sha256:600000$salt$" + b"0" * 64,
    ],
    name: ["Jos\u00e9".encode(), "\ufb00\u0345\u1e9e".encode()],
}
