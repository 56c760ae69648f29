"""The public names, as the README and other people's code rely on them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest
from blinker import NamedSignal

import tokenauth
from tests.harness.kit import bearer, log_in, make_app
from tokenauth import events

PUBLIC = [
    "AmbiguousTokenError",
    "AuthError",
    "Claims",
    "ConfigurationError",
    "DictUserStore",
    "EndingFeed",
    "FreshLoginRequiredError",
    "InsufficientScopeError",
    "InvalidCredentialsError",
    "InvalidGrantError",
    "InvalidRequestError",
    "InvalidScopeError",
    "MemorySessionStore",
    "MethodNotAllowedError",
    "NotFoundError",
    "OverloadedError",
    "PERSONAL_TOKEN_PATTERN",
    "PasswordPolicy",
    "PasswordRefusedError",
    "PayloadTooLargeError",
    "RetryLaterError",
    "ServerError",
    "Session",
    "SessionStore",
    "StoreUnavailableError",
    "TokenAuth",
    "TokenError",
    "TokenExpiredError",
    "TokenInvalidError",
    "TokenMissingError",
    "TokenPair",
    "TokenRevokedError",
    "TokenUser",
    "TokenVerifier",
    "TooManyAttemptsError",
    "UnsupportedMediaTypeError",
    "User",
    "UserRecord",
    "UserStore",
    "create_app",
    "current_claims",
    "fold_username",
    "folded_name",
    "fresh_login_required",
    "hash_password",
    "require_scopes",
    "token_required",
]


def test_all_public_names_are_listed() -> None:
    """`__all__` is the contract: no name comes or goes unnoticed. (Ruff sorts it.)"""
    assert sorted(tokenauth.__all__) == sorted(PUBLIC)
    assert all(hasattr(tokenauth, name) for name in PUBLIC)


def test_names_are_imported_when_they_are_used() -> None:
    """Each once and from its own place; modules of the package, too."""
    program = """
import sys, tokenauth
assert "flask" not in sys.modules
assert tokenauth.tokens.Claims is tokenauth.Claims
assert tokenauth.events.LOGGER.name == "tokenauth"
assert tokenauth.TokenPair.__module__ == "tokenauth.web.responses"
assert tokenauth.TokenVerifier.__module__ == "tokenauth.extension.verifier"
assert not hasattr(tokenauth, "Flask")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_any_module_can_be_the_first_that_is_imported() -> None:
    """As that of the fixtures is, in a `conftest.py`."""
    program = """
import importlib, sys
for name in ("testing.fixtures", "demo", "metrics", "stores.sql", "stores.redis"):
    for loaded in [each for each in sys.modules if each.startswith("tokenauth")]:
        del sys.modules[loaded]
    importlib.import_module(f"tokenauth.{name}")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_error_is_public() -> None:
    """By its own name, and by its base: who catches `AuthError` catches them all."""
    errors = [e for _, e in inspect.getmembers(tokenauth.errors, inspect.isclass)]
    own = [e for e in errors if e.__module__.startswith("tokenauth.errors")]
    others = {e.__name__ for e in own if not issubclass(e, tokenauth.AuthError)}
    assert others == {"ConfigurationError"}
    assert {e.__name__ for e in own} <= set(PUBLIC)


SIGNATURES = {
    "TokenAuth": "(app=None, users=None, *, sessions=None)",
    "TokenAuth.init_app": "(self, app, users=None, *, sessions=None)",
    "TokenAuth.login": "(self, user, *, scopes=None, label=None)",
    "TokenAuth.verify": "(self, token)",
    "TokenAuth.revoke_session": "(self, session_id)",
    "TokenAuth.revoke_user": "(self, user)",
    "create_app": "(config=None)",
    "User": "(username, password_hash=None, *, id=None, is_active=True, scopes=())",
    "DictUserStore": "(users)",
    "UserStore.get": "(self, user_id)",
    "UserStore.find": "(self, username)",
    "UserStore.set_password_hash": "(self, user_id, new, *, expected)",
    "MemorySessionStore": "()",
    "hash_password": "(password, cost=None)",
    "require_scopes": "(*scopes)",
    "fresh_login_required": "(view=None, *, max_age=300)",
    "TokenPair": "(*, access_token, token_type='Bearer', expires_in, refresh_token, "
    "refresh_expires_in, scope)",
    "Claims": "(subject, session_id, issued_at, expires_at, authenticated_at, scopes)",
}


@pytest.mark.parametrize(("name", "signature"), SIGNATURES.items())
def test_a_signature_stays(name: str, signature: str) -> None:
    """Names, order, defaults and what is given by name only."""
    thing: Any = tokenauth
    for part in name.split("."):
        thing = getattr(thing, part)
    parameters = inspect.signature(thing).parameters.values()
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    assert str(inspect.Signature(bare)) == signature


def test_every_event_has_its_signal() -> None:
    """Named in code as on the wire of logs."""
    names = {n for n, v in vars(events).items() if isinstance(v, NamedSignal)}
    assert {
        "attempts_limited",
        "login_failed",
        "login_succeeded",
        "password_changed",
        "refresh_reused",
        "session_refreshed",
        "session_revoked",
        "store_failed",
        "token_refused",
    } <= names
    for name in names:
        assert getattr(events, name).name == name.replace("_", "-")


def test_import_is_cheap() -> None:
    """What only some applications use, or only some requests, is loaded by those."""
    heavy = [
        "argon2",
        "limits",
        "prometheus_client",
        "psycopg",
        "redis",
        "sqlalchemy",
        "sqlite3",
    ]
    code = (
        "import sys; before = set(sys.modules);"  # coverage's own, when measured
        "import tokenauth, tokenauth.demo, tokenauth.cli, tokenauth.testing;"
        f"print(sorted(set({heavy}) & set(sys.modules) - before))"
    )
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
    assert loaded.stderr == ""


def containers() -> dict[str, str]:
    """Return what every container at module level holds, by module and name."""
    return {
        f"{room}.{name}": repr(value)
        for room, module in sorted(sys.modules.items())
        if room.split(".")[0] == "tokenauth"
        for name, value in vars(module).items()
        if isinstance(value, dict | list | set) and not name.startswith("__")
    }


def test_nothing_is_remembered_at_module_level() -> None:
    """What applications do leaves no trace outside of their own `app.extensions`."""
    make_app()
    before = containers()
    for realm in ("one", "two"):
        app = make_app(config={"TOKENAUTH_REALM": realm})
        client = app.test_client()
        tokens = log_in(client)
        client.post("/auth/login", json={"username": "nobody", "password": "x"})
        body = {"refresh_token": tokens["refresh_token"]}
        assert client.post("/auth/refresh", json=body).status_code == 200
        headers = bearer(tokens["access_token"])
        assert client.get("/auth/sessions", headers=headers).status_code == 200
        assert client.post("/auth/logout", headers=headers).status_code == 204
    assert containers() == before
