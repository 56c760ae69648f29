"""Personal access tokens: made once, used often, ended at once."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from tests.harness.kit import (
    PASSWORDS,
    Clock,
    assert_problem,
    bearer,
    log_in,
    make_app,
)
from tests.harness.kit import make_users as kit_users
from tokenauth import (
    PERSONAL_TOKEN_PATTERN,
    DictUserStore,
    InvalidCredentialsError,
    InvalidRequestError,
    InvalidScopeError,
    MemorySessionStore,
    StoreUnavailableError,
    TokenAuth,
    TokenRevokedError,
    events,
    require_scopes,
)
from tokenauth.sessions import personal
from tokenauth.sessions.personal import MAX_PERSONAL_TOKENS, USE_INTERVAL
from tokenauth.sessions.session import NEVER
from tokenauth.tokens.claims import Claims
from tokenauth.web import state

DAY = 86400


class CountingStore(MemorySessionStore):
    """Counts how often a use is written down, and can refuse to."""

    def __init__(self) -> None:
        super().__init__()
        self.touches = 0
        self.failure: Exception | None = None

    def touch(self, session_id: str, *, now: float) -> None:
        self.touches += 1
        if self.failure is not None:
            raise self.failure
        super().touch(session_id, now=now)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def users() -> DictUserStore:
    return kit_users(alice=["read", "write"], bob=["read"])


@pytest.fixture
def app(users: DictUserStore, store: CountingStore, clock: Clock) -> Flask:
    app = make_app(users=users, sessions=store, clock=clock)

    @app.get("/reports")
    @require_scopes("read")
    def reports() -> str:
        return "reports"

    return app


@pytest.fixture
def login(client: FlaskClient) -> dict[str, str]:
    """The header of alice's login."""
    return bearer(log_in(client)["access_token"])


def make(client: FlaskClient, headers: dict[str, str], **body: Any) -> dict[str, Any]:
    """Make a personal access token and return the answer."""
    response = client.post("/auth/tokens", json={"name": "ci"} | body, headers=headers)
    assert response.status_code == 201, response.text
    assert response.headers["Cache-Control"] == "no-store"
    made: dict[str, Any] = response.get_json()
    return made


def listed(client: FlaskClient, headers: dict[str, str]) -> list[dict[str, Any]]:
    response = client.get("/auth/tokens", headers=headers)
    assert response.status_code == 200, response.text
    tokens: list[dict[str, Any]] = response.get_json()["tokens"]
    return tokens


def use(client: FlaskClient, token: str) -> int:
    """Use a token and let the server finish, return the status."""
    with client.get("/protected", headers=bearer(token)) as response:
        return response.status_code


def test_a_token_opens_what_its_maker_may_open(
    client: FlaskClient, login: dict[str, str]
) -> None:
    """It stands for the user, in `current_user` and at `/auth/me`."""
    made = make(client, login, name="nightly build")
    assert made | {"token": None, "id": None} == {
        "id": None,
        "token": None,
        "name": "nightly build",
        "scope": "read write",
        "created_at": "2026-09-21T14:13:20Z",
        "last_used_at": None,
        "expires_at": "2026-10-21T14:13:20Z",
    }
    headers = bearer(made["token"])
    assert client.get("/protected", headers=headers).get_json() == {"user": "alice"}
    me = client.get("/auth/me", headers=headers).get_json()
    assert me["username"] == "alice"
    assert me["session"]["id"] == made["id"]
    assert me["session"]["current"]


def test_it_is_shown_once(client: FlaskClient, login: dict[str, str]) -> None:
    """The list names it and does not hold it; nor does the store."""
    made = make(client, login)
    answer = client.get("/auth/tokens", headers=login)
    assert [each["id"] for each in answer.get_json()["tokens"]] == [made["id"]]
    assert "token" not in answer.get_json()["tokens"][0]
    assert made["token"].split(".")[1] not in answer.text
    with client.application.app_context():
        row = state.current_state().sessions.get(made["id"])
    assert made["token"].split(".")[1] not in repr(row)


def test_it_needs_a_fresh_login(
    client: FlaskClient, login: dict[str, str], clock: Clock
) -> None:
    """A password proved in the last five minutes; refreshing is not enough."""
    clock.move(300)
    make(client, login)
    clock.move(1)
    refused = client.post("/auth/tokens", json={"name": "ci"}, headers=login)
    assert_problem(refused, 401, "fresh_login_required")
    assert 'max_age="300"' in refused.headers["WWW-Authenticate"]
    assert_problem(
        client.post("/auth/tokens", json={"name": "ci"}), 401, "token_missing"
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/auth/tokens", {"name": "another"}),
        ("GET", "/auth/tokens", None),
        ("DELETE", "/auth/tokens/{id}", None),
        ("GET", "/auth/sessions", None),
        ("DELETE", "/auth/sessions", None),
        ("DELETE", "/auth/sessions/{login_id}", None),
        (
            "POST",
            "/auth/password",
            {"current_password": PASSWORDS["alice"], "new_password": "n" * 20},
        ),
    ],
)
def test_a_token_does_not_manage_the_account(
    client: FlaskClient, login: dict[str, str], method: str, path: str, body: Any
) -> None:
    """What leaked from a script makes no other token and locks nobody out."""
    made = make(client, login)
    me = client.get("/auth/me", headers=login).get_json()
    path = path.format(id=made["id"], login_id=me["session"]["id"])
    headers = bearer(made["token"])
    refused = client.open(path, method=method, json=body, headers=headers)
    assert_problem(refused, 401, "fresh_login_required")
    assert client.get("/auth/me", headers=login).status_code == 200
    assert len(listed(client, login)) == 1


def test_it_can_do_no_more_than_user_and_maker(
    client: FlaskClient, users: DictUserStore
) -> None:
    """Scopes of the making token bound it, and those of the user at each use."""
    narrow = bearer(log_in(client, scope="read")["access_token"])
    assert make(client, narrow)["scope"] == "read"
    for scope in ("write", "read write", "admin", ""):
        refused = client.post(
            "/auth/tokens", json={"name": "ci", "scope": scope}, headers=narrow
        )
        assert_problem(refused, 400, "invalid_scope")
    made = make(client, narrow, scope="read")
    headers = bearer(made["token"])
    assert client.get("/reports", headers=headers).status_code == 200
    alice = users.get("u-alice")
    assert alice is not None
    alice.scopes = frozenset({"write"})
    assert_problem(client.get("/reports", headers=headers), 403, "insufficient_scope")
    assert {each["scope"] for each in listed(client, narrow)} == {""}


def test_it_ends_when_it_was_told_to(
    client: FlaskClient, login: dict[str, str], clock: Clock
) -> None:
    """After `expires_in` seconds, to the second, it opens nothing and is not listed."""
    made = make(client, login, expires_in=100)
    assert made["expires_at"] == "2026-09-21T14:15:00Z"
    clock.move(99)
    assert use(client, made["token"]) == 200
    clock.move(1)
    refused = client.get("/protected", headers=bearer(made["token"]))
    assert_problem(refused, 401, "token_expired")
    assert listed(client, login) == []


def test_without_an_end_it_lives_on(
    client: FlaskClient, login: dict[str, str], clock: Clock
) -> None:
    """`null` is said explicitly, and shown as null; years later it still works."""
    made = make(client, login, expires_in=None)
    assert made["expires_at"] is None
    clock.move(50 * 365 * DAY)
    headers = bearer(made["token"])
    me = client.get("/auth/me", headers=headers).get_json()
    assert me["session"]["expires_at"] is None
    later = bearer(log_in(client)["access_token"])
    assert listed(client, later)[0]["expires_at"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "a" * 101},
        {"name": "two\nlines"},
        {"name": None},
        {"name": "ci", "expires_in": 0},
        {"name": "ci", "expires_in": -1},
        {"name": "ci", "expires_in": 1.5},
        {"name": "ci", "expires_in": "3600"},
        {"name": "ci", "expires_in": True},
        {"name": "ci", "expires_in": 10**10},
        {"name": "ci", "expires_in": 10**400},
        {"name": "ci", "scope": ["read"]},
        {"name": "ci", "token": "mine"},
    ],
)
def test_a_malformed_wish_is_refused(
    client: FlaskClient, login: dict[str, str], body: Any
) -> None:
    """400, and nothing was made."""
    refused = client.post("/auth/tokens", json=body, headers=login)
    assert_problem(refused, 400, "invalid_request")
    assert listed(client, login) == []


def test_a_deleted_token_is_dead_at_once(
    client: FlaskClient, login: dict[str, str]
) -> None:
    """And only that one; a second time it is unknown."""
    first, second = make(client, login), make(client, login)
    assert [each["id"] for each in listed(client, login)] == [second["id"], first["id"]]
    path = f"/auth/tokens/{first['id']}"
    gone = client.delete(path, headers=login)
    assert gone.status_code == 204
    assert gone.headers["Cache-Control"] == "no-store"
    refused = client.get("/protected", headers=bearer(first["token"]))
    assert_problem(refused, 401, "token_revoked")
    assert use(client, second["token"]) == 200
    assert_problem(client.delete(path, headers=login), 404, "not_found")


def test_it_outlives_all_logins(client: FlaskClient, login: dict[str, str]) -> None:
    """Who logs out everywhere stops no script."""
    token = make(client, login)["token"]
    assert client.delete("/auth/sessions", headers=login).status_code == 204
    assert use(client, login["Authorization"][7:]) == 401
    assert use(client, token) == 200


def test_only_the_owner_sees_and_deletes_it(
    client: FlaskClient, login: dict[str, str]
) -> None:
    """Another user gets 404, as for an id that never was; so does the wrong route."""
    made = make(client, login)
    bob = bearer(log_in(client, "bob")["access_token"])
    assert listed(client, bob) == []
    session_id = client.get("/auth/me", headers=login).get_json()["session"]["id"]
    for headers, path in [
        (bob, f"/auth/tokens/{made['id']}"),
        (bob, "/auth/tokens/never-was"),
        (login, f"/auth/sessions/{made['id']}"),
        (login, f"/auth/tokens/{session_id}"),
    ]:
        assert_problem(client.delete(path, headers=headers), 404, "not_found")
    assert use(client, made["token"]) == 200


def test_one_user_has_a_bounded_number(
    client: FlaskClient, login: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is refused, and none that somebody relies on is ended for it."""
    assert MAX_PERSONAL_TOKENS == 100
    monkeypatch.setattr(personal, "MAX_PERSONAL_TOKENS", 3)
    made = [make(client, login) for _ in range(3)]
    refused = client.post("/auth/tokens", json={"name": "ci"}, headers=login)
    assert_problem(refused, 400, "invalid_request")
    assert "end one first" in refused.get_json()["detail"]
    assert [use(client, each["token"]) for each in made] == [200] * 3
    client.delete(f"/auth/tokens/{made[0]['id']}", headers=login)
    make(client, login)


def test_none_is_made_by_a_login_that_ended_meanwhile(
    app: Flask, client: FlaskClient, login: dict[str, str]
) -> None:
    """Who was told that nothing of a login is left, was told the truth."""
    with app.test_request_context(headers=login):
        current = state.current_state()
        identity = current.verifier.authenticate(login["Authorization"][7:])
        current.service.revoke_user("u-alice")
        with pytest.raises(TokenRevokedError):
            current.personal.create(identity, name="late")
        assert current.personal.of_user("u-alice") == []


# -- made by the application -------------------------------------------------------


def test_an_application_makes_one_for_a_service_account(
    app: Flask, client: FlaskClient, users: DictUserStore, clock: Clock
) -> None:
    """Without a password and a login; with scopes of the user and an end."""
    users._by_id["u-alice"].password_hash = None
    alice = users.get("u-alice")
    assert alice is not None
    with app.app_context():
        auth = TokenAuth()
        token = auth.create_personal_token(alice, name="etl")
        narrow = auth.create_personal_token(
            alice, name="narrow", scopes=["write"], expires_in=timedelta(minutes=1)
        )
        made = state.current_state().personal.of_user("u-alice")
        names = [each.label for each in made]
    assert sorted(map(str, names)) == ["etl", "narrow"]
    assert client.get("/reports", headers=bearer(token)).status_code == 200
    assert use(client, narrow) == 200
    assert_problem(
        client.get("/reports", headers=bearer(narrow)), 403, "insufficient_scope"
    )
    clock.move(60)
    assert use(client, narrow) == 401
    assert use(client, token) == 200


def test_an_application_s_may_end_in_a_second_or_in_the_year_9999(
    app: Flask, users: DictUserStore, clock: Clock
) -> None:
    """Later no database keeps a date."""
    alice = users.get("u-alice")
    assert alice is not None
    longest = NEVER - clock()
    with app.app_context():
        for seconds in (1, longest):
            TokenAuth().create_personal_token(alice, name="etl", expires_in=seconds)
        with pytest.raises(ValueError, match="expires_in must be None, or"):
            TokenAuth().create_personal_token(alice, name="etl", expires_in=longest + 1)


def test_those_made_at_the_same_moment_are_bounded_as_well(
    app: Flask, users: DictUserStore, store: CountingStore, monkeypatch: Any
) -> None:
    """Each of them was counted before any other was stored."""
    alice = users.get("u-alice")
    assert alice is not None
    monkeypatch.setattr(personal, "MAX_PERSONAL_TOKENS", 2)
    with app.app_context(), monkeypatch.context() as others_unseen:
        others_unseen.setattr(personal.PersonalTokens, "of_user", lambda *_: [])
        for _ in range(9):
            TokenAuth().create_personal_token(alice, name="etl")
    assert len(store.of_user("u-alice", kind="personal")) == 4


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"name": ""}, InvalidRequestError),
        ({"name": "etl", "scopes": ["admin"]}, InvalidScopeError),
        ({"name": "etl", "expires_in": 0}, ValueError),
        ({"name": "etl", "expires_in": math.nan}, ValueError),
        ({"name": "etl", "expires_in": math.inf}, ValueError),
    ],
)
def test_what_an_application_cannot_make_is_refused(
    app: Flask, users: DictUserStore, wanted: dict[str, Any], error: type[Exception]
) -> None:
    """By name, and nothing is stored."""
    alice = users.get("u-alice")
    assert alice is not None
    with app.app_context():
        with pytest.raises(error):
            TokenAuth().create_personal_token(alice, **wanted)
        assert state.current_state().personal.of_user("u-alice") == []


def test_a_disabled_user_gets_none(app: Flask, users: DictUserStore) -> None:
    """Whatever the application's own idea of the user is."""
    alice = users.get("u-alice")
    assert alice is not None
    alice.is_active = False
    with app.app_context():
        with pytest.raises(InvalidCredentialsError):
            TokenAuth().create_personal_token(alice, name="etl")
        assert state.current_state().personal.of_user("u-alice") == []


# -- last use ----------------------------------------------------------------------


def test_its_last_use_is_listed(
    client: FlaskClient, login: dict[str, str], clock: Clock
) -> None:
    """Null before the first use; then the time of a use, up to five minutes behind."""
    made = make(client, login, expires_in=None)
    assert listed(client, login)[0]["last_used_at"] is None
    assert use(client, made["token"]) == 200
    assert listed(client, login)[0]["last_used_at"] == "2026-09-21T14:13:20Z"
    clock.move(299)
    assert use(client, made["token"]) == 200
    assert listed(client, login)[0]["last_used_at"] == "2026-09-21T14:13:20Z"
    clock.move(1)
    assert use(client, made["token"]) == 200
    assert listed(client, login)[0]["last_used_at"] == "2026-09-21T14:18:20Z"


def test_a_use_is_written_once_in_five_minutes(
    client: FlaskClient, login: dict[str, str], store: CountingStore, clock: Clock
) -> None:
    """However often it is used; and a login's token writes nothing at all."""
    assert USE_INTERVAL == 300
    token = make(client, login)["token"]
    for _ in range(601):
        assert use(client, token) == 200
        clock.move(1)
    assert store.touches == 3  # at 0, 300 and 600 seconds
    use(client, login["Authorization"][7:])
    assert store.touches == 3


@pytest.mark.parametrize(
    "failure", [StoreUnavailableError(), RuntimeError("a bug of the store")]
)
def test_a_use_that_cannot_be_written_fails_nothing(
    client: FlaskClient,
    login: dict[str, str],
    store: CountingStore,
    failure: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The request is answered, the operator reads of it, the next use tries again."""
    token = make(client, login)["token"]
    store.failure = failure
    assert use(client, token) == 200
    is_announced = isinstance(failure, StoreUnavailableError)
    assert ("store_failed" in caplog.text) == is_announced
    assert ("was not recorded" in caplog.text) != is_announced
    assert token not in caplog.text
    assert store.touches == 1
    store.failure = None
    assert use(client, token) == 200
    assert listed(client, login)[0]["last_used_at"] is not None


def test_a_use_is_written_once_whatever_hooks_answer(
    app: Flask, client: FlaskClient, login: dict[str, str], store: CountingStore
) -> None:
    """A hook that makes a response of its own changes nothing."""
    token = make(client, login)["token"]
    app.after_request_funcs[None].insert(0, lambda _: Response("of a hook's own"))
    assert client.get("/protected", headers=bearer(token)).text == "of a hook's own"
    assert store.touches == 1


def test_a_check_outside_a_request_is_a_use(
    app: Flask, client: FlaskClient, login: dict[str, str]
) -> None:
    """`auth.verify` is the whole check, and noted as such."""
    token = make(client, login)["token"]
    with app.app_context():
        claims = TokenAuth().verify(token)
    assert claims.subject == "u-alice"
    assert listed(client, login)[0]["last_used_at"] is not None


# -- the token itself --------------------------------------------------------------


def test_secret_scanners_find_it(client: FlaskClient, login: dict[str, str]) -> None:
    """The published pattern finds the whole token, and no token of a login."""
    pattern = re.compile(PERSONAL_TOKEN_PATTERN)
    for options in ({}, {"expires_in": None}, {"expires_in": 1, "scope": "read"}):
        token = make(client, login, **options)["token"]
        for around in ("{}", "TOKEN={}\n", '"{}"', "Bearer {}", "https://h/?t={}&x=1"):
            found = pattern.findall(f"tka_ {around.format(token)} tka_short.x")
            assert found == [token]
    pair = log_in(client)
    assert not pattern.search(pair["access_token"] + " " + pair["refresh_token"])


def test_the_shortest_token_fits_the_pattern(app: Flask) -> None:
    """A one-letter user id, no scopes, times of one byte: still found."""
    with app.app_context():
        signer = state.current_state().personal.issuer.personal
    shortest = signer.issue(Claims("u", "s" * 22, 0, 1, 0, frozenset()))
    assert re.fullmatch(PERSONAL_TOKEN_PATTERN, shortest)


def test_it_works_for_no_other_purpose(
    client: FlaskClient, login: dict[str, str]
) -> None:
    """Neither with another prefix nor as a refresh token, nor a login's with its."""
    token = make(client, login)["token"]
    access = login["Authorization"][7:]
    for forged in (token[4:], f"tka_{token}", f"tka_{access}", token.upper()):
        refused = client.get("/protected", headers=bearer(forged))
        assert_problem(refused, 401, "token_invalid")
    body = {"refresh_token": token}
    assert_problem(client.post("/auth/refresh", json=body), 400, "invalid_grant")


def test_it_never_counts_as_a_fresh_login(
    client: FlaskClient, login: dict[str, str]
) -> None:
    """Its claims say that no password was proved, ever."""
    token = make(client, login)["token"]
    with client.application.app_context():
        claims = state.current_state().verifier.authenticate(token).claims
    assert claims.authenticated_at == 0


def test_one_signature_is_computed_for_one_request(
    app: Flask, client: FlaskClient, login: dict[str, str]
) -> None:
    """The prefix tells the signer: no second one is asked."""
    token = make(client, login)["token"]
    with app.app_context():
        mint = state.current_state().personal.issuer
    computed: list[str] = []
    for name in ("access", "refresh", "personal"):
        algorithm = getattr(mint, name).algorithm
        original = algorithm.get_signature

        def count(
            key: bytes, value: bytes, name: str = name, original: Any = original
        ) -> Any:
            computed.append(name)
            return original(key, value)

        algorithm.get_signature = count
    assert use(client, token) == 200
    assert use(client, login["Authorization"][7:]) == 200
    assert computed == ["personal", "access"]


def test_making_and_ending_one_are_announced(
    app: Flask, client: FlaskClient, login: dict[str, str]
) -> None:
    """With the user and the session's id, and never with the token."""
    seen: list[tuple[str, events.Event]] = []

    @events.token_created.connect_via(app)
    def created(_: Flask, event: events.Event) -> None:
        seen.append(("created", event))

    @events.session_revoked.connect_via(app)
    def revoked(_: Flask, event: events.Event) -> None:
        seen.append(("revoked", event))

    made = make(client, login)
    client.delete(f"/auth/tokens/{made['id']}", headers=login)
    assert [name for name, _ in seen] == ["created", "revoked"]
    with app.app_context():
        alice = state.current_state().stores.users.get("u-alice")
        assert alice is not None
        TokenAuth().create_personal_token(alice, name="etl")
    assert [event.reason for _, event in seen] == [None, None, "operator"]
    for _, event in seen[:2]:
        assert (event.user_id, event.session_id) == ("u-alice", made["id"])
        assert made["token"] not in msgspec.json.encode(event).decode()
