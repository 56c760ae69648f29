"""Attacks that others suffered, of the families that no room's own tests prove."""

from __future__ import annotations

import ast
import base64
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import tokenauth
from tests.harness.kit import (
    Clock,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
)
from tokenauth import (
    MemorySessionStore,
    Session,
    StoreUnavailableError,
    TokenAuth,
    TokenInvalidError,
)
from tokenauth.stores import open_sessions
from tokenauth.stores.sql import SQLSessionStore
from tokenauth.web import state
from tokenauth.web.api import ROUTES

# -- keys and signatures --------------------------------------------------------------


def doors(client: FlaskClient, token: str) -> list[int]:
    """Return what each address says that takes a token, one way or another."""
    headers, form = bearer(token), {"token": token}
    return [
        client.get("/protected", headers=headers).status_code,
        client.get("/protected", headers={"Authorization": token}).status_code,
        client.get("/auth/me", headers=headers).status_code,
        client.get("/auth/sessions", headers=headers).status_code,
        client.delete("/auth/sessions", headers=headers).status_code,
        client.post("/auth/logout", headers=headers).status_code,
        client.post("/auth/password", headers=headers, json={}).status_code,
        client.post("/auth/introspect", headers=headers, data=form).status_code,
        client.get("/auth/tokens", headers=headers).status_code,
        client.post("/auth/tokens", headers=headers, json={"name": "n"}).status_code,
    ]


@pytest.mark.advisory("Authlib CVE-2026-96760")
def test_no_door_takes_an_altered_token(app: Flask, client: FlaskClient) -> None:
    """Authlib CVE-2026-96760: of all that takes a token, none forgets to check it."""
    tokens = log_in(client)
    auth = TokenAuth()
    for token in (tokens["access_token"], tokens["refresh_token"]):
        content, _, signature = token.partition(".")
        for altered in (
            f"{content}.{signature[::-1]}",
            f"{content[::-1]}.{signature}",
            f"{content}.AAAA",
            f"{content}.{signature}A",
        ):
            assert set(doors(client, altered)) == {401}
            refreshed = client.post("/auth/refresh", json={"refresh_token": altered})
            assert_problem(refreshed, 400, "invalid_grant")
            client.post("/auth/revoke", data={"token": altered})
            with app.app_context():
                inspect = state.current_state().inspector.inspect
                redeem = partial(auth.redeem, "x")
                checks: list[Callable[[str], object]] = [auth.verify, inspect, redeem]
                for check in checks:
                    with pytest.raises(TokenInvalidError):
                        check(altered)
    unaltered = client.get("/auth/me", headers=bearer(tokens["access_token"]))
    assert unaltered.status_code == 200


@pytest.mark.advisory("DefectDojo PR #14932")
def test_tokens_are_issued_in_one_module_only() -> None:
    """DefectDojo PR #14932: no way to make a token goes past lifetimes and sessions."""
    package = Path(tokenauth.__path__[0])
    issuing = {
        path.stem
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr == "issue"
        and not ast.unparse(node.value).endswith("one_time")
    }
    assert issuing == {"issuer"}


@pytest.mark.advisory(
    "python-jose CVE-2024-33664", "Authlib CVE-2025-62706, go-jose CVE-2024-28180"
)
def test_nothing_is_decompressed(app: Flask, client: FlaskClient) -> None:
    """python-jose CVE-2024-33664: no content is inflated, be it well signed."""
    with app.app_context():
        signer = state.current_state().verifier.issuer.access
        token = log_in(client)["access_token"]
        content = base64.urlsafe_b64decode(token.partition(".")[0] + "==")
        packed = base64.urlsafe_b64encode(zlib.compress(content)).rstrip(b"=")
        for value in (b"." + packed, packed):
            with pytest.raises(TokenInvalidError):
                signer.read(signer.sign(value).decode())
    names = {path.read_text() for path in Path(tokenauth.__path__[0]).rglob("*.py")}
    assert not any("import zlib" in text or "import gzip" in text for text in names)


# -- the life of a token --------------------------------------------------------------


@pytest.mark.advisory("drf-jwt CVE-2020-10594")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/logout"),
        ("DELETE", "/auth/sessions"),
        ("DELETE", "/auth/sessions/<id>"),
        ("POST", "/auth/revoke"),
    ],
)
def test_nothing_refreshes_what_was_ended(
    client: FlaskClient, clock: Clock, method: str, path: str
) -> None:
    """drf-jwt CVE-2020-10594: not with the token, nor with its parent."""
    first = log_in(client)
    second = client.post(
        "/auth/refresh", json={"refresh_token": first["refresh_token"]}
    ).get_json()
    headers = bearer(second["access_token"])
    own = client.get("/auth/me", headers=headers).get_json()["session"]["id"]
    form = {"token": second["refresh_token"]} if path.endswith("revoke") else None
    ended = client.open(
        path.replace("<id>", own), method=method, headers=headers, data=form
    )
    assert ended.status_code in {200, 204}
    for tokens in (first, second):
        refreshed = client.post(
            "/auth/refresh", json={"refresh_token": tokens["refresh_token"]}
        )
        assert_problem(refreshed, 400, "invalid_grant")
        shown = client.get("/protected", headers=bearer(tokens["access_token"]))
        assert_problem(shown, 401, "token_revoked")


@pytest.mark.advisory("Flask-JWT-Extended #499, knox #186")
def test_a_logout_may_be_repeated_and_raced(app: Flask, client: FlaskClient) -> None:
    """Flask-JWT-Extended #499, knox #186: done is done, also twenty at a time."""
    headers = bearer(log_in(client)["access_token"])

    def log_out(_: int) -> int:
        return app.test_client().post("/auth/logout", headers=headers).status_code

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(log_out, range(20))) == {204}
    assert log_out(0) == 204
    assert_problem(client.get("/protected", headers=headers), 401, "token_revoked")


class FailingToEnd(MemorySessionStore):
    """A store that can be read and not written."""

    def end(self, session_id: str) -> bool:
        raise StoreUnavailableError

    def end_all(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        raise StoreUnavailableError


@pytest.mark.advisory("fosite CVE-2020-15223")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/logout"),
        ("DELETE", "/auth/sessions"),
        ("DELETE", "/auth/sessions/<id>"),
        ("POST", "/auth/revoke"),
    ],
)
def test_a_revocation_without_a_store_is_no_success(method: str, path: str) -> None:
    """fosite CVE-2020-15223: 503 with Retry-After, never "ended" what lives on."""
    client = make_app(sessions=FailingToEnd()).test_client()
    token = log_in(client)["access_token"]
    own = client.get("/auth/me", headers=bearer(token)).get_json()["session"]["id"]
    form = {"token": token} if path.endswith("revoke") else None
    answer = client.open(
        path.replace("<id>", own), method=method, headers=bearer(token), data=form
    )
    assert_problem(answer, 503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.advisory("fosite #225")
def test_nobody_ends_another_s_session(client: FlaskClient) -> None:
    """fosite #225: another's session answers as one that does not exist."""
    alice, bob = log_in(client), bearer(log_in(client, "bob")["access_token"])
    me = client.get("/auth/me", headers=bearer(alice["access_token"])).get_json()
    foreign = client.delete(f"/auth/sessions/{me['session']['id']}", headers=bob)
    unknown = client.delete(f"/auth/sessions/{'x' * 22}", headers=bob)
    assert_problem(foreign, 404, "not_found")
    assert foreign.data == unknown.data
    assert client.delete("/auth/sessions", headers=bob).status_code == 204
    shown = client.get("/protected", headers=bearer(alice["access_token"]))
    assert shown.status_code == 200


@pytest.mark.advisory("knox #391")
def test_parallel_logins_keep_to_the_limit() -> None:
    """knox #391: of 24 logins at a time at a limit of 5, exactly 5 stand."""
    sessions = MemorySessionStore()
    app = make_app(sessions=sessions, config={"TOKENAUTH_SESSION_LIMIT": 5})
    user = make_users().find("alice")
    assert user is not None
    gate = threading.Barrier(8)

    def start(_: int) -> None:
        gate.wait()
        with app.app_context():
            TokenAuth().login(user)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(start, range(24)))
    assert len(sessions.of_user("u-alice", kind="login")) == 5


@pytest.mark.advisory("Keycloak CVE-2026-9802")
def test_a_restart_revives_no_token(tmp_path: Path, clock: Clock) -> None:
    """Keycloak CVE-2026-9802: what was rotated stays rotated for the next process."""
    url = f"sqlite:///{tmp_path}/sessions.db"
    first = open_sessions(url)
    assert isinstance(first, SQLSessionStore)
    first.create_tables()
    client = make_app(sessions=first, clock=clock).test_client()
    oldest = log_in(client)["refresh_token"]
    tokens = client.post("/auth/refresh", json={"refresh_token": oldest}).get_json()
    clock.move(60)
    client = make_app(sessions=open_sessions(url), clock=clock).test_client()
    reused = client.post("/auth/refresh", json={"refresh_token": oldest})
    assert_problem(reused, 400, "invalid_grant")
    newest = client.post(
        "/auth/refresh", json={"refresh_token": tokens["refresh_token"]}
    )
    assert_problem(newest, 400, "invalid_grant")


@pytest.mark.advisory("Keycloak #51312")
def test_no_refresh_survives_a_revocation(app: Flask, client: FlaskClient) -> None:
    """Keycloak #51312: 25 refreshes against a revocation, and then nothing works."""
    tokens = log_in(client)
    answers = [tokens]
    gate = threading.Barrier(26)

    def refresh() -> None:
        gate.wait()
        body = {"refresh_token": tokens["refresh_token"]}
        answer = app.test_client().post("/auth/refresh", json=body)
        answers.append(answer.get_json())

    threads = [threading.Thread(target=refresh) for _ in range(25)]
    for thread in threads:
        thread.start()
    gate.wait()
    with app.app_context():
        TokenAuth().revoke_user("u-alice")
    for thread in threads:
        thread.join()
    for pair in [answer for answer in answers if "access_token" in answer]:
        shown = client.get("/protected", headers=bearer(pair["access_token"]))
        assert_problem(shown, 401, "token_revoked")
        body = {"refresh_token": pair["refresh_token"]}
        assert_problem(client.post("/auth/refresh", json=body), 400, "invalid_grant")


class Asked(MemorySessionStore):
    """A store that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get(self, session_id: str) -> Session | None:
        self.asked.append(session_id)
        return super().get(session_id)


@pytest.mark.advisory("Flask-HTTPAuth CVE-2026-34531")
@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "bearer   ", "", " "])
def test_an_empty_token_reaches_no_store(header: str) -> None:
    """Flask-HTTPAuth CVE-2026-34531: it is missing, and nobody is asked whose it is."""
    store = Asked()
    client = make_app(sessions=store).test_client()
    client.get("/protected", headers=bearer(log_in(client)["access_token"]))
    assert store.asked
    store.asked.clear()
    answer = client.get("/protected", headers={"Authorization": header})
    assert_problem(answer, 401, "token_missing")
    assert "error=" not in answer.headers["WWW-Authenticate"]
    assert store.asked == []


# -- leaks ----------------------------------------------------------------------------


@pytest.mark.advisory("Flask-Security-Too CVE-2021-21241")
@pytest.mark.parametrize("path", ["/auth/login", "/auth/refresh", "/auth/password"])
def test_tokens_come_from_a_post_of_json_only(client: FlaskClient, path: str) -> None:
    """Flask-Security-Too CVE-2021-21241: another site cannot ask for them."""
    headers = bearer(log_in(client)["access_token"])
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = client.open(path, method=method, headers=headers)
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "OPTIONS, POST"
    for media_type in ("text/plain", "application/x-www-form-urlencoded"):
        answer = client.post(path, headers=headers, data="{}", content_type=media_type)
        if path == "/auth/refresh" and "form" in media_type:
            # OAuth clients send it; what it must hold, no other site has.
            assert_problem(answer, 400, "invalid_request")
        else:
            assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.advisory("Flask CVE-2023-30861, CVE-2026-27205", "FAB CVE-2024-45314")
@pytest.mark.parametrize("is_known", [True, False])
def test_no_answer_is_cached_or_shared(client: FlaskClient, is_known: bool) -> None:
    """Flask CVE-2023-30861, FAB CVE-2024-45314: on every route, good or bad."""
    token = log_in(client)["access_token"] if is_known else "a.b"
    for method, path in ((route.method, route.path) for route in ROUTES):
        if path == "/logout":
            continue  # it would end the rest
        answer = client.open(f"/auth{path}", method=method, headers=bearer(token))
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers
        assert "Cookie" not in answer.headers.get("Vary", "")
        if (method, path) == ("DELETE", "/sessions") and is_known:
            token = log_in(client)["access_token"]


@pytest.mark.advisory("Flask-CORS CVE-2024-6221, CVE-2020-25032")
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost"])
def test_no_origin_is_let_in(client: FlaskClient, origin: str) -> None:
    """Flask-CORS CVE-2024-6221: no header of ours lets another site read an answer."""
    headers = {"Origin": origin, **bearer(log_in(client)["access_token"])}
    for method in ("GET", "OPTIONS", "POST"):
        for path in ("/auth/me", "/auth/login", "/auth/refresh", "/protected"):
            answer = client.open(path, method=method, headers=headers)
            assert "access-control" not in str(answer.headers).lower()
            assert "evil" not in answer.text
