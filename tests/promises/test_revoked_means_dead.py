"""Promise 4: each kind of token, ended in each way, tried in each way, elsewhere.

What ends a token is done on one application, and the token is tried on another one that
shares the stores, as on another worker.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.harness.kit import PASSWORDS, SECRET, Clock, bearer, log_in, make_app
from tests.harness.kit import make_users as kit_users
from tokenauth import (
    AuthError,
    DictUserStore,
    MemorySessionStore,
    TokenAuth,
    TokenInvalidError,
    User,
)
from tokenauth.web import state

NEW: Final = "quite another phrase"
KINDS: Final = ("access", "refresh", "personal", "once")
LOGIN: Final = {"access", "refresh"}
ALL: Final = {*KINDS}
Use: TypeAlias = Callable[["Setting", Flask, str], bool]
NEVER_ENDS: Final = 10**6


class Setting(NamedTuple):
    """Two applications with the same stores, and a token of each kind of one user."""

    users: DictUserStore
    sessions: MemorySessionStore
    clock: Clock
    app: Flask
    other: Flask
    tokens: dict[str, str]

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    @property
    def alice(self) -> User:
        return self.users._by_id["u-alice"]

    @property
    def login(self) -> dict[str, str]:
        return bearer(self.tokens["access"])

    def session_id(self, kind: str) -> str:
        (session,) = self.sessions.of_user("u-alice", kind=kind)
        return session.id

    def send(self, method: str, path: str, **kwargs: Any) -> None:
        answer = self.client.open(
            path, method=method, **({"headers": self.login} | kwargs)
        )
        assert answer.status_code // 100 == 2, answer.text

    def call(self, function: Callable[[TokenAuth], object]) -> None:
        with self.app.app_context():
            function(TokenAuth())


def set_up() -> Setting:
    users, sessions, clock = (
        kit_users(bob=["introspect"]),
        MemorySessionStore(),
        Clock(),
    )
    make = partial(make_app, users=users, sessions=sessions, clock=clock)
    app = make()
    pair = log_in(app.test_client())
    alice = users._by_id["u-alice"]
    with app.app_context():
        auth = TokenAuth()
        personal = auth.create_personal_token(alice, name="ci", expires_in=NEVER_ENDS)
        once = auth.issue_once("verify", alice, NEVER_ENDS)
    tokens = {
        "access": pair["access_token"],
        "refresh": pair["refresh_token"],
        "personal": personal,
        "once": once,
    }
    return Setting(users, sessions, clock, app, make(), tokens)


# -- ways of use: each returns if the token was accepted -------------------------------


def opens(path: str) -> Use:
    def use(_: Setting, app: Flask, token: str) -> bool:
        answer = app.test_client().get(path, headers=bearer(token))
        assert answer.status_code in {200, 401}
        return answer.status_code == 200

    return use


def refreshes(_: Setting, app: Flask, token: str) -> bool:
    body = {"refresh_token": token}
    answer = app.test_client().post("/auth/refresh", json=body)
    assert answer.status_code in {200, 400}
    return answer.status_code == 200


def introspects(setting: Setting, app: Flask, token: str) -> bool:
    with app.app_context():
        bob = setting.users._by_id["u-bob"]
        headers = bearer(TokenAuth().login(bob).access_token)
    answer = app.test_client().post(
        "/auth/introspect", data={"token": token}, headers=headers
    )
    assert answer.status_code == 200
    is_active: bool = answer.get_json()["active"]
    assert is_active or answer.get_json() == {"active": False}
    return is_active


def by_code(function: Callable[[str], object]) -> Use:
    def use(_: Setting, app: Flask, token: str) -> bool:
        with app.app_context():
            try:
                function(token)
            except AuthError:
                return False
        return True

    return use


def inspects(_: Setting, app: Flask, token: str) -> bool:
    with app.app_context():
        try:
            return state.current_state().inspector.inspect(token).refusal is None
        except TokenInvalidError:
            return False


BEARER: Final[dict[str, Use]] = {
    "view": opens("/protected"),
    "endpoint": opens("/auth/me"),
    "verify": by_code(lambda token: TokenAuth().verify(token)),
    "introspect": introspects,
    "inspect": inspects,
}
USES: Final[dict[str, dict[str, Use]]] = {
    "access": BEARER,
    "personal": BEARER,
    "refresh": {"inspect": inspects, "refresh": refreshes},
    "once": {
        "inspect": inspects,
        "redeem": by_code(lambda token: TokenAuth().redeem("verify", token)),
        "reset": by_code(
            lambda token: TokenAuth().redeem("verify", token, new_password=NEW)
        ),
    },
}

# -- ways of ending: what is done, and which tokens are dead after it ------------------


def revoke(kind: str) -> Callable[[Setting], None]:
    return lambda setting: setting.send(
        "POST", "/auth/revoke", data={"token": setting.tokens[kind]}, headers={}
    )


def end(path: str, kind: str) -> Callable[[Setting], None]:
    return lambda setting: setting.send("DELETE", f"{path}/{setting.session_id(kind)}")


def change_password(**more: bool) -> Callable[[Setting], None]:
    body = {"current_password": PASSWORDS["alice"], "new_password": NEW} | more
    return lambda setting: setting.send("POST", "/auth/password", json=body)


def disable(setting: Setting) -> None:
    setting.alice.is_active = False


def remove(setting: Setting) -> None:
    del setting.users._by_id["u-alice"]


def delete_rows(setting: Setting) -> None:
    setting.sessions._sessions.clear()


ENDINGS: Final[dict[str, tuple[Callable[[Setting], None], set[str]]]] = {
    "nothing": (lambda _: None, set()),
    "logout": (lambda setting: setting.send("POST", "/auth/logout"), LOGIN),
    "logout with a personal token": (
        lambda setting: setting.send(
            "POST", "/auth/logout", headers=bearer(setting.tokens["personal"])
        ),
        {"personal"},
    ),
    "revoke the access token": (revoke("access"), LOGIN),
    "revoke the refresh token": (revoke("refresh"), LOGIN),
    "revoke the personal token": (revoke("personal"), {"personal"}),
    "end the session": (end("/auth/sessions", "login"), LOGIN),
    "end all sessions": (
        lambda setting: setting.send("DELETE", "/auth/sessions"),
        LOGIN,
    ),
    "end the personal token": (end("/auth/tokens", "personal"), {"personal"}),
    "change the password": (change_password(), {*LOGIN, "once"}),
    "change it and end tokens": (change_password(end_tokens=True), ALL),
    "set the password": (
        lambda setting: setting.call(
            lambda auth: auth.set_password(setting.alice, NEW)
        ),
        ALL,
    ),
    "revoke the session by code": (
        lambda setting: setting.call(
            lambda auth: auth.revoke_session(setting.session_id("login"))
        ),
        LOGIN,
    ),
    "revoke the user by code": (
        lambda setting: setting.call(lambda auth: auth.revoke_user("u-alice")),
        ALL,
    ),
    "redeem the one-time token": (
        lambda setting: setting.call(
            lambda auth: auth.redeem("verify", setting.tokens["once"])
        ),
        {"once"},
    ),
    "disable the user": (disable, ALL),
    "remove the user": (remove, ALL),
    "delete the rows by hand": (delete_rows, ALL),
    "let the access token expire": (lambda it: it.clock.move(900), {"access"}),
    "let the session expire": (lambda it: it.clock.move(7 * 86400), LOGIN),
    "let all expire": (lambda it: it.clock.move(NEVER_ENDS), ALL),
}


@pytest.mark.advisory("Devise CVE-2026-32700")
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("left_out", ["reset", "redeem"])  # either spends the token
def test_what_was_ended_is_dead_and_nothing_else(left_out: str, ending: str) -> None:
    """A dead token is refused however it is used; every other one still works."""
    setting = set_up()
    end_it, dead = ENDINGS[ending]
    end_it(setting)
    for kind in KINDS:
        for name, use in USES[kind].items():
            if name != left_out:
                is_accepted = use(setting, setting.other, setting.tokens[kind])
                assert is_accepted is (kind not in dead), (kind, name)


@pytest.mark.parametrize("setting_changed", ["SECRET_KEY", "TOKENAUTH_REALM"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_token_of_another_application_is_dead(
    kind: str, setting_changed: str
) -> None:
    """Other keys or another realm, the same stores: accepted nowhere."""
    setting = set_up()
    config = {setting_changed: SECRET[::-1] if setting_changed == "SECRET_KEY" else "x"}
    foreign = make_app(
        users=setting.users,
        sessions=setting.sessions,
        clock=setting.clock,
        config=config,
    )
    for use in USES[kind].values():
        assert not use(setting, foreign, setting.tokens[kind])


@pytest.mark.advisory("Flask-JWT-Extended 4.4.0 (#483)")
@pytest.mark.parametrize("kind", KINDS)
def test_a_token_of_one_kind_is_no_other(kind: str) -> None:
    """Promise 3: each is accepted where it belongs, and nowhere else."""
    setting = set_up()
    for other in KINDS:
        if USES[other] is USES[kind]:
            continue
        for name, use in USES[other].items():
            if name != "inspect":  # which reads all of them
                assert not use(setting, setting.app, setting.tokens[kind])
