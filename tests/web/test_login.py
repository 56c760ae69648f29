"""The token decides: whom Flask-Login takes a request for, and what it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from typing import Any

import flask_login
import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    copy_current_request_context,
    request,
    stream_with_context,
)
from flask.testing import FlaskClient
from flask_login import current_user, login_required, login_user, logout_user
from flask_login.signals import (
    user_accessed,
    user_loaded_from_request,
    user_needs_refresh,
    user_unauthorized,
)
from werkzeug.exceptions import Forbidden

from tests.harness.kit import (
    REDIRECTS,
    SECRET,
    Clock,
    assert_problem,
    bearer,
    let_in_by_cookie,
    log_in,
    make_app,
    make_users,
    token_of,
)
from tokenauth import (
    DictUserStore,
    MemorySessionStore,
    StoreUnavailableError,
    TokenAuth,
    TokenExpiredError,
    TokenRevokedError,
    User,
    current_claims,
    events,
)
from tokenauth.errors import ConfigurationError, TokenInvalidError
from tokenauth.sessions.session import Session
from tokenauth.web import identity
from tokenauth.web.login import TokenLoginManager

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def manager_of(app: Flask) -> Any:
    return app.login_manager  # type: ignore[attr-defined]


@contextmanager
def heard(signal: Any, app: Flask) -> Iterator[list[dict[str, Any]]]:
    """Collect what a signal says of an application, within the block."""
    said: list[dict[str, Any]] = []

    def listen(_app: Flask, **details: Any) -> None:
        said.append(details)

    with signal.connected_to(listen, app):
        yield said


# -- against cookies -----------------------------------------------------------------


def test_a_token_beats_a_session_cookie(app: Flask) -> None:
    """Alice's cookies and bob's token: bob, on protected and on public pages."""
    client = let_in_by_cookie(app)
    assert client.get("/protected").json == {"user": "alice"}
    headers = bearer(token_of(app, "bob"))
    assert client.get("/protected", headers=headers).json == {"user": "bob"}
    assert client.get("/public", headers=headers).json == {"user": "bob"}
    assert client.get("/protected").json == {"user": "alice"}


BAD = {
    "junk": ("Bearer abc.def", 401, "token_invalid"),
    "malformed": ("Bearer ???", 401, "token_invalid"),
    "not-even-one": ("Bearer", 401, "token_missing"),
    "bare": ("abc.def", 401, "token_invalid"),
    "two": ("Bearer abc.def,Bearer abc.def", 400, "invalid_request"),
}


@pytest.mark.parametrize(("header", "status", "code"), BAD.values(), ids=BAD)
def test_a_bad_token_never_falls_back_to_a_cookie(
    app: Flask, header: str, status: int, code: str
) -> None:
    """Nobody, whatever is wrong with it and however good the cookies are."""
    client = let_in_by_cookie(app)
    headers = {"Authorization": header}
    assert_problem(client.get("/protected", headers=headers), status, code)
    assert client.get("/public", headers=headers).json == {"user": None}


def test_no_altered_token_falls_back_to_a_cookie(app: Flask) -> None:
    """Nor one that was sent bare and lost the form of a token."""
    client = let_in_by_cookie(app)
    token = token_of(app, "bob")
    altered = [
        token[:place] + char + token[end:]
        for place in range(0, len(token), 7)
        for end in (place, place + 1)
        for char in "A=!,/.\u00e9"
    ]
    for bare in [*altered, f"{token}=", f"{token},", f".{token}", token * 50]:
        for header in (bare, f"Bearer {bare}"):
            environ = {"HTTP_AUTHORIZATION": header}
            user = client.get("/public", environ_base=environ).json
            assert user in ({"user": None}, {"user": "bob"} if bare == token else None)


def test_a_token_that_was_good_never_falls_back_to_a_cookie(
    app: Flask, clock: Clock
) -> None:
    """Expired, revoked, or made to refresh: nobody, and the answer says which."""
    client = let_in_by_cookie(app)
    tokens = log_in(client, "bob")
    access = bearer(tokens["access_token"])
    refresh = bearer(tokens["refresh_token"])
    assert_problem(client.get("/protected", headers=refresh), 401, "token_invalid")
    clock.move(15 * 60)
    assert_problem(client.get("/protected", headers=access), 401, "token_expired")
    clock.move(-60)
    assert client.post("/auth/logout", headers=access).status_code == 204
    assert_problem(client.get("/protected", headers=access), 401, "token_revoked")
    assert client.get("/public", headers=access).json == {"user": None}


@pytest.mark.parametrize("remembered", ["alice's", "junk", ""])
def test_a_remember_cookie_does_not_silence_a_token(
    app: Flask, remembered: str
) -> None:
    """A good one, a forged one and an empty one are all the same to bob's token."""
    client = let_in_by_cookie(app)
    client.delete_cookie("session")
    if remembered != "alice's":
        client.set_cookie("remember_token", remembered)
    answer = client.get("/protected", headers=bearer(token_of(app, "bob")))
    assert answer.json == {"user": "bob"}
    assert "Set-Cookie" not in answer.headers
    bad = client.get("/protected", headers=bearer("abc.def"))
    assert_problem(bad, 401, "token_invalid")


@pytest.mark.parametrize("protection", ["basic", "strong", None])
@pytest.mark.parametrize("content", [{"x": 1}, {"_user_id": "u-alice", "_id": "other"}])
def test_session_protection_does_not_silence_a_token(
    protection: str | None, content: dict[str, Any]
) -> None:
    """Whatever Flask-Login thinks of a session cookie, a token's answer sets none."""
    app = make_app(config={"SESSION_PROTECTION": protection})
    client = let_in_by_cookie(app)
    client.delete_cookie("remember_token")
    with client.session_transaction() as session:
        session.clear()
        session.update(content)
    answer = client.get("/protected", headers=bearer(token_of(app, "bob")))
    assert answer.json == {"user": "bob"}
    assert "Set-Cookie" not in answer.headers
    assert "Vary" not in answer.headers


@pytest.mark.parametrize("header", ["good", "Bearer abc.def", "Bearer"])
def test_no_setting_of_cookies_makes_a_token_s_answer_set_one(header: str) -> None:
    """Cookies that are refreshed with each request are not with these."""
    config = {
        "REMEMBER_COOKIE_REFRESH_EACH_REQUEST": True,
        "SESSION_REFRESH_EACH_REQUEST": True,
    }
    app = make_app(config=config)
    client = let_in_by_cookie(app)
    with client.session_transaction() as session:
        session.permanent = True
    assert "Set-Cookie" in client.get("/public").headers
    if header == "good":
        header = f"Bearer {token_of(app, 'bob')}"
    for path in ("/public", "/protected", "/nowhere"):
        answer = client.get(path, headers={"Authorization": header})
        assert "Set-Cookie" not in answer.headers
        assert "Vary" not in answer.headers


def test_an_application_without_cookie_users_does_not_vary(client: FlaskClient) -> None:
    """Flask-Login alone opens the session for every answer, and says so."""
    assert "Vary" not in client.get("/public").headers


# -- one identity a request ----------------------------------------------------------


@pytest.fixture
def tokens(app: Flask) -> dict[str, dict[str, str]]:
    """The header of each user."""
    return {name: bearer(token_of(app, name)) for name in ("alice", "bob")}


def test_no_identity_outlives_its_request_in_an_outer_context(
    app: Flask, tokens: dict[str, dict[str, str]]
) -> None:
    """Flask-Login keeps the user on `g`, which an outer context makes last."""
    client = app.test_client()
    with app.app_context():
        assert client.get("/protected", headers=tokens["bob"]).json == {"user": "bob"}
        assert_problem(client.get("/protected"), 401, "token_missing")
        alice = client.get("/protected", headers=tokens["alice"])
        assert alice.json == {"user": "alice"}
        bad = client.get("/protected", headers=bearer("abc.def"))
        assert_problem(bad, 401, "token_invalid")
        assert client.get("/public").json == {"user": None}


def test_work_that_is_handed_on_looks_again(
    app: Flask, tokens: dict[str, dict[str, str]]
) -> None:
    """A token that was revoked meanwhile opens nothing there either."""
    with app.test_request_context(headers=tokens["alice"]):

        @copy_current_request_context
        def job() -> bool:
            return bool(current_user.is_authenticated)

        @copy_current_request_context
        def later() -> bool:
            return bool(current_user.is_authenticated)

        assert current_user.is_authenticated
    with app.app_context():
        assert job()
        app.extensions["tokenauth"].service.revoke_user("u-alice")
        assert not later()


def here(function: Callable[[], object]) -> None:
    function()


def in_a_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=copy_context().run, args=(function,))
    thread.start()
    thread.join()


@pytest.mark.parametrize("run", [here, in_a_thread])
@pytest.mark.parametrize("is_outer", [False, True])
@pytest.mark.parametrize("name", ["alice", "bad", "nobody"])
def test_a_request_made_while_a_user_is_found_changes_nothing(
    app: Flask,
    tokens: dict[str, dict[str, str]],
    name: str,
    is_outer: bool,
    run: Callable[[Callable[[], object]], None],
) -> None:
    """By a receiver, which is called between the finding and the answer."""
    tokens |= {"bad": bearer("abc.def"), "nobody": {}}
    expected = {"alice": ["alice", True], "bad": [None, False], "nobody": [None, False]}
    answers: list[Any] = []

    @app.get("/who")
    def who() -> list[Any]:
        claimed = [getattr(current_user, "username", None), bool(current_claims)]
        return claimed if bool(current_claims) == claimed[1] else ["?"]

    def ask(_: object, **__: object) -> None:
        if len(answers) < 1:
            answers.append("asking")
            client = app.test_client()
            run(lambda: answers.append(client.get("/who", headers=tokens["bob"]).json))

    with ExitStack() as stack:
        if is_outer:
            stack.enter_context(app.app_context())
        signals = (events.token_refused, user_loaded_from_request, user_accessed)
        for signal in signals:
            stack.enter_context(signal.connected_to(ask, app))
        for path in ("/who", "/protected"):
            answers.clear()
            answer = app.test_client().get(path, headers=tokens[name])
            if path == "/who":
                assert answer.json == expected[name]
            else:
                assert (answer.status_code == 200) == (name == "alice")
            assert answers == ["asking", ["bob", True]]


def test_contexts_in_each_other_keep_to_their_own_token(
    app: Flask, tokens: dict[str, dict[str, str]]
) -> None:
    """Inner and outer request are each taken for who their token stands for."""
    with app.test_request_context(headers=tokens["alice"]):
        assert current_user.username == "alice"
        with app.test_request_context(headers=tokens["bob"]):
            assert current_user.username == "bob"
            assert current_claims.subject == "u-bob"
            with app.test_request_context(headers=tokens["alice"]):
                assert current_user.username == "alice"
            assert current_user.username == "bob"
        with app.test_request_context():
            assert current_user.is_anonymous
            assert not current_claims
        assert current_user.username == "alice"
        assert current_claims.subject == "u-alice"


class Audited(Flask):
    """An application with a hook of the time before `TokenAuth`, called last of all."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.teardown_request(self.audit)

    def audit(self, _: BaseException | None) -> None:
        assert current_user is not None  # loads the user once more


def test_a_request_made_while_another_is_answered(clock: Clock) -> None:
    """The caller is who it was, and what it called knows nothing of it."""
    app = make_app(clock=clock, flask_class=Audited)
    tokens = {name: bearer(token_of(app, name)) for name in ("alice", "bob")}

    @app.get("/outer/<inner>")
    @login_required
    def outer(inner: str) -> list[str | None]:
        before = current_user.username
        answer = app.test_client().get("/public", headers=tokens.get(inner))
        assert answer.json is not None
        return [before, answer.json["user"], current_user.username]

    client = app.test_client()
    headers = tokens["alice"]
    assert client.get("/outer/bob", headers=headers).json == ["alice", "bob", "alice"]
    nobody = client.get("/outer/nobody", headers=headers)
    assert nobody.json == ["alice", None, "alice"]


def test_a_request_passed_on_with_another_token(app: Flask) -> None:
    """What was read from one header is not taken for another's: nothing is kept."""
    alice, bob = token_of(app), token_of(app, "bob")

    @app.get("/as-bob")
    @login_required
    def as_bob() -> Any:
        environ = request.environ | {
            "HTTP_AUTHORIZATION": f"Bearer {bob}",
            "PATH_INFO": "/protected",
        }
        return Response.from_app(app.wsgi_app, environ)

    answer = app.test_client().get("/as-bob", headers=bearer(alice))
    assert answer.json == {"user": "bob"}


def test_work_that_is_handed_on_stays_its_request_s(
    app: Flask, tokens: dict[str, dict[str, str]]
) -> None:
    """In a worker that keeps an application context, in whatever order it is done."""
    jobs: list[Callable[[], list[Any]]] = []

    @app.get("/hand-on")
    def hand_on() -> dict[str, bool]:
        @copy_current_request_context
        def job() -> list[Any]:
            return [current_user.get_id(), bool(current_claims)]

        jobs.append(job)
        return {"is_known": current_user.is_authenticated}

    client = app.test_client()
    for headers in (tokens["alice"], tokens["bob"], {}, tokens["alice"]):
        client.get("/hand-on", headers=headers)
    expected = [["u-alice", True], ["u-bob", True], [None, False], ["u-alice", True]]
    with app.app_context():
        assert [job() for job in jobs] == expected
    with app.test_request_context(headers=tokens["bob"]):
        for job, who in zip(jobs, expected, strict=True):
            assert job() == who  # before anybody asked for the user here
        assert current_user.get_id() == "u-bob"
        assert current_claims.subject == "u-bob"
        # Before Flask 3.2 Flask-Login has its user on the `g` that both share: no token
        # goes with it.
        assert jobs[0]() in (["u-bob", False], ["u-alice", True])


def test_a_copy_of_a_request_knows_its_user_without_asking_again(
    app: Flask, tokens: dict[str, dict[str, str]]
) -> None:
    """It is the same request."""
    with app.test_request_context(headers=tokens["alice"]) as context:
        user = current_user._get_current_object()
        with context.copy():
            assert current_user._get_current_object() is user
        assert current_user._get_current_object() is user


def test_who_logs_in_by_hand_has_not_the_token_s_claims(
    app: Flask, tokens: dict[str, dict[str, str]]
) -> None:
    """Nor has who logs out: what the token says is of its own user alone."""
    with app.test_request_context(headers=tokens["alice"]):
        assert current_claims.subject == "u-alice"
        login_user(User("carol"))
        assert current_user.username == "carol"
        assert not current_claims
        logout_user()
        assert current_user.is_anonymous
        assert not current_claims


def test_a_streamed_answer_knows_its_user(app: Flask) -> None:
    """As long as Flask keeps the request alive for it."""

    @app.get("/stream")
    @login_required
    def stream() -> Response:
        def lines() -> Iterator[str]:
            yield f"{current_user.username} {current_claims.subject}"

        return Response(stream_with_context(lines()))

    answer = app.test_client().get("/stream", headers=bearer(token_of(app, "bob")))
    assert answer.text == "bob u-bob"


def test_a_token_is_checked_once_a_request() -> None:
    """However often the view asks who it is."""
    asked: list[str] = []

    class Counting(MemorySessionStore):
        def get(self, session_id: str) -> Session | None:
            asked.append(session_id)
            return super().get(session_id)

    app = make_app(sessions=Counting())

    @app.get("/often")
    @login_required
    def often() -> str:
        names = [current_user.username for _ in range(3)]
        return f"{names} {current_claims.subject}"

    token = token_of(app)
    asked.clear()
    assert app.test_client().get("/often", headers=bearer(token)).status_code == 200
    assert len(asked) == 1


# -- nobody --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stranger_gets_401_with_a_challenge(client: FlaskClient, method: str) -> None:
    """RFC 6750 section 3.1: no `error` when nothing was sent."""
    answer = client.open("/protected", method=method)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="app"'
    assert answer.mimetype == "application/problem+json"


def test_head_is_let_in_like_get(app: Flask) -> None:
    """With the token's user, and without a body."""
    headers = bearer(token_of(app))
    answer = app.test_client().head("/protected", headers=headers)
    assert answer.status_code == 200
    assert answer.text == ""


ACCEPTS = {
    BROWSER["Accept"]: True,
    "text/html": True,
    "text/*": True,
    "text/html;q=0.9, application/json;q=0.8": True,
    "application/json": False,
    "*/*": True,  # curl, monitors, tests: as plain Flask-Login
    "text/html, application/json": True,
    "application/json, text/html;q=0.9": False,
    "application/json, text/plain, */*": False,  # axios
    "": True,
    "\xff;q=x,,": True,
    "text/html".ljust(1024, ","): True,
    "text/html".ljust(1025, ","): False,
}


@pytest.mark.parametrize(("accept", "is_page"), ACCEPTS.items())
def test_a_browser_is_sent_to_the_login_page(
    app: Flask, accept: str, is_page: bool
) -> None:
    """As with plain Flask-Login, unless a client prefers JSON or sends a token."""
    manager_of(app).login_view = "/log-in"
    client = app.test_client()
    answer = client.get("/protected", headers={"Accept": accept})
    if is_page:
        assert answer.status_code in REDIRECTS
        assert answer.location == "/log-in?next=%2Fprotected"
    else:
        assert_problem(answer, 401, "token_missing")


@pytest.mark.parametrize(("header", "status", "code"), BAD.values(), ids=BAD)
def test_a_token_is_never_redirected(
    app: Flask, header: str, status: int, code: str
) -> None:
    """Not even with the `Accept` of a browser, nor from an address of ours."""
    manager_of(app).login_view = manager_of(app).refresh_view = "/log-in"
    client = app.test_client()
    headers = BROWSER | {"Authorization": header}
    assert_problem(client.get("/protected", headers=headers), status, code)
    assert_problem(client.get("/auth/me", headers=headers), status, code)
    assert_problem(client.post("/auth/tokens", headers=BROWSER), 401, "token_missing")


def test_without_a_login_page_a_browser_gets_the_challenge(app: Flask) -> None:
    """Flask-Login's own 401 has none (RFC 9110 section 15.5.2 wants one)."""
    answer = app.test_client().get("/protected", headers=BROWSER)
    assert_problem(answer, 401, "token_missing")


def test_a_blueprint_has_its_own_login_page(app: Flask) -> None:
    """Its name decides; None means that there is no page."""
    for name in ("shop", "api"):
        blueprint = Blueprint(name, __name__, url_prefix=f"/{name}")
        blueprint.get("/")(login_required(lambda: "inside"))
        app.register_blueprint(blueprint)
    manager = manager_of(app)
    manager.login_view = "/log-in"
    manager.blueprint_login_views = {"shop": "/shop-log-in", "api": None}
    client = app.test_client()
    shop = client.get("/shop/", headers=BROWSER)
    assert shop.status_code in REDIRECTS
    assert shop.location == "/shop-log-in?next=%2Fshop%2F"
    assert_problem(client.get("/api/", headers=BROWSER), 401, "token_missing")
    assert client.get("/protected", headers=BROWSER).status_code in REDIRECTS


def test_an_unauthorized_handler_answers_browsers(app: Flask) -> None:
    """It stands for the login page; who sends a token gets the problem document."""
    manager_of(app).unauthorized_handler(lambda: ("please log in", 200))
    client = app.test_client()
    assert client.get("/protected", headers=BROWSER).text == "please log in"
    assert client.get("/protected").text == "please log in"
    api = client.get("/protected", headers={"Accept": "application/json"})
    assert_problem(api, 401, "token_missing")
    bad = client.get("/protected", headers=BROWSER | bearer("abc.def"))
    assert_problem(bad, 401, "token_invalid")


def test_a_handler_that_answers_nothing_lets_nobody_in(app: Flask) -> None:
    """Flask makes that an error of the application's, as with plain Flask-Login."""
    manager_of(app).unauthorized_handler(lambda: None)
    with pytest.raises(TypeError, match="did not return a valid response"):
        app.test_client().get("/protected", headers=BROWSER)


# -- users of all kinds --------------------------------------------------------------


class Liar(User):
    """A user whose `is_authenticated` is not Flask-Login's `is_active`."""

    def __init__(self, *, is_active: bool, is_authenticated: bool) -> None:
        super().__init__("liar", id="u-liar", is_active=is_active)
        self.said = is_authenticated

    @property
    def is_authenticated(self) -> bool:
        return self.said


def app_with(user: User) -> tuple[Flask, dict[str, str]]:
    """Return an application with one user and the header of the user's token."""
    is_active, user.is_active = user.is_active, True
    app = make_app(users=DictUserStore({user.username: user}))
    headers = bearer(token_of(app, user.username))
    user.is_active = is_active
    return app, headers


@pytest.mark.advisory("simplejwt CVE-2024-22513")
def test_a_disabled_user_s_token_is_revoked() -> None:
    """Nobody is let in, and the answer is that of an ended session."""
    app, headers = app_with(User("carol", is_active=False))
    client = app.test_client()
    assert_problem(client.get("/protected", headers=headers), 401, "token_revoked")
    assert client.get("/public", headers=headers).json == {"user": None}


@pytest.mark.parametrize("is_active", [False, True])
def test_an_is_authenticated_that_lies_lets_nobody_in(is_active: bool) -> None:
    """`is_active` is what counts, and `@login_required` asks for both."""
    app, headers = app_with(Liar(is_active=is_active, is_authenticated=not is_active))
    answer = app.test_client().get("/protected", headers=BROWSER | headers)
    assert_problem(answer, 401, "token_revoked")


class Failing(DictUserStore):
    """A user store whose reads fail with a given error once that is set."""

    error: Exception | None = None

    def get(self, user_id: str) -> User | None:
        if self.error:
            raise self.error
        return super().get(user_id)


def failing_app(**config: Any) -> tuple[Flask, Failing]:
    users = Failing({name: User(name, id=f"u-{name}") for name in ("alice", "bob")})
    return make_app(users=users, config=config), users


def test_an_error_of_the_application_s_store_lets_nobody_in() -> None:
    """500 from views that ask who it is; those that do not ask go on."""
    app, users = failing_app(PROPAGATE_EXCEPTIONS=False)
    app.get("/plain")(lambda: "plain")
    client = let_in_by_cookie(app)
    headers = bearer(token_of(app, "bob"))
    users.error = RuntimeError("a bug in the application's own store")
    for path in ("/protected", "/public", "/auth/me"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 500
        assert "alice" not in answer.text
    assert_problem(client.get("/auth/me", headers=headers), 500, "server_error")
    assert client.get("/plain", headers=headers).text == "plain"


def test_a_store_that_cannot_answer_lets_nobody_in() -> None:
    """503 with `Retry-After` where a login is needed; anonymous where none is."""
    app, users = failing_app()
    client = let_in_by_cookie(app)
    headers = bearer(token_of(app, "bob"))
    users.error = StoreUnavailableError(7)
    with heard(events.store_failed, app) as failures:
        for accept in ({}, BROWSER):
            answer = client.get("/protected", headers=headers | accept)
            assert_problem(answer, 503, "store_unavailable")
            assert answer.headers["Retry-After"] == "7"
            assert "WWW-Authenticate" not in answer.headers
    assert [said["event"].store for said in failures] == ["users"] * 2
    assert client.get("/public", headers=headers).json == {"user": None}


def test_a_cookie_user_is_told_that_the_store_cannot_answer() -> None:
    """A browser, too: a login page would not help."""
    app, users = failing_app()
    manager_of(app).login_view = "/log-in"
    client = let_in_by_cookie(app)
    users.error = StoreUnavailableError()
    answer = client.get("/protected", headers=BROWSER)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"


# -- other credentials ---------------------------------------------------------------


def legacy_app(clock: Clock) -> tuple[Flask, list[str]]:
    """Return an application that takes two old tokens of its own, and what it saw."""
    app = make_app(clock=clock)
    users = make_users()
    seen: list[str] = []

    @manager_of(app).request_loader  # type: ignore[untyped-decorator, unused-ignore]
    def load(request: Any) -> User | None:
        header = request.headers.get("Authorization", "")
        seen.append(header)
        if header == "Bearer expired":
            raise TokenExpiredError
        is_old = header in {"Bearer legacy", "Bearer old.token"}
        return users.find("bob") if is_old else None

    return app, seen


@pytest.mark.parametrize("token", ["legacy", "old.token"])
def test_a_request_loader_may_know_a_token_that_we_do_not(
    clock: Clock, token: str
) -> None:
    """Its user is let in: no claims, no scopes, not fresh, and no cookie is asked."""
    app, _ = legacy_app(clock)

    @app.get("/claims")
    @login_required
    def claims() -> str:
        return str(bool(current_claims))

    app.get("/fresh")(flask_login.fresh_login_required(lambda: "fresh"))
    client = let_in_by_cookie(app)
    headers = bearer(token)
    with heard(user_loaded_from_request, app) as loaded:
        assert client.get("/protected", headers=headers).json == {"user": "bob"}
    assert [said["user"].username for said in loaded] == ["bob"]
    assert client.get("/claims", headers=headers).text == "False"
    fresh = client.get("/fresh", headers=BROWSER | headers)
    assert_problem(fresh, 401, "fresh_login_required")
    assert "max_age=300" in fresh.headers["WWW-Authenticate"].replace('"', "")
    assert_problem(client.get("/auth/me", headers=headers), 401, "token_invalid")


def test_a_request_loader_is_asked_only_for_what_is_not_ours(
    app: Flask, clock: Clock
) -> None:
    """Not for a good token, nor for one of ours that is over; else nobody is let in."""
    app, seen = legacy_app(clock)
    client = let_in_by_cookie(app)
    seen.clear()
    token = token_of(app)
    assert client.get("/protected", headers=bearer(token)).json == {"user": "alice"}
    clock.move(15 * 60)
    expired = client.get("/protected", headers=bearer(token))
    assert_problem(expired, 401, "token_expired")
    assert seen == []
    for header, code in (
        ("Bearer abc.def", "token_invalid"),
        ("Bearer", "token_missing"),
        ("key-of-theirs", "token_missing"),
    ):
        foreign = client.get("/protected", headers={"Authorization": header})
        assert_problem(foreign, 401, code)
        assert seen.pop() == header


def test_a_request_loader_may_refuse_with_our_errors(clock: Clock) -> None:
    """What it raises is what is answered."""
    app, _ = legacy_app(clock)
    client = app.test_client()
    answer = client.get("/protected", headers=bearer("expired"))
    assert_problem(answer, 401, "token_expired")
    assert client.get("/public", headers=bearer("expired")).json == {"user": None}


def test_a_header_of_another_scheme_is_left_to_the_cookie(app: Flask) -> None:
    """Basic authentication of a proxy does not log cookie users out."""
    client = let_in_by_cookie(app)
    for header in ("Basic YWxpY2U6eA==", "Basic \xff", "Digest a=b", ""):
        headers = {"Authorization": header}
        assert client.get("/protected", headers=headers).json == {"user": "alice"}


# -- Flask-Login's own fresh login ---------------------------------------------------


@pytest.fixture
def fresh_app(app: Flask) -> Flask:
    app.get("/fresh")(flask_login.fresh_login_required(lambda: "fresh"))
    return app


def stale_token(app: Flask) -> dict[str, str]:
    """Return the header of a login that is just too old to be fresh."""
    header = bearer(token_of(app))
    app.extensions["tokenauth"].clock.source.move(301)
    return header


def test_flask_login_s_fresh_login_required_knows_tokens(fresh_app: Flask) -> None:
    """A login by password is fresh for five minutes; a remembered one is not."""
    client = let_in_by_cookie(fresh_app)
    assert client.get("/fresh").text == "fresh"
    assert client.get("/fresh", headers=bearer(token_of(fresh_app))).text == "fresh"
    with heard(user_needs_refresh, fresh_app) as asked:
        answer = client.get("/fresh", headers=stale_token(fresh_app))
    assert_problem(answer, 401, "fresh_login_required")
    assert answer.headers["WWW-Authenticate"].startswith(
        'Bearer realm="app", error="insufficient_user_authentication"'
    )
    assert len(asked) == 1
    client.delete_cookie("session")
    remembered = client.get("/fresh")
    assert remembered.status_code == 401
    assert remembered.headers["WWW-Authenticate"].startswith("Bearer ")
    assert_problem(fresh_app.test_client().get("/fresh"), 401, "token_missing")


@pytest.mark.parametrize("has_handler", [False, True])
def test_a_remembered_browser_is_sent_to_the_refresh_page(
    fresh_app: Flask, has_handler: bool
) -> None:
    """If there is one, and no token was sent; an API client gets the challenge."""
    manager_of(fresh_app).refresh_view = "/refresh"
    if has_handler:
        manager_of(fresh_app).refresh_view = None
        manager_of(fresh_app).needs_refresh_handler(lambda: "again, please")
    client = let_in_by_cookie(fresh_app)
    client.delete_cookie("session")
    page = client.get("/fresh", headers=BROWSER)
    if has_handler:
        assert page.text == "again, please"
    else:
        assert page.status_code in REDIRECTS
        assert page.location == "/refresh?next=%2Ffresh"
    api = client.get("/fresh", headers={"Accept": "application/json"})
    assert (api.status_code, api.json and api.json["code"]) == (
        401,
        "fresh_login_required",
    )
    answer = client.get("/fresh", headers=BROWSER | stale_token(fresh_app))
    assert_problem(answer, 401, "fresh_login_required")


def test_a_token_in_the_url_is_sent_to_no_page(clock: Clock) -> None:
    """Like one in the header: whoever carries it gets the challenge."""
    app = make_app(clock=clock, config={"TOKENAUTH_QUERY_PARAM": "token"})
    app.get("/fresh")(flask_login.fresh_login_required(lambda: "fresh"))
    manager_of(app).refresh_view = "/refresh"
    token = token_of(app)
    clock.move(301)
    answer = app.test_client().get(f"/fresh?token={token}", headers=BROWSER)
    assert_problem(answer, 401, "fresh_login_required")


# -- Flask-Login's signals -----------------------------------------------------------


def test_flask_login_s_signals_are_sent(app: Flask) -> None:
    """As often as Flask-Login sends them, with the token's user."""
    client, headers = app.test_client(), bearer(token_of(app, "bob"))
    with (
        heard(user_accessed, app) as accessed,
        heard(user_loaded_from_request, app) as loaded,
        heard(user_unauthorized, app) as unauthorized,
    ):
        client.get("/protected", headers=headers)
        assert [said["user"].username for said in loaded] == ["bob"]
        assert (len(accessed), len(unauthorized)) == (1, 0)
        client.get("/protected")
        client.get("/protected", headers=bearer("abc.def"))
    assert (len(loaded), len(unauthorized)) == (1, 2)


@pytest.mark.parametrize("signal", [user_accessed, user_loaded_from_request])
def test_each_of_flask_login_s_signals_is_sent_without_the_other(
    app: Flask, signal: Any
) -> None:
    """Who listens to one alone hears it."""
    headers = bearer(token_of(app))
    with heard(signal, app) as said:
        app.test_client().get("/protected", headers=headers)
    assert len(said) == 1


@pytest.mark.parametrize("signal", [user_accessed, user_loaded_from_request])
@pytest.mark.parametrize(
    ("error", "status"),
    [(TokenRevokedError(), 401), (Forbidden(), 403), (RuntimeError("mine"), 500)],
    ids=["ours", "Flask's", "its own"],
)
def test_a_receiver_that_refuses_a_user_lets_nobody_in(
    app: Flask, signal: Any, error: Exception, status: int
) -> None:
    """Also where somebody asked before, and had the refusal swallowed."""
    peeks: list[bool] = []

    @app.before_request
    def peek() -> None:
        with suppress(Forbidden, RuntimeError):
            peeks.append(current_user.is_authenticated)

    def refuse(_: Flask, **__: Any) -> None:
        raise error

    app.testing = False
    client, headers = app.test_client(), bearer(token_of(app))
    with signal.connected_to(refuse, app):
        assert client.get("/protected", headers=headers).status_code == status
    assert client.get("/protected", headers=headers).status_code == 200
    assert peeks == ([False, True] if status == 401 else [True])


def test_a_receiver_that_ends_the_thread_lets_nobody_in(app: Flask) -> None:
    """As a server's timeout does, whatever is done about it on the way out."""
    seen: list[bool] = []

    def exit_now(_: Flask, **__: Any) -> None:
        raise SystemExit

    with app.test_request_context(headers=bearer(token_of(app))):
        with user_accessed.connected_to(exit_now, app), pytest.raises(SystemExit):
            seen.append(current_user.is_authenticated)
        assert current_user.is_authenticated  # looked for again
    assert seen == []


def test_a_refusal_is_kept_without_where_it_was_raised(app: Flask) -> None:
    """A traceback holds the frames, with the token and all else in them."""
    with app.test_request_context(headers=bearer("abc.def")):
        assert current_user.is_anonymous
        outcome = identity.kept()
        assert outcome is not None
        assert isinstance(outcome.error, TokenInvalidError)
        assert outcome.error.__traceback__ is None
    with app.app_context():
        assert identity.kept() is None


def test_who_hears_of_a_refusal_may_ask_for_the_user(app: Flask) -> None:
    """There is none by then, and nobody looks again."""
    seen: list[bool] = []

    def ask(_: Flask, **__: Any) -> None:
        seen.append(current_user.is_anonymous)

    with events.token_refused.connected_to(ask, app):
        app.test_client().get("/protected", headers=bearer("abc.def"))
    assert seen == [True]


def test_a_refused_token_is_an_event(app: Flask) -> None:
    """One a request, with its code; a request without a token is none."""
    client = app.test_client()
    with heard(events.token_refused, app) as refused:
        client.get("/protected")
        client.get("/protected", headers=bearer("abc.def"))
    assert [said["event"].reason for said in refused] == ["token_invalid"]


def test_a_view_may_ask_for_a_login_itself(app: Flask) -> None:
    """`unauthorized()` is what Flask-Login tells views to return."""

    @app.get("/ask")
    def ask() -> Any:
        logout_user()
        return manager_of(app).unauthorized()

    client = app.test_client()
    assert_problem(client.get("/ask"), 401, "token_missing")
    answer = client.get("/ask", headers=bearer(token_of(app)))
    assert_problem(answer, 401, "token_revoked")


# -- several applications ------------------------------------------------------------


def test_each_application_judges_a_request_by_itself(app: Flask) -> None:
    """Where one's context is entered within a request of another, and left again."""
    other = make_app()
    with app.test_request_context(headers=bearer(token_of(app))):
        assert current_user.username == "alice"
        with other.app_context():
            # From Flask 3.2 on there is no request in it, so there is no user at all.
            assert not current_user or current_user.is_anonymous
            assert not current_claims
        assert current_user.username == "alice"


@pytest.mark.advisory("Authlib CVE-2026-114618")
def test_applications_with_one_key_are_strangers() -> None:
    """The realm, an application's name unless set, is part of every key."""
    apps = [make_app(config={"TOKENAUTH_REALM": realm}) for realm in ("one", "two")]
    tokens = [token_of(app) for app in apps]
    for app in apps:
        for token in tokens:
            answer = app.test_client().get("/protected", headers=bearer(token))
            if apps.index(app) == tokens.index(token):
                assert answer.json == {"user": "alice"}
            else:
                assert_problem(answer, 401, "token_invalid")
                assert f'realm="{app.config["TOKENAUTH_REALM"]}"' in str(answer.headers)


def test_one_token_auth_may_serve_several_applications() -> None:
    """Users, sessions and settings are each application's own."""
    auth = TokenAuth()
    apps = []
    for name, lifetime in (("one", 60), ("two", 120)):
        app = Flask(name)
        app.config.update(SECRET_KEY=SECRET, TOKENAUTH_ACCESS_LIFETIME=lifetime)
        user = User(f"user-of-{name}", id="u-1")
        auth.init_app(app, DictUserStore({user.username: user}))
        app.get("/me")(login_required(lambda: current_user.username))
        apps.append((app, user))
    for app, user in apps:
        with app.app_context():
            pair = auth.login(user)
            assert pair.expires_in == app.config["TOKENAUTH_ACCESS_LIFETIME"]
        for other, _ in apps:
            answer = other.test_client().get("/me", headers=bearer(pair.access_token))
            assert (answer.status_code == 200) == (other is app)


def test_a_manager_that_takes_our_place_is_refused(app: Flask) -> None:
    """It would let a cookie's user in for the token's: the error says what to do."""
    flask_login.LoginManager(app)
    with pytest.raises(ConfigurationError) as caught:
        app.test_client().get("/public")
    assert str(caught.value) == (
        "Another LoginManager took the place of TokenAuth's: remove it, and register "
        "its user_loader on 'auth.login_manager' instead."
    )


def test_a_manager_that_is_put_in_our_place_by_hand_is_refused() -> None:
    """After a request as well, where Flask has no say; the cookie lets nobody in."""
    app = make_app()
    client = let_in_by_cookie(app)
    headers = bearer(token_of(app))
    with pytest.raises(AssertionError, match="first request"):
        flask_login.LoginManager(app).user_loader(User)
    for each in (headers, {}):
        with pytest.raises(ConfigurationError, match="took the place"):
            client.get("/protected", headers=each)


@pytest.mark.parametrize("is_wanted", [True, False])
def test_templates_know_the_user_unless_told_otherwise(is_wanted: bool) -> None:
    """By the argument that Flask-Login's own `init_app` has."""
    app = Flask("app")
    TokenLoginManager().init_app(app, add_context_processor=is_wanted)
    names = {p.__name__ for p in app.template_context_processors[None]}
    assert ("_user_context_processor" in names) == is_wanted


def test_a_url_that_is_not_utf_8_is_the_client_s_mistake() -> None:
    """Found by fuzzing: Werkzeug decodes a query strictly, which was a 500."""
    app = make_app(config={"TOKENAUTH_QUERY_PARAM": "token"})
    client = app.test_client()
    headers = bearer(log_in(client)["access_token"])
    environ = {"QUERY_STRING": "keep=token&\xf9"}
    for method, path in [("GET", "/protected"), ("DELETE", "/auth/sessions")]:
        answer = client.open(
            path, method=method, headers=headers, environ_overrides=environ
        )
        assert_problem(answer, 400, "invalid_request")
    assert client.get("/protected", headers=headers).status_code == 200


def test_a_url_is_not_read_where_no_token_may_stand_in_it(app: Flask) -> None:
    """What its bytes are is the view's matter."""
    answer = app.test_client().get(
        "/protected",
        headers=bearer(token_of(app)),
        environ_overrides={"QUERY_STRING": "\xf9"},
    )
    assert answer.json == {"user": "alice"}


def test_a_disabled_user_of_a_request_loader_is_refused(app: Flask) -> None:
    """Also where the class says that whoever has credentials is authenticated."""

    class Person:
        is_authenticated, is_anonymous, is_active = True, False, True

        def get_id(self) -> str:
            return "carol"

    person = Person()
    manager_of(app).request_loader(
        lambda request: person if request.headers.get("X-API-Key") else None
    )

    @app.get("/who")
    @login_required
    def who() -> str:
        return str(current_user.get_id())

    client, headers = app.test_client(), {"X-API-Key": "k-1"}
    assert client.get("/who", headers=headers).text == "carol"
    person.is_active = False
    assert_problem(client.get("/who", headers=headers), 401, "token_missing")
