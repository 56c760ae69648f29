"""The endpoints of logins, as a client sees them: what they take and what they say."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from flask_login import login_required
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, TestResponse

from tests.harness.kit import (
    PASSWORDS,
    Clock,
    assert_problem,
    bearer,
    let_in_by_cookie,
    log_in,
    make_app,
    make_users,
    token_of,
)
from tokenauth import MemorySessionStore
from tokenauth.sessions.session import Session
from tokenauth.testing import CHEAP_HASHING

CREDENTIALS = {"username": "alice", "password": PASSWORDS["alice"]}
RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
UNKNOWN_ID = "A" * 22


@pytest.fixture
def app(clock: Clock) -> Flask:
    return make_app(
        users=make_users(alice=["read", "write"]),
        clock=clock,
        config={"TOKENAUTH_LOGIN_LIMITS": "1000000 per minute"},
    )


@pytest.fixture
def alice(app: Flask) -> dict[str, str]:
    """The header of a login of alice's."""
    return bearer(token_of(app))


def post(client: FlaskClient, body: bytes, **kwargs: Any) -> TestResponse:
    """Send a body to the login as JSON, unless told otherwise."""
    kwargs.setdefault("content_type", "application/json")
    return client.post("/auth/login", data=body, **kwargs)


def login_body(**changes: Any) -> bytes:
    return json.dumps({**CREDENTIALS, **changes}).encode()


@pytest.mark.parametrize(
    ("path", "status"), [("/auth/me", 200), ("/auth/nowhere", 404)]
)
def test_no_prompt_sticks_to_an_answer(
    client: FlaskClient, alice: dict[str, str], path: str, status: int
) -> None:
    """It ends with a newline, good news or bad, and is as long as it says."""
    answer = client.get(path, headers=alice)
    assert answer.status_code == status
    assert answer.data.endswith(b"}\n")
    assert answer.headers["Content-Length"] == str(len(answer.data))


# -- POST /auth/login ----------------------------------------------------------------


def test_a_login_is_answered_with_tokens(client: FlaskClient) -> None:
    """RFC 6749 section 5.1's names and headers, and nothing else."""
    answer = client.post("/auth/login", json=CREDENTIALS)
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.json is not None
    tokens = answer.json
    assert set(tokens) == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
        "scope",
    }
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 15 * 60
    assert tokens["refresh_expires_in"] == 7 * 86400
    assert tokens["scope"] == "read write"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    headers = bearer(tokens["access_token"])
    assert client.get("/protected", headers=headers).json == {"user": "alice"}


def test_a_wrong_password_is_told_nothing(client: FlaskClient) -> None:
    """401 with a challenge that has no `error`: no token was sent."""
    answer = client.post("/auth/login", json=CREDENTIALS | {"password": "wrong"})
    assert_problem(answer, 401, "invalid_credentials")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="app"'


GOOD_LABELS = [
    "Jo's laptop",
    "x" * 100,
    "ä" * 100,
    "\U0001f468\u200d\U0001f4bb",
    "\u0646\u200c\u0645",
    " ",
    "iPhone de\u00a0Jo",
    "\U0001fae9",  # newer than Python 3.11
]
BAD_LABELS = [
    "",
    "x" * 101,
    "a\nb",
    "a\n",
    "\n",
    "\x00",
    "a\x1f",
    "\x7f",
    "\x85",
    "a\u2028b",
    "\u202egod",
    "\u2066",
    "soft\u00adhyphen",
    "zero\u200bwidth",
    "\u200fgod",
    "\u2060",
    "\ufeff",
    "\U000e0067",
    5,
    [],
]


@pytest.mark.parametrize("label", GOOD_LABELS)
def test_a_label_is_kept_as_it_is(client: FlaskClient, label: str) -> None:
    """Up to 100 characters of any script."""
    headers = bearer(log_in(client, label=label)["access_token"])
    me = client.get("/auth/me", headers=headers).get_json()
    assert me["session"]["label"] == label


@pytest.mark.parametrize("label", BAD_LABELS)
def test_a_label_that_cannot_be_shown_is_refused(
    client: FlaskClient, label: Any
) -> None:
    """Controls, line ends and turns of direction; the answer names the field."""
    answer = post(client, login_body(label=label))
    assert_problem(answer, 400, "invalid_request")
    assert answer.json is not None
    assert "label" in answer.json["detail"]


def test_a_label_may_be_left_out(client: FlaskClient) -> None:
    """Or be null."""
    for changes in ({}, {"label": None, "scope": None}):
        assert post(client, login_body(**changes)).status_code == 200


@pytest.mark.parametrize("scope", ["read", "write read", "read write"])
def test_a_login_gets_the_scope_it_asks_for(client: FlaskClient, scope: str) -> None:
    """In an order of ours."""
    assert log_in(client, scope=scope)["scope"] == " ".join(sorted(scope.split()))


BAD_SCOPES = ["admin", "read admin", "", " ", "read  write", " read", "read ", "re\tad"]


@pytest.mark.parametrize("scope", [*BAD_SCOPES, 'read"', "READ", "read\n", "\x00"])
def test_a_scope_that_the_user_lacks_is_refused(
    client: FlaskClient, scope: str
) -> None:
    """And not dropped; a malformed one is nobody's (RFC 6749 section 3.3)."""
    answer = post(client, login_body(scope=scope))
    assert_problem(answer, 400, "invalid_scope")
    assert "WWW-Authenticate" not in answer.headers


def test_a_client_is_known_by_what_it_can_print(client: FlaskClient) -> None:
    """The `User-Agent`, cut to 200 characters, without what cannot be shown."""
    for agent, shown in {
        "curl/8.9.1": "curl/8.9.1",
        "x" * 300: "x" * 200,
        "a\x01\x85b": "ab",
        "\x01": None,
        "": None,
    }.items():
        answer = client.post(
            "/auth/login",
            json=CREDENTIALS,
            environ_overrides={"HTTP_USER_AGENT": agent},
        )
        headers = bearer(answer.get_json()["access_token"])
        me = client.get("/auth/me", headers=headers).get_json()
        assert me["session"]["client"] == shown


def test_a_client_without_a_name_logs_in(app: Flask) -> None:
    """Scripts need not send a `User-Agent`."""
    builder = EnvironBuilder("/auth/login", method="POST", json=CREDENTIALS)
    environ = builder.get_environ()
    assert "HTTP_USER_AGENT" not in environ
    login = Response.from_app(app.wsgi_app, environ)
    headers = bearer(json.loads(login.get_data())["access_token"])
    me = app.test_client().get("/auth/me", headers=headers).get_json()
    assert me["session"]["client"] is None


# -- bodies --------------------------------------------------------------------------

BAD_BODIES = {
    "empty": b"",
    "nothing": b" ",
    "no JSON": b"username=alice",
    "cut off": login_body()[:-1],
    "trailing data": login_body() + b"{}",
    "null": b"null",
    "array": b"[]",
    "text": b'"alice"',
    "a field missing": b'{"username": "alice"}',
    "a field of another type": b'{"username": 1, "password": "x"}',
    "a null field": b'{"username": null, "password": "x"}',
    "an unknown field": login_body(grant_type="password"),
    "an unknown field of power": login_body(is_admin=True),
    "a duplicate": b'{"username": "bob", ' + login_body()[1:],
    "a duplicate in disguise": b'{"user\\u006eame": "bob", ' + login_body()[1:],
    "NaN": b'{"username": NaN, "password": "x"}',
    "infinity": b'{"username": 1e400, "password": "x"}',
    "a BOM": b"\xef\xbb\xbf" + login_body(),
    "UTF-16": login_body().decode().encode("utf-16"),
    "UTF-32": login_body().decode().encode("utf-32"),
    "Latin-1": '{"username": "ä", "password": "x"}'.encode("latin-1"),
    "a surrogate": b'{"username": "\\ud800", "password": "x"}',
    "a surrogate in a password": b'{"username": "alice", "password": "\\udc00"}',
    "surrogate bytes": b'{"username": "\xed\xa0\x80", "password": "x"}',
    "overlong bytes": b'{"username": "\xc0\x80", "password": "x"}',
    "a raw control character": b'{"username": "a\nb", "password": "x"}',
    "single quotes": b"{'username': 'alice', 'password': 'x'}",
    "a comment": login_body()[:-1] + b"/**/}",
    "a comma too many": login_body()[:-1] + b",}",
    "deep arrays": b"[" * 16_000,
    "deep objects": b'{"username":' * 1_300,
    "a deep unknown field": b'{"x":' + b"[" * 16_000,
    "a number of 5000 digits": b'{"username": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_malformed_body_is_refused(client: FlaskClient, body: bytes) -> None:
    """400, the same for all routes that take JSON; nothing of it is repeated."""
    answer = post(client, body)
    assert_problem(answer, 400, "invalid_request")
    assert "WWW-Authenticate" not in answer.headers
    assert answer.json is not None
    for sent in ("alice", "bob", "is_admin", "grant_type", PASSWORDS["alice"]):
        assert sent not in answer.text


def test_a_name_is_data(client: FlaskClient) -> None:
    """NUL, markup, quotes and the like belong to no account, and do no harm."""
    for name in ("\x00", "a\x00b", "' OR 1=1", "<script>", "x" * 10_000, "", "\u202e"):
        answer = post(client, login_body(username=name))
        assert_problem(answer, 401, "invalid_credentials")
        answer = post(client, login_body(password=name))
        assert_problem(answer, 401, "invalid_credentials")


GOOD_TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    'application/json;charset="UTF-8"',
    "application/json; charset=UTF8",
    "APPLICATION/JSON",
]
BAD_TYPES = [
    "",
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/problem+json",
    "application/jsonx",
    "application/json, text/plain",
    "application/json; charset=utf-16",
    "application/json; charset=latin-1",
    "*/*",
    "json",
    "\xff",
]


@pytest.mark.parametrize("media_type", GOOD_TYPES)
def test_json_in_utf_8_is_read(client: FlaskClient, media_type: str) -> None:
    """However its type is spelled."""
    assert post(client, login_body(), content_type=media_type).status_code == 200


@pytest.mark.parametrize("media_type", BAD_TYPES)
def test_what_a_form_can_send_is_refused(client: FlaskClient, media_type: str) -> None:
    """Strange sites send these without a preflight (ASVS 3.5.2)."""
    answer = post(client, login_body(), content_type=media_type)
    assert_problem(answer, 415, "unsupported_media_type")
    assert answer.json is not None
    assert "'Content-Type: application/json'" in answer.json["detail"]


def test_a_type_is_read_up_to_a_length(client: FlaskClient) -> None:
    """To take apart one of 8,000 characters takes longer than to log in."""
    media_type = f"{GOOD_TYPES[0]}; a="
    longest = media_type.ljust(256, "b")
    assert post(client, login_body(), content_type=longest).status_code == 200
    answer = post(client, login_body(), content_type=longest + "b")
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "identity", ""])
def test_an_encoded_body_is_refused(client: FlaskClient, coding: str) -> None:
    """No bomb is unpacked: of codings none is known."""
    answer = post(client, login_body(), headers={"Content-Encoding": coding})
    assert_problem(answer, 415, "unsupported_media_type")


# -- POST /auth/refresh --------------------------------------------------------------


def test_a_refresh_is_answered_like_a_login(client: FlaskClient) -> None:
    """The same fields, for the refresh token alone; other headers do not matter."""
    tokens = log_in(client)
    body = {"refresh_token": tokens["refresh_token"]}
    answer = client.post("/auth/refresh", json=body, headers=bearer("abc.def"))
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json.keys() == tokens.keys()
    assert answer.json["refresh_token"] != tokens["refresh_token"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("token", ["", "abc.def", "\x00", "ä" * 2000, "access"])
def test_a_bad_refresh_token_is_an_invalid_grant(
    client: FlaskClient, token: str
) -> None:
    """400 as in RFC 6749 section 5.2, without a challenge."""
    if token == "access":
        token = log_in(client)["access_token"]
    answer = client.post("/auth/refresh", json={"refresh_token": token})
    assert_problem(answer, 400, "invalid_grant")
    assert "WWW-Authenticate" not in answer.headers


def refresh_by_form(client: FlaskClient, token: str, **form: str) -> TestResponse:
    form = {"grant_type": "refresh_token", "refresh_token": token, **form}
    return client.post("/auth/refresh", data=form)


def test_a_refresh_takes_the_form_of_oauth(client: FlaskClient) -> None:
    """RFC 6749 section 6; what it does not know is ignored, as by section 3.2."""
    tokens = log_in(client)
    answer = refresh_by_form(client, tokens["refresh_token"], client_id="x", state="y")
    assert answer.status_code == 200, answer.text
    assert answer.get_json().keys() == tokens.keys()
    assert answer.headers["Cache-Control"] == "no-store"
    headers = bearer(answer.get_json()["access_token"])
    assert client.get("/protected", headers=headers).json == {"user": "alice"}


def test_a_refresh_narrows_the_access_token_and_no_refresh_token(
    client: FlaskClient,
) -> None:
    """RFC 6749 section 6: the refresh token's scope stays what it was."""
    tokens = log_in(client)
    narrow = refresh_by_form(client, tokens["refresh_token"], scope="read").get_json()
    assert narrow["scope"] == "read"
    me = client.get("/auth/me", headers=bearer(narrow["access_token"])).get_json()
    assert me["scope"] == "read"
    wide = refresh_by_form(client, narrow["refresh_token"]).get_json()
    assert wide["scope"] == "read write"


@pytest.mark.parametrize("scope", ["write", "read write", "read  read", "é"])
def test_a_refresh_gets_no_scope_that_was_not_granted(
    client: FlaskClient, scope: str
) -> None:
    """Though the user has it; and the refresh token is not spent by asking."""
    token = log_in(client, scope="read")["refresh_token"]
    refused = refresh_by_form(client, token, scope=scope)
    assert_problem(refused, 400, "invalid_scope")
    assert refused.get_json()["error"] == "invalid_scope"
    assert refresh_by_form(client, token).get_json()["scope"] == "read"


OAUTH_ERRORS = [
    ("refresh", {"grant_type": "password", "username": "a"}, "unsupported_grant_type"),
    ("refresh", {"grant_type": "refresh_token"}, "invalid_request"),
    ("refresh", {"refresh_token": "a.b"}, "invalid_request"),
    ("refresh", {"grant_type": "refresh_token", "refresh_token": "a"}, "invalid_grant"),
    ("revoke", {"token": ""}, "invalid_request"),
    ("introspect", {"token": "a.b"}, "invalid_client"),
]


@pytest.mark.parametrize(("path", "form", "error"), OAUTH_ERRORS)
def test_oauth_clients_find_their_error(
    client: FlaskClient, path: str, form: dict[str, str], error: str
) -> None:
    """RFC 6749 section 5.2's `error`, and nothing of what was sent."""
    answer = client.post(f"/auth/{path}", data=form)
    assert answer.get_json()["error"] == error
    assert "password" not in answer.get_json()["detail"]


# -- POST /auth/logout ---------------------------------------------------------------


def test_a_logout_ends_the_login(client: FlaskClient) -> None:
    """204, and neither of its tokens works from then on; twice is as good as once."""
    tokens = log_in(client)
    headers = bearer(tokens["access_token"])
    for _ in range(2):
        answer = client.post("/auth/logout", headers=headers)
        assert (answer.status_code, answer.text) == (204, "")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Content-Type" not in answer.headers
    for path in ("/protected", "/auth/me"):
        dead = client.get(path, headers=headers)
        assert_problem(dead, 401, "token_revoked")
    body = {"refresh_token": tokens["refresh_token"]}
    assert_problem(client.post("/auth/refresh", json=body), 400, "invalid_grant")


def test_a_logout_ends_no_other_login(client: FlaskClient) -> None:
    """The same user's other devices stay."""
    one, two = (bearer(log_in(client)["access_token"]) for _ in range(2))
    client.post("/auth/logout", headers=one)
    assert client.get("/protected", headers=two).json == {"user": "alice"}


def test_a_logout_needs_a_good_token(client: FlaskClient, clock: Clock) -> None:
    """A cookie is none; of a token that is over, the refresh token is left to end."""
    tokens = log_in(client)
    assert_problem(client.post("/auth/logout"), 401, "token_missing")
    for token in ("abc.def", tokens["refresh_token"]):
        answer = client.post("/auth/logout", headers=bearer(token))
        assert_problem(answer, 401, "token_invalid")
    clock.move(15 * 60)
    expired = client.post("/auth/logout", headers=bearer(tokens["access_token"]))
    assert_problem(expired, 401, "token_expired")


# -- GET /auth/me and sessions -------------------------------------------------------


def test_a_session_is_shown_to_its_owner(app: Flask, clock: Clock) -> None:
    """Its fields, with times in RFC 3339, UTC, whole seconds."""
    clock.move(0.75)
    headers = bearer(token_of(app, label="laptop", client="curl", scopes=["read"]))
    answer = app.test_client().get("/auth/me", headers=headers)
    assert answer.json is not None
    session = answer.json["session"]
    assert RFC3339_UTC.fullmatch(session["created_at"])
    assert answer.json == {
        "id": "u-alice",
        "username": "alice",
        "scope": "read",
        "session": {
            "id": session["id"],
            "label": "laptop",
            "client": "curl",
            "created_at": "2026-09-21T14:13:20Z",
            "refreshed_at": "2026-09-21T14:13:20Z",
            "expires_at": "2026-09-28T14:13:20Z",
            "current": True,
        },
    }
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", session["id"])


def test_a_refresh_is_shown_to_the_minute(
    app: Flask, client: FlaskClient, clock: Clock
) -> None:
    """Rounded down, but not below the beginning."""
    tokens = log_in(client)
    for seconds, shown_time in ((30, "14:13:20"), (30, "14:14:00"), (119, "14:16:00")):
        clock.move(seconds)
        body = {"refresh_token": tokens["refresh_token"]}
        tokens = client.post("/auth/refresh", json=body).get_json()
        headers = bearer(tokens["access_token"])
        session = client.get("/auth/me", headers=headers).get_json()["session"]
        assert session["refreshed_at"] == f"2026-09-21T{shown_time}Z"
        assert session["created_at"] == "2026-09-21T14:13:20Z"


def test_a_user_sees_the_own_logins_only(
    app: Flask, client: FlaskClient, clock: Clock
) -> None:
    """Newest first; the one that asks is marked; those that are over are gone."""
    token_of(app, "bob")
    old = token_of(app, label="old")
    clock.move(7 * 86400 - 60)
    assert old
    headers = bearer(token_of(app, label="new"))
    assert shown(client, headers) == [("new", True), ("old", False)]
    clock.move(60)
    assert shown(client, headers) == [("new", True)]


def shown(client: FlaskClient, headers: dict[str, str]) -> list[tuple[str, bool]]:
    """Return label and `current` of each login that a list shows."""
    answer = client.get("/auth/sessions", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.get_json()
    assert body.keys() == {"sessions"}
    return [(each["label"], each["current"]) for each in body["sessions"]]


def id_of(client: FlaskClient, headers: dict[str, str]) -> str:
    return str(client.get("/auth/me", headers=headers).get_json()["session"]["id"])


def test_a_user_ends_one_login(app: Flask, client: FlaskClient, clock: Clock) -> None:
    """204 once, 404 from then on; the own one can be ended like any other."""
    one, two = bearer(token_of(app)), bearer(token_of(app))
    path = f"/auth/sessions/{id_of(client, two)}"
    answer = client.delete(path, headers=one)
    assert (answer.status_code, answer.text) == (204, "")
    assert_problem(client.get("/protected", headers=two), 401, "token_revoked")
    assert_problem(client.delete(path, headers=one), 404, "not_found")
    expired = f"/auth/sessions/{id_of(client, two := bearer(token_of(app)))}"
    clock.move(7 * 86400)
    one = bearer(token_of(app))
    assert_problem(client.delete(expired, headers=one), 404, "not_found")
    own = f"/auth/sessions/{id_of(client, one)}"
    assert client.delete(own, headers=one).status_code == 204
    assert_problem(client.get("/protected", headers=one), 401, "token_revoked")


def test_another_user_s_login_does_not_exist(app: Flask, client: FlaskClient) -> None:
    """404, byte for byte as for an id that nobody has; and it goes on."""
    alice, bob = bearer(token_of(app)), bearer(token_of(app, "bob"))
    foreign = client.delete(f"/auth/sessions/{id_of(client, bob)}", headers=alice)
    unknown = client.delete(f"/auth/sessions/{UNKNOWN_ID}", headers=alice)
    assert_problem(foreign, 404, "not_found")
    assert foreign.data == unknown.data
    assert list(foreign.headers) == list(unknown.headers)
    assert client.get("/protected", headers=bob).json == {"user": "bob"}


STRANGE_IDS = ["x", "%00" * 22, "%0d%0a", "%ff", "ä" * 22, "A" * 21 + "%0a", "A" * 5000]


@pytest.mark.parametrize("session_id", STRANGE_IDS)
def test_no_store_is_asked_for_what_cannot_be_an_id(
    session_id: str, clock: Clock
) -> None:
    """Databases do not take NUL, and nobody has such a login."""
    asked: list[str] = []

    class Listening(MemorySessionStore):
        def get(self, session_id: str) -> Session | None:
            asked.append(session_id)
            return super().get(session_id)

    app = make_app(sessions=Listening(), clock=clock)
    headers = bearer(token_of(app))
    asked.clear()
    for kind in ("sessions", "tokens"):
        path = f"/auth/{kind}/{session_id}"
        assert_problem(
            app.test_client().delete(path, headers=headers), 404, "not_found"
        )
    assert len(asked) == 2, "the login that asks, each time, and nothing else"


@pytest.mark.parametrize("keep", [None, "current"])
def test_a_user_ends_all_logins(
    app: Flask, client: FlaskClient, keep: str | None
) -> None:
    """All of them, or all but this one; other users' stay."""
    mine, other = bearer(token_of(app)), bearer(token_of(app))
    bob = bearer(token_of(app, "bob"))
    query = {} if keep is None else {"keep": keep}
    answer = client.delete("/auth/sessions", headers=mine, query_string=query)
    assert (answer.status_code, answer.text) == (204, "")
    assert_problem(client.get("/protected", headers=other), 401, "token_revoked")
    assert client.get("/protected", headers=bob).json == {"user": "bob"}
    assert client.get("/protected", headers=mine).status_code == (200 if keep else 401)


@pytest.mark.parametrize(
    "query", ["keep=", "keep=all", "keep=Current", "keep=current&keep=x", "keep=%00"]
)
def test_an_unknown_keep_ends_nothing(
    client: FlaskClient, alice: dict[str, str], query: str
) -> None:
    """400: who means to keep a login must not lose it to a typing error."""
    answer = client.delete(f"/auth/sessions?{query}", headers=alice)
    assert_problem(answer, 400, "invalid_request")
    assert client.get("/protected", headers=alice).status_code == 200


# -- POST /auth/password -------------------------------------------------------------


def test_a_password_is_changed(client: FlaskClient) -> None:
    """A new pair; every other token of a login is dead, the old password, too."""
    old = log_in(client)
    other = bearer(log_in(client)["access_token"])
    new = "an entirely other sentence"
    answer = client.post(
        "/auth/password",
        json={"current_password": PASSWORDS["alice"], "new_password": new},
        headers=bearer(old["access_token"]),
    )
    assert answer.status_code == 200
    assert answer.get_json().keys() == old.keys()
    for headers in (bearer(old["access_token"]), other):
        assert_problem(client.get("/protected", headers=headers), 401, "token_revoked")
    body = {"refresh_token": old["refresh_token"]}
    assert_problem(client.post("/auth/refresh", json=body), 400, "invalid_grant")
    fresh = bearer(answer.get_json()["access_token"])
    assert client.get("/protected", headers=fresh).json == {"user": "alice"}
    assert_problem(
        client.post("/auth/login", json=CREDENTIALS), 401, "invalid_credentials"
    )
    answer = client.post("/auth/login", json={"username": "alice", "password": new})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("current", "new", "status", "code"),
    [
        ("wrong", "an entirely other sentence", 401, "invalid_credentials"),
        (PASSWORDS["alice"], "short", 422, "password_refused"),
        (PASSWORDS["alice"], None, 400, "invalid_request"),
    ],
)
def test_a_refused_change_changes_nothing(
    client: FlaskClient, current: str, new: Any, status: int, code: str
) -> None:
    """The login that asks goes on."""
    headers = bearer(log_in(client)["access_token"])
    body = {"current_password": current, "new_password": new}
    answer = client.post("/auth/password", json=body, headers=headers)
    assert_problem(answer, status, code)
    assert client.get("/protected", headers=headers).status_code == 200
    assert log_in(client)


# -- addresses and methods -----------------------------------------------------------

NEEDS_A_TOKEN = [
    ("POST", "/auth/logout"),
    ("GET", "/auth/me"),
    ("GET", "/auth/sessions"),
    ("DELETE", "/auth/sessions"),
    ("DELETE", f"/auth/sessions/{UNKNOWN_ID}"),
    ("POST", "/auth/password"),
    ("GET", "/auth/tokens"),
    ("POST", "/auth/tokens"),
    ("DELETE", f"/auth/tokens/{UNKNOWN_ID}"),
    ("POST", "/auth/introspect"),
]


@pytest.mark.parametrize(("method", "path"), NEEDS_A_TOKEN)
def test_a_stranger_is_refused_before_anything_else(
    app: Flask, method: str, path: str
) -> None:
    """401 with a challenge, for nothing, for alice's cookies, and for a bad token."""
    cookies = let_in_by_cookie(app)
    for client in (app.test_client(), cookies):
        answer = client.open(path, method=method)
        assert_problem(answer, 401, "token_missing")
        bad = client.open(path, method=method, headers=bearer("abc.def"))
        assert_problem(bad, 401, "token_invalid")


ALLOWED = {
    "/auth/login": "OPTIONS, POST",
    "/auth/refresh": "OPTIONS, POST",
    "/auth/logout": "OPTIONS, POST",
    "/auth/me": "GET, HEAD, OPTIONS",
    "/auth/sessions": "DELETE, GET, HEAD, OPTIONS",
    f"/auth/sessions/{UNKNOWN_ID}": "DELETE, OPTIONS",
    "/auth/password": "OPTIONS, POST",
}


@pytest.mark.parametrize(("path", "allowed"), ALLOWED.items())
def test_another_method_is_told_which_there_are(
    app: Flask, path: str, allowed: str
) -> None:
    """405 with `Allow`, as a problem document; OPTIONS says the same, to anybody."""
    client = app.test_client()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - set(
        allowed.split(", ")
    ):
        answer = client.open(path, method=method, headers=bearer("abc.def"))
        assert_problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == allowed
        assert "WWW-Authenticate" not in answer.headers
    options = client.options(path)
    assert (options.status_code, options.text) == (200, "")
    assert sorted(options.headers["Allow"].split(", ")) == allowed.split(", ")


def test_head_is_get_without_a_body(client: FlaskClient, alice: dict[str, str]) -> None:
    """With the headers of the answer."""
    for path in ("/auth/me", "/auth/sessions"):
        got, head = (
            client.open(path, method=method, headers=alice)
            for method in ("GET", "HEAD")
        )
        assert head.status_code == 200
        assert head.text == ""
        assert list(head.headers) == list(got.headers)


NOWHERE = [
    "/auth",
    "/auth/",
    "/auth/login/",
    "/auth/me/",
    "/auth/sessions/",
    "/auth/sessions//",
    "/auth//login",
    "/auth/./login",
    "/auth/nowhere",
    "/auth/LOGIN",
    "/auth/login;x=1",
]


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_address_that_is_not_there(app: Flask, path: str, method: str) -> None:
    """A problem document and never a redirect, neither to a slash nor from two."""
    answer = app.test_client().open(path, method=method, json={})
    assert answer.status_code in {404, 405}
    assert_problem(
        answer,
        answer.status_code,
        {404: "not_found", 405: "method_not_allowed"}[answer.status_code],
    )
    assert "Location" not in answer.headers


def test_an_application_may_trap_http_exceptions(clock: Clock) -> None:
    """What stops a request of ours is an answer all the same."""
    app = make_app(clock=clock, config={"TRAP_HTTP_EXCEPTIONS": True})
    client = app.test_client()
    assert_problem(client.get("/protected"), 401, "token_missing")
    assert_problem(client.get("/auth/nowhere"), 404, "not_found")
    assert_problem(client.post("/auth/login", json={}), 400, "invalid_request")


def test_a_host_that_is_not_trusted_gets_a_problem_document(clock: Clock) -> None:
    """As far as the address is ours; the rest is Flask's."""
    app = make_app(clock=clock, config={"TRUSTED_HOSTS": ["localhost"]})
    client = app.test_client()
    for path in ("/auth/me", "/auth/nowhere"):
        answer = client.get(path, base_url="http://evil.example")
        assert_problem(answer, 400, "invalid_request")
    assert client.get("/public", base_url="http://evil.example").status_code == 400


def test_an_application_s_own_pages_may_be_under_our_prefix(clock: Clock) -> None:
    """With Flask's redirect to their slash; what is beside the prefix is Flask's."""
    app = make_app(clock=clock, config={"TOKENAUTH_URL_PREFIX": "/account"})
    app.get("/account/profile/")(lambda: "profile")
    client = app.test_client()
    assert client.get("/account/profile/").text == "profile"
    assert client.get("/account/profile").status_code == 308
    for path in ("/nowhere", "/accountant", "//account/login"):
        assert client.get(path).mimetype == "text/html"


def test_the_prefix_is_the_application_s_choice(clock: Clock) -> None:
    """All of it moves; where it was, nothing is left."""
    app = make_app(clock=clock, config={"TOKENAUTH_URL_PREFIX": "/api/v1/login"})
    client = app.test_client()
    answer = client.post("/api/v1/login/login", json=CREDENTIALS)
    assert answer.status_code == 200
    assert_problem(client.get("/api/v1/login/nowhere"), 404, "not_found")
    assert client.post("/auth/login", json=CREDENTIALS).mimetype == "text/html"


def test_our_addresses_set_no_cookie() -> None:
    """Whatever cookies come along, and however often the application renews them."""
    config = {"REMEMBER_COOKIE_REFRESH_EACH_REQUEST": True}
    client = let_in_by_cookie(make_app(config=config))
    with client.session_transaction() as session:
        session.permanent = True
    assert "Set-Cookie" in client.get("/public").headers
    answers = [
        client.post("/auth/login", json=CREDENTIALS),
        client.post("/auth/login", json={}),
        client.get("/auth/me"),
        client.options("/auth/me"),
        client.get("/auth/nowhere"),
        client.get("/auth/login"),
    ]
    for answer in answers:
        assert "Set-Cookie" not in answer.headers
        assert "Vary" not in answer.headers
    assert client.get("/protected").json == {"user": "alice"}


# -- tokens in URLs ------------------------------------------------------------------


@pytest.fixture
def url_app(clock: Clock) -> Flask:
    return make_app(clock=clock, config={"TOKENAUTH_QUERY_PARAM": "token"})


def test_a_token_in_a_url_is_ignored_by_default(app: Flask) -> None:
    """Also in a form and in a cookie (RFC 6750 section 2: one way is enough)."""
    client, token = app.test_client(), token_of(app)
    client.set_cookie("access_token", token)
    for query in ("token", "access_token", "auth_token"):
        answer = client.get("/protected", query_string={query: token})
        assert_problem(answer, 401, "token_missing")
    form = client.post("/auth/logout", data={"access_token": token})
    assert_problem(form, 401, "token_missing")


def test_a_token_in_a_url_works_where_it_is_turned_on(url_app: Flask) -> None:
    """Under the one name, as in the tutorial, and it decides like any other."""
    client = let_in_by_cookie(url_app)
    bob = token_of(url_app, "bob")
    answer = client.get("/protected", query_string={"token": bob})
    assert answer.json == {"user": "bob"}
    assert "Set-Cookie" not in answer.headers
    assert client.get("/protected?other=x").json == {"user": "alice"}
    out = client.post("/auth/logout", query_string={"token": bob})
    assert out.status_code == 204
    revoked = client.get("/protected", query_string={"token": bob})
    assert_problem(revoked, 401, "token_revoked")


def test_no_cache_shares_what_a_url_s_token_opened(url_app: Flask) -> None:
    """Unless the view knows better (RFC 6750 section 2.3)."""

    @url_app.get("/own")
    @login_required
    def own() -> tuple[str, dict[str, str]]:
        return "own", {"Cache-Control": "no-cache"}

    client, query = url_app.test_client(), {"token": token_of(url_app)}
    kept = client.get("/protected", query_string=query).headers["Cache-Control"]
    assert kept == "private, no-store"
    by_header = client.get("/protected", headers=bearer(query["token"]))
    assert "Cache-Control" not in by_header.headers
    own_rule = client.get("/own", query_string=query).headers["Cache-Control"]
    assert own_rule == "no-cache"
    assert "Cache-Control" not in client.get("/public").headers


BAD_QUERIES = [
    ("token=abc.def", 401, "token_invalid"),
    ("token=a%20b", 401, "token_invalid"),
    ("token=%FF%00", 401, "token_invalid"),
    ("token=" + "a" * 5000, 401, "token_invalid"),
    ("token=", 401, "token_missing"),
    ("token=abc.def&token=abc.def", 400, "invalid_request"),
]


@pytest.mark.parametrize(("query", "status", "code"), BAD_QUERIES)
def test_a_bad_token_in_a_url_lets_nobody_in(
    url_app: Flask, query: str, status: int, code: str
) -> None:
    """Whatever the cookies say."""
    client = let_in_by_cookie(url_app)
    assert_problem(client.get(f"/protected?{query}"), status, code)
    assert client.get(f"/public?{query}").json == {"user": None}


def test_a_url_that_is_not_utf_8_is_refused(url_app: Flask) -> None:
    """Not every server refuses it before us."""
    raw = {"QUERY_STRING": "token=\xff"}
    client = url_app.test_client()
    for path in ("/protected", "/auth/me"):
        answer = client.get(path, environ_overrides=raw)
        assert_problem(answer, 400, "invalid_request")
        assert answer.json is not None
        assert answer.json["detail"] == "The parameters in the URL are not UTF-8."


@pytest.mark.parametrize("name", ["token", "my token", "t+k", "t&k", "t%k", "t\u00f6k"])
def test_a_parameter_may_have_any_name_and_spelling(clock: Clock, name: str) -> None:
    """As `quote`, a form, and a client that escapes everything write it."""
    app = make_app(clock=clock, config={"TOKENAUTH_QUERY_PARAM": name})
    escaped = "".join(f"%{byte:02x}" for byte in name.encode())
    for spelled in (quote(name, safe=""), quote_plus(name), escaped):
        answer = app.test_client().get(f"/protected?a=b&{spelled}={token_of(app)}")
        assert answer.json == {"user": "alice"}


def test_a_url_with_too_many_parameters_is_refused(url_app: Flask) -> None:
    """Where one of them may be a token, and then no cookie stands in for it."""
    many = "a=%41&" * 255
    client, token = let_in_by_cookie(url_app), token_of(url_app, "bob")
    allowed = client.get(f"/protected?{many}token={token}")
    assert allowed.json == {"user": "bob"}
    for path in ("/protected", "/auth/me"):
        refused = client.get(f"{path}?{many}a=b&token={token}")
        assert_problem(refused, 400, "invalid_request")
    assert client.get(f"/public?{many}a=b").json == {"user": "alice"}
    assert client.get(f"/public?{many}a=b&c=d").json == {"user": None}
    assert client.get(f"/public?{'a=b&' * 999}").json == {"user": "alice"}


@pytest.mark.parametrize("header", ["good", "Bearer abc.def", "Bearer", "abc.def"])
def test_two_tokens_are_one_too_many(url_app: Flask, header: str) -> None:
    """400 where header and URL have one each, be they equal (RFC 6750 section 2)."""
    token = token_of(url_app)
    if header == "good":
        header = f"Bearer {token}"
    client = url_app.test_client()
    for path in ("/protected", "/auth/me"):
        answer = client.get(
            path, query_string={"token": token}, headers={"Authorization": header}
        )
        assert_problem(answer, 400, "invalid_request")
        assert 'error="invalid_request"' in answer.headers["WWW-Authenticate"]


def test_a_header_of_another_scheme_is_not_a_second_token(url_app: Flask) -> None:
    """Basic authentication of a proxy, say."""
    answer = url_app.test_client().get(
        "/protected",
        query_string={"token": token_of(url_app)},
        headers={"Authorization": "Basic YTpi"},
    )
    assert answer.json == {"user": "alice"}


# -- any bytes -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def tough() -> FlaskClient:
    """A client of an application in which everything is turned on."""
    app = make_app(
        config={
            **CHEAP_HASHING,
            "TOKENAUTH_QUERY_PARAM": "token",
            "TOKENAUTH_LOGIN_LIMITS": "1000000 per minute",
        }
    )
    app.login_manager.login_view = "/log-in"  # type: ignore[attr-defined]
    client = let_in_by_cookie(app)
    client.environ_base["tests.token"] = token_of(app, "bob")
    return client


def assert_harmless(answer: TestResponse) -> None:
    assert answer.status_code < 300 or 400 <= answer.status_code < 500
    assert "Set-Cookie" not in answer.headers
    assert "Location" not in answer.headers


LATIN_1 = st.text(st.characters(max_codepoint=255), max_size=60)
TOKENISH = st.from_regex(r"(?i)(bearer)? *[\w.~+/=,-]*", fullmatch=True)
HEADERS = LATIN_1 | TOKENISH | LATIN_1.map("Bearer ".__add__)
SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(header=HEADERS, accept=LATIN_1, query=st.none() | LATIN_1)
def test_no_header_does_harm(
    tough: FlaskClient, header: str, accept: str, query: str | None
) -> None:
    """No 5xx, no redirect and no cookie, whatever a request says of itself."""
    environ = {
        "HTTP_AUTHORIZATION": header,
        "HTTP_ACCEPT": accept,
        "HTTP_USER_AGENT": accept,
    }
    parameters = {} if query is None else {"token": query}
    for path in ("/protected", "/auth/me", "/public"):
        answer = tough.get(path, environ_overrides=environ, query_string=parameters)
        if header.lower().startswith("bearer") or query is not None:
            assert_harmless(answer)
        assert answer.status_code < 500
    assert_harmless(tough.post("/auth/logout", environ_overrides=environ))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["username", "password", "label", "scope", "refresh_token", "new_password"]
)
NEARLY = st.dictionaries(FIELDS, st.text(max_size=20) | JSON, max_size=5)
BODIES = (
    st.binary(max_size=200)
    | (JSON | NEARLY).map(lambda value: json.dumps(value).encode())
    | NEARLY.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-16"))
)
TYPES = st.just("application/json") | LATIN_1


@SETTINGS
@given(body=BODIES, media_type=TYPES)
def test_no_body_does_harm(tough: FlaskClient, body: bytes, media_type: str) -> None:
    """No 5xx, no redirect and no cookie, from any address that takes one."""
    token = str(tough.environ_base["tests.token"])
    for path in ("login", "refresh", "password", "logout"):
        answer = tough.post(
            f"/auth/{path}",
            data=body,
            environ_overrides={
                "CONTENT_TYPE": media_type,
                "HTTP_AUTHORIZATION": "" if path == "logout" else f"Bearer {token}",
            },
        )
        assert_harmless(answer)
