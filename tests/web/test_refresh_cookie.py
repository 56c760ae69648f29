"""The refresh cookie as browsers use it, by the exact headers that they send."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, redirect
from flask.testing import FlaskClient
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from tests.harness.kit import PASSWORDS, Clock, bearer, log_in, make_app, make_users
from tokenauth import (
    ConfigurationError,
    MemorySessionStore,
    StoreUnavailableError,
    TokenAuth,
)
from tokenauth.web.refresh_cookie import NAME

CREDENTIALS = {"username": "alice", "password": PASSWORDS["alice"]}
ON = {"TOKENAUTH_REFRESH_COOKIE": True}
HOST = "https://api.example"
SAME = {"Sec-Fetch-Site": "same-origin", "Origin": HOST}
CROSS = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


class Browser:
    """A client that keeps the one cookie, and sends what a page of the API sends."""

    def __init__(self, app: Flask, **headers: str) -> None:
        self.client = app.test_client(use_cookies=False)
        self.headers = headers or SAME
        self.cookie: str | None = None
        self.token = ""

    def post(self, path: str, **given: Any) -> TestResponse:
        return self.send("POST", path, **given)

    def send(
        self, method: str, path: str, *, headers: Any = None, **given: Any
    ) -> TestResponse:
        sent = {**self.headers, **(bearer(self.token) if self.token else {})}
        sent |= {"Cookie": f"{NAME}={self.cookie}"} if self.cookie else {}
        answer = self.client.open(
            path,
            method=method,
            base_url=HOST,
            headers={**sent, **(headers or {})},
            **given,
        )
        for line in answer.headers.getlist("Set-Cookie"):
            value = parse_cookie(line.partition(";")[0])[NAME]
            self.cookie = None if "Max-Age=0" in line else value
        return answer

    def log_in(self, **body: Any) -> TestResponse:
        answer = self.post("/auth/login", json={**CREDENTIALS, "cookie": True, **body})
        self.token = answer.get_json().get("access_token", "")
        return answer

    def refresh(self, **headers: str) -> TestResponse:
        answer = self.post("/auth/refresh", json={}, headers=headers)
        self.token = answer.get_json().get("access_token", self.token)
        return answer


@pytest.fixture
def config() -> dict[str, Any]:
    return {}


@pytest.fixture
def app(clock: Clock, config: dict[str, Any]) -> Flask:
    return make_app(clock=clock, config=ON | config)


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app)


@pytest.fixture
def logged_in(browser: Browser) -> Browser:
    assert browser.log_in().status_code == 200
    return browser


def code_of(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


def flags_of(answer: TestResponse) -> set[str]:
    [line] = answer.headers.getlist("Set-Cookie")
    return set(line.split("; ")[1:])


def is_cleared(answer: TestResponse) -> bool:
    return all("Max-Age=0" in line for line in answer.headers.getlist("Set-Cookie"))


# -- logging in ------------------------------------------------------------------------


def test_a_login_that_asks_gets_the_refresh_token_in_a_cookie(browser: Browser) -> None:
    """Out of scripts' reach, for our own paths alone, as long as the session lives."""
    answer = browser.log_in()
    assert answer.get_json().keys() == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_expires_in",
        "scope",
    }
    assert answer.get_json()["token_type"] == "Bearer"
    assert answer.headers["Cache-Control"] == "no-store"
    flags = flags_of(answer)
    flags = {flag for flag in flags if not flag.startswith("Expires=")}
    age = f"Max-Age={7 * 86400}"
    assert flags == {"Secure", "HttpOnly", "SameSite=Strict", "Path=/auth", age}
    assert browser.send("GET", "/protected").get_json() == {"user": "alice"}


@pytest.mark.parametrize("asked", [{}, {"cookie": False}])
def test_a_login_that_does_not_ask_gets_none(
    browser: Browser, asked: dict[str, bool]
) -> None:
    """The same API serves phones and scripts."""
    answer = browser.post("/auth/login", json=CREDENTIALS | asked)
    assert "refresh_token" in answer.get_json()
    assert "Set-Cookie" not in answer.headers


def test_without_the_setting_no_request_causes_a_cookie(clock: Clock) -> None:
    """Who asks for one is told which setting is missing; a cookie is not looked at."""
    browser = Browser(make_app(clock=clock))
    refused = browser.log_in()
    assert code_of(refused) == (400, "invalid_request")
    assert "TOKENAUTH_REFRESH_COOKIE" in refused.get_json()["detail"]
    pair = browser.post("/auth/login", json=CREDENTIALS).get_json()
    browser.cookie, browser.token = pair["refresh_token"], pair["access_token"]
    answers = [
        browser.refresh(),
        browser.post("/auth/refresh", json={"refresh_token": browser.cookie}),
        browser.post("/auth/revoke", data={"token": "x"}),
        browser.post("/auth/logout"),
    ]
    assert [answer.status_code for answer in answers] == [400, 200, 200, 204]
    assert not any("Set-Cookie" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"TOKENAUTH_URL_PREFIX": "/api/v1/auth"}, "Path=/mount/api/v1/auth"),
        ({"TOKENAUTH_REFRESH_COOKIE_SAMESITE": "Lax"}, "SameSite=Lax"),
        ({"TOKENAUTH_REFRESH_COOKIE_DOMAIN": "api.example"}, "Domain=api.example"),
        ({"TOKENAUTH_SESSION_LIFETIME": 60}, "Max-Age=60"),
    ],
)
def test_the_settings_are_in_the_cookie(
    app: Flask, config: dict[str, Any], expected: str
) -> None:
    """Its path is the one that the browser sees, also in a mounted app."""
    prefix = config.get("TOKENAUTH_URL_PREFIX", "/auth")
    answer = app.test_client().post(
        f"{prefix}/login",
        json={**CREDENTIALS, "cookie": True},
        base_url=f"{HOST}/mount",
    )
    assert expected in flags_of(answer)


@pytest.mark.parametrize("headers", [CROSS, {"Origin": "null"}, {"Origin": "http://x"}])
def test_no_page_of_another_site_logs_its_visitor_in(
    app: Flask, headers: dict[str, str]
) -> None:
    """Login CSRF: the visitor would act as the attacker. No password is tried."""
    refused = Browser(app, **headers).log_in()
    assert code_of(refused) == (400, "invalid_request")
    assert "Set-Cookie" not in refused.headers


def test_a_client_that_is_no_browser_may_ask(app: Flask) -> None:
    """It says nothing of a page, and has no visitor."""
    answer = app.test_client().post(
        "/auth/login", json={**CREDENTIALS, "cookie": True}, base_url=HOST
    )
    assert answer.status_code == 200
    assert "refresh_token" not in answer.get_json()


# -- refreshing ------------------------------------------------------------------------


def test_a_refresh_takes_the_cookie_and_sets_the_next(
    logged_in: Browser, clock: Clock
) -> None:
    """A new pair, of which the page sees the access token alone."""
    first, token = logged_in.cookie, logged_in.token
    clock.move(3600)
    answer = logged_in.refresh()
    assert answer.status_code == 200
    assert "refresh_token" not in answer.get_json()
    assert f"Max-Age={7 * 86400}" in flags_of(answer)
    assert logged_in.cookie not in {None, first}
    assert logged_in.token != token
    assert logged_in.refresh().status_code == 200


FROM_OUR_PAGES = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://app.api.example"},
    {"Origin": HOST},  # of browsers before 2023
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example"},
]


@pytest.mark.parametrize("config", [{"TOKENAUTH_ORIGINS": ["https://app.example"]}])
@pytest.mark.parametrize("headers", FROM_OUR_PAGES)
def test_a_page_of_ours_is_told_by_either_header(
    app: Flask, headers: dict[str, str]
) -> None:
    """`Sec-Fetch-Site`, else an `Origin` of our own or one that is configured."""
    browser = Browser(app, **headers)
    assert browser.log_in().status_code == 200
    assert browser.refresh().status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        CROSS,
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {"Sec-Fetch-Site": "same-origin, cross-site"},
        {"Origin": "https://api.example.evil"},
        {"Origin": "http://api.example"},
        {"Origin": f"{HOST}:8443"},
        {},
    ],
)
def test_no_other_request_is_answered(
    logged_in: Browser, headers: dict[str, str]
) -> None:
    """The cookie alone proves nothing; it stays, and the session too."""
    logged_in.headers = headers
    logged_in.token = ""
    refused = logged_in.refresh()
    assert code_of(refused) == (400, "invalid_request")
    assert "Set-Cookie" not in refused.headers
    logged_in.headers = SAME
    assert logged_in.refresh().status_code == 200


@pytest.mark.parametrize(("scheme", "status"), [("http", 200), ("https", 400)])
def test_an_origin_of_our_own_has_our_scheme(
    app: Flask, scheme: str, status: int
) -> None:
    """On localhost that is HTTP."""
    client = app.test_client()
    client.post("/auth/login", json={**CREDENTIALS, "cookie": True})
    origin = {"Origin": f"{scheme}://localhost"}
    answer = client.post("/auth/refresh", json={}, headers=origin)
    assert answer.status_code == status


# The content types that a page may send across sites without a preflight.
SIMPLE = [
    {"data": "{}", "content_type": "text/plain"},
    {"data": {"a": "b"}, "content_type": "multipart/form-data"},
    {"data": {"grant_type": "refresh_token"}},
    {"data": b""},
]


@pytest.mark.parametrize("body", SIMPLE, ids=str)
@pytest.mark.parametrize("headers", [SAME, CROSS], ids=["same", "cross"])
def test_no_form_spends_the_cookie(
    logged_in: Browser, headers: dict[str, str], body: dict[str, Any]
) -> None:
    """A form, `no-cors` or a beacon sends no JSON, nor does an OAuth client."""
    answer = logged_in.post("/auth/refresh", headers=headers, **body)
    assert answer.status_code in {400, 415}
    assert "Set-Cookie" not in answer.headers
    assert logged_in.refresh().status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_no_image_and_no_redirect_spends_the_cookie(
    logged_in: Browser, method: str
) -> None:
    """What a browser fetches by itself, or follows, is a GET."""
    headers = {**CROSS, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    answer = logged_in.send(method, "/auth/refresh", headers=headers)
    assert answer.status_code == (200 if method == "OPTIONS" else 405)
    assert "Set-Cookie" not in answer.headers


def test_body_and_cookie_together_are_refused(logged_in: Browser) -> None:
    """In JSON and as a form; neither is spent."""
    other = logged_in.post("/auth/login", json=CREDENTIALS).get_json()["refresh_token"]
    body = {"refresh_token": other}
    for sent in ({"json": body}, {"data": {**body, "grant_type": "refresh_token"}}):
        refused = logged_in.post("/auth/refresh", **sent)
        assert code_of(refused) == (400, "invalid_request")
        assert "Set-Cookie" not in refused.headers
    assert logged_in.refresh().status_code == 200
    logged_in.cookie = None
    assert logged_in.post("/auth/refresh", json=body).status_code == 200


@pytest.mark.parametrize("sent", [{"json": {}}, {"content_type": "application/json"}])
def test_a_refresh_with_nothing_says_what_is_missing(
    browser: Browser, logged_in: Browser, sent: dict[str, Any]
) -> None:
    """An empty body is enough with the cookie, and without it is an error."""
    assert logged_in.post("/auth/refresh", **sent).status_code == 200
    browser.cookie = None
    refused = browser.post("/auth/refresh", **sent)
    assert code_of(refused) == (400, "invalid_request")
    assert "'refresh_token'" in refused.get_json()["detail"]


def test_grace_and_reuse_are_those_of_any_refresh_token(
    logged_in: Browser, clock: Clock
) -> None:
    """A second tab gets the same cookie; a theft ends the session, and the cookie."""
    first = logged_in.cookie
    logged_in.refresh()
    second, logged_in.cookie = logged_in.cookie, first
    logged_in.refresh()
    assert logged_in.cookie == second
    clock.move(60)
    logged_in.cookie = first
    reused = logged_in.refresh()
    assert code_of(reused) == (400, "invalid_grant")
    assert is_cleared(reused)
    assert logged_in.cookie is None
    assert code_of(logged_in.send("GET", "/protected")) == (401, "token_revoked")


@pytest.mark.parametrize(
    "value",
    ["", "a.b", "x" * 5000, "é", "\x00"],
    ids=["empty", "junk", "long", "not ASCII", "NUL"],
)
def test_a_cookie_of_any_bytes_is_refused_and_cleared(
    browser: Browser, value: str
) -> None:
    """As any refused refresh token."""
    raw = {"HTTP_COOKIE": f"{NAME}={value}"}
    refused = browser.post("/auth/refresh", json={}, environ_overrides=raw)
    assert code_of(refused) == (400, "invalid_grant")
    flags = flags_of(refused)
    assert {"Max-Age=0", "Secure", "HttpOnly", "Path=/auth"} <= flags


def test_a_cookie_that_a_sibling_domain_tossed_logs_nobody_in(
    app: Flask, logged_in: Browser
) -> None:
    """The attacker's own good one, beside the user's: both go, none is spent."""
    attacker = Browser(app)
    attacker.log_in(username="bob", password=PASSWORDS["bob"])
    own, tossed = logged_in.cookie, attacker.cookie
    both = {"Cookie": f"{NAME}={tossed}; {NAME}={own}", "Host": "api.example:8443"}
    refused = logged_in.post("/auth/refresh", json={}, headers=both)
    assert code_of(refused) == (400, "invalid_grant")
    lines = refused.headers.getlist("Set-Cookie")
    assert all("Max-Age=0" in line for line in lines)
    assert sum("Domain=api.example" in line for line in lines) == 1
    assert sum("Domain=" not in line for line in lines) == 1
    logged_in.cookie = own
    assert logged_in.refresh().status_code == 200


@pytest.mark.parametrize("config", [{"TOKENAUTH_QUERY_PARAM": "token"}])
@pytest.mark.parametrize("path", ["/protected", "/auth/me", "/auth/sessions"])
def test_no_cookie_ever_opens_a_view(logged_in: Browser, path: str) -> None:
    """The cookie is no token of the request's, in no place."""
    logged_in.token = ""
    assert code_of(logged_in.send("GET", path)) == (401, "token_missing")
    as_token = bearer(logged_in.cookie or "")
    assert logged_in.send("GET", path, headers=as_token).status_code == 401
    assert logged_in.post("/auth/logout").status_code == 401


# -- the end of a session --------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("POST", "/auth/logout", {}),
        ("DELETE", "/auth/sessions", {}),
        ("DELETE", "/auth/sessions/{id}", {}),
        ("POST", "/auth/revoke", {"data": {"token": "{token}"}}),
    ],
)
def test_what_ends_the_session_clears_the_cookie(
    logged_in: Browser, method: str, path: str, given: dict[str, Any]
) -> None:
    """Only in the browser that has it."""
    session_id = logged_in.send("GET", "/auth/me").get_json()["session"]["id"]
    given = {name: {"token": logged_in.token} for name in given}
    answer = logged_in.send(method, path.replace("{id}", session_id), **given)
    assert answer.status_code in {200, 204}
    assert "Max-Age=0" in flags_of(answer)
    again = logged_in.post("/auth/logout")
    assert (again.status_code, "Set-Cookie" in again.headers) == (204, False)


def test_a_logout_clears_a_cookie_that_no_session_has(app: Flask) -> None:
    client = app.test_client()
    headers = bearer(log_in(client)["access_token"])
    client.set_cookie(NAME, "altered", path="/auth")
    answer = client.post("/auth/logout", headers=headers)
    assert "Max-Age=0" in flags_of(answer)


@pytest.mark.parametrize("path", ["/auth/sessions?keep=current", "/auth/sessions/{id}"])
def test_the_end_of_another_session_leaves_the_cookie(
    app: Flask, logged_in: Browser, path: str
) -> None:
    """It is that of this session."""
    other = Browser(app)
    other.log_in()
    other_id = other.send("GET", "/auth/me").get_json()["session"]["id"]
    answer = logged_in.send("DELETE", path.replace("{id}", other_id))
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (204, False)
    assert logged_in.refresh().status_code == 200


def test_a_cookie_beside_the_user_s_own_ends_nothing(
    app: Flask, logged_in: Browser
) -> None:
    """Junk of a sibling domain's, when the user ends another session."""
    other = Browser(app)
    other.log_in()
    other_id = other.send("GET", "/auth/me").get_json()["session"]["id"]
    both = {"Cookie": f"{NAME}=junk; {NAME}={logged_in.cookie}"}
    answer = logged_in.send("DELETE", f"/auth/sessions/{other_id}", headers=both)
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (204, False)


def test_a_store_that_fails_afterwards_undoes_no_logout(clock: Clock) -> None:
    """The cookie stays: its session is over all the same."""

    class Store(MemorySessionStore):
        ended = False

        def end(self, session_id: str) -> bool:
            Store.ended = True
            return super().end(session_id)

        def get(self, session_id: str) -> Any:
            if Store.ended:
                raise StoreUnavailableError
            return super().get(session_id)

    browser = Browser(make_app(clock=clock, sessions=Store(), config=ON))
    browser.log_in()
    answer = browser.post("/auth/logout")
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (204, False)


NEW = {"current_password": PASSWORDS["alice"], "new_password": "staple tidy lantern"}


def test_a_password_change_keeps_the_new_refresh_token_in_the_cookie(
    app: Flask, logged_in: Browser
) -> None:
    """For the browser that made it; the cookie of another session is cleared."""
    other = Browser(app)
    other.log_in()
    first = logged_in.cookie
    answer = logged_in.post("/auth/password", json=NEW)
    assert answer.status_code == 200
    assert "refresh_token" not in answer.get_json()
    assert logged_in.cookie not in {None, first}
    assert logged_in.refresh().status_code == 200
    ended = other.refresh()
    assert code_of(ended) == (400, "invalid_grant")
    assert is_cleared(ended)


def test_a_password_change_of_another_session_answers_with_the_pair(
    app: Flask, logged_in: Browser
) -> None:
    """The token decides: its login got the pair. The cookie's session has ended."""
    pair = logged_in.post("/auth/login", json=CREDENTIALS).get_json()
    logged_in.token = pair["access_token"]
    answer = logged_in.post("/auth/password", json=NEW)
    assert "refresh_token" in answer.get_json()
    assert is_cleared(answer)


# -- an application's own login page ---------------------------------------------------


def test_an_application_s_own_login_sets_the_cookie(app: Flask) -> None:
    """On its JSON, or on a redirect to its page, as after a login elsewhere."""
    auth = TokenAuth()
    users = make_users()

    @app.post("/own")
    def own() -> Response:
        user = users.find("alice")
        assert user is not None
        return auth.login(user).to_response(cookie=True)

    @app.get("/callback")
    def callback() -> Response:
        user = users.find("alice")
        assert user is not None
        return auth.login(user).set_cookie(redirect("/"))

    browser = Browser(app)
    answer = browser.post("/own")
    assert "refresh_token" not in answer.get_json()
    assert {"HttpOnly", "Path=/auth"} <= flags_of(answer)
    assert browser.refresh().status_code == 200
    browser = Browser(app)
    answer = browser.send("GET", "/callback")
    assert answer.status_code in {302, 303}
    assert answer.headers["Cache-Control"] == "no-store"
    assert browser.refresh().status_code == 200


def test_an_application_that_forgot_the_setting_is_told(clock: Clock) -> None:
    """No login falls back to a token in the page."""
    app, users = make_app(clock=clock), make_users()
    with app.test_request_context():
        user = users.find("alice")
        assert user is not None
        with pytest.raises(ConfigurationError, match="TOKENAUTH_REFRESH_COOKIE"):
            TokenAuth().login(user).to_response(cookie=True)


def test_the_form_of_oauth_clients_is_as_ever(client: FlaskClient) -> None:
    """Without the cookie the setting changes nothing."""
    pair = client.post("/auth/login", json=CREDENTIALS).get_json()
    form = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    answer = client.post("/auth/refresh", data=form)
    assert "refresh_token" in answer.get_json()
    assert "Set-Cookie" not in answer.headers


def test_a_host_of_many_labels_gets_one_cookie_cleared() -> None:
    client = make_app(config=ON).test_client(use_cookies=False)
    cookies = f"{NAME}=a; {NAME}=b"
    headers = {**SAME, "Host": "a." * 2000 + "b", "Cookie": cookies}
    answer = client.post("/auth/refresh", base_url=HOST, json={}, headers=headers)
    assert answer.status_code == 400
    assert len(answer.headers.getlist("Set-Cookie")) == 1
