"""Standard OAuth clients refresh, introspect and revoke with us.

Tokens come from our login endpoint; the libraries do the rest by themselves.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
import requests
from authlib.integrations.httpx_client import OAuth2Client
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import InvalidGrantError, LegacyApplicationClient
from requests_oauthlib import OAuth2Session
from werkzeug.serving import make_server

from tests.harness.kit import make_users
from tests.neighbours.kit import ORDERS, Shop, credentials, join

CLIENT = "shop-app"


class Served(NamedTuple):
    """An application that a server answers for."""

    shop: Shop
    url: str

    def log_in(self, username: str = "alice") -> dict[str, Any]:
        body = credentials(username)
        answer = requests.post(f"{self.url}/auth/login", json=body, timeout=10)
        tokens: dict[str, Any] = answer.json()
        return tokens


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server on loopback, with alice, who may introspect, and bob."""
    users = make_users(alice=["introspect", "read"])
    shop = join(ORDERS[0], lambda app: None, users=users)
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Served(shop, f"http://127.0.0.1:{server.port}")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """oauthlib asks for https but for this setting; Authlib has its own."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")


def authlib_requests(served: Served, token: dict[str, Any]) -> Any:
    url = f"{served.url}/auth/refresh"
    return AuthlibSession(CLIENT, token=token, token_endpoint=url)


def authlib_httpx(served: Served, token: dict[str, Any]) -> Any:
    url = f"{served.url}/auth/refresh"
    return OAuth2Client(CLIENT, token=token, token_endpoint=url)


AUTHLIB = [authlib_requests, authlib_httpx]


@pytest.mark.parametrize("session", AUTHLIB)
class TestAuthlib:
    """Authlib's sessions, on requests and on httpx."""

    def test_refreshes(self, served: Served, session: Any) -> None:
        """By RFC 6749 section 6's form; the new token opens views."""
        old = served.log_in()
        client = session(served, old)
        new = client.refresh_token()
        assert new["refresh_token"] != old["refresh_token"]
        answer = client.get(f"{served.url}/protected")
        assert answer.json() == {"user": "alice"}

    def test_refreshes_by_itself_when_the_token_expires(
        self, served: Served, session: Any
    ) -> None:
        """Before a request whose access token is over."""
        old = served.log_in()
        client = session(served, {**old, "expires_in": -1, "expires_at": 1})
        answer = client.get(f"{served.url}/protected")
        assert answer.json() == {"user": "alice"}
        assert client.token["refresh_token"] != old["refresh_token"]

    def test_is_told_why_a_refresh_is_refused(
        self, served: Served, session: Any
    ) -> None:
        """`error` is that of RFC 6749 section 5.2."""
        tokens = {**served.log_in(), "refresh_token": "abc.def"}
        with pytest.raises(Exception, match="invalid_grant"):
            session(served, tokens).refresh_token()

    def test_introspects(self, served: Served, session: Any) -> None:
        """With the caller's token, as RFC 7662 section 2.1 has it."""
        other = served.log_in("bob")["access_token"]
        client = session(served, served.log_in())
        url = f"{served.url}/auth/introspect"
        answer = client.introspect_token(url, token=other, auth=client.token_auth)
        assert answer.status_code == 200, answer.text
        assert answer.json()["active"] is True
        assert answer.json()["username"] == "bob"

    @pytest.mark.parametrize("hint", ["access_token", "refresh_token"])
    def test_revokes(self, served: Served, session: Any, hint: str) -> None:
        """RFC 7009: the session of either token ends."""
        tokens = served.log_in()
        client = session(served, tokens)
        url = f"{served.url}/auth/revoke"
        answer = client.revoke_token(url, token=tokens[hint], token_type_hint=hint)
        assert answer.status_code == 200, answer.text
        assert client.get(f"{served.url}/protected").status_code == 401


class TestRequestsOAuthlib:
    """requests-oauthlib's session, with oauthlib's client."""

    def test_refreshes(self, served: Served) -> None:
        """With `client_id` in the form, as public clients do."""
        client = OAuth2Session(CLIENT, token=served.log_in())
        new = client.refresh_token(f"{served.url}/auth/refresh", client_id=CLIENT)
        assert new["token_type"] == "Bearer"
        answer = client.get(f"{served.url}/protected")
        assert answer.json() == {"user": "alice"}

    def test_refreshes_by_itself_when_the_token_expires(self, served: Served) -> None:
        """`auto_refresh_url`, with the new token handed to the application."""
        kept: list[dict[str, Any]] = []
        old = served.log_in()
        client = OAuth2Session(
            CLIENT,
            token={**old, "expires_in": -1},
            auto_refresh_url=f"{served.url}/auth/refresh",
            token_updater=kept.append,
        )
        answer = client.get(f"{served.url}/protected")
        assert answer.json() == {"user": "alice"}
        assert kept[0]["refresh_token"] != old["refresh_token"]

    def test_is_told_why_a_refresh_is_refused(self, served: Served) -> None:
        """oauthlib raises its class for the `error`."""
        client = OAuth2Session(CLIENT, token=served.log_in())
        with pytest.raises(InvalidGrantError):
            client.refresh_token(f"{served.url}/auth/refresh", refresh_token="abc.def")

    def test_revokes(self, served: Served) -> None:
        """oauthlib prepares the request, requests sends it."""
        tokens = served.log_in()
        url, headers, body = LegacyApplicationClient(
            CLIENT
        ).prepare_token_revocation_request(
            f"{served.url}/auth/revoke", tokens["access_token"]
        )
        answer = requests.post(url, headers=headers, data=body, timeout=10)
        assert answer.status_code == 200, answer.text
        client = OAuth2Session(CLIENT, token=tokens)
        assert client.get(f"{served.url}/protected").status_code == 401


class Bearer(httpx.Auth):
    """What httpx's documentation shows: refresh where the answer is 401."""

    def __init__(self, served: Served, tokens: dict[str, Any]) -> None:
        self.url, self.tokens = f"{served.url}/auth/refresh", tokens

    requires_response_body = True

    def auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        response = yield request
        if response.status_code == 401:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self.tokens["refresh_token"],
            }
            response = yield httpx.Request("POST", self.url, data=form)
            self.tokens = response.json()
            request.headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
            yield request


def test_httpx_refreshes_when_it_is_refused(served: Served) -> None:
    """By an `auth_flow` with the standard form."""
    tokens = {**served.log_in(), "access_token": "abc.def"}
    with httpx.Client(auth=Bearer(served, tokens)) as client:
        answer = client.get(f"{served.url}/protected")
        assert answer.json() == {"user": "alice"}


@pytest.mark.parametrize("kind", ["a cookie", "Basic"])
def test_the_form_reads_nothing_but_the_token(served: Served, kind: str) -> None:
    """Cookies and a public client's Basic neither help nor hinder."""
    refresh_token = served.log_in()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    basic = base64.b64encode(f"{CLIENT}:".encode()).decode()
    headers = {
        "a cookie": {"Cookie": "session=anything"},
        "Basic": {"Authorization": f"Basic {basic}"},
    }[kind]
    url = f"{served.url}/auth/refresh"
    answer = requests.post(url, data=form, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "a.b"}, "invalid_grant"),
        ({"grant_type": "password", "refresh_token": "a"}, "unsupported_grant_type"),
        ({"refresh_token": "a.b"}, "invalid_request"),
    ],
)
def test_the_errors_are_those_of_the_standard(
    served: Served, form: dict[str, str], error: str
) -> None:
    """RFC 6749 section 5.2's `error`, beside our problem document."""
    answer = requests.post(f"{served.url}/auth/refresh", data=form, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert answer.json()["code"] in {"invalid_request", "invalid_grant"}
