"""An application to be fuzzed by schemathesis, and how schemathesis logs in to it.

`SCHEMATHESIS_HOOKS` names this module to schemathesis, which runs as its own process.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar
from urllib.request import Request, urlopen

import schemathesis
from flask import Flask
from schemathesis import AuthContext, Case, HookContext, Response

from tokenauth import DictUserStore, TokenAuth, User, hash_password
from tokenauth.testing import CHEAP_HASHING

# Those of the description's examples, so that its examples succeed.
USERNAME, PASSWORD = "JohnDoe", "correct horse battery"

# What the description cannot say: names that a user does not have, tokens that were
# never issued, passwords that are too easy.
CONFIG = """\
[[operations]]
include-path = ["/auth/login", "/auth/refresh", "/auth/tokens"]
checks.positive_data_acceptance.expected-statuses = [200, 201, 400, 401]

[[operations]]
include-path = "/auth/password"
checks.positive_data_acceptance.expected-statuses = [200, 401, 422]
"""


def create_app() -> Flask:
    """Return the application, whose attempts are not limited."""
    app = Flask("app")
    app.config.from_prefixed_env()
    app.config.update(TESTING=True, TOKENAUTH_LOGIN_LIMITS="1000000 per minute")
    app.config.update(CHEAP_HASHING)
    scopes = ["introspect", "reports:read", "reports:write"]
    user = User(USERNAME, hash_password(PASSWORD), scopes=scopes)
    TokenAuth().init_app(app, DictUserStore({user.username: user}))
    return app


# What goes on with which part of an answer: (operation, status) -> links.
_TOKEN = "$response.body#/refresh_token"
_PAIR = {
    "refresh": {
        "operationId": "tokenauth_refresh",
        "requestBody": {"refresh_token": _TOKEN},
    },
    "revoke": {"operationId": "tokenauth_revoke", "requestBody": {"token": _TOKEN}},
}
_LINKS: dict[tuple[str, str, str], dict[str, Any]] = {
    ("/auth/login", "post", "200"): _PAIR,
    ("/auth/refresh", "post", "200"): _PAIR,
    ("/auth/sessions", "get", "200"): {
        "end": {
            "operationId": "tokenauth_end_session",
            "parameters": {"session_id": "$response.body#/sessions/0/id"},
        }
    },
    ("/auth/tokens", "post", "201"): {
        "end": {
            "operationId": "tokenauth_end_token",
            "parameters": {"session_id": "$response.body#/id"},
        }
    },
}


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Link the operations, which our description leaves to its readers."""
    for (path, method, status), links in _LINKS.items():
        raw_schema["paths"][path][method]["responses"][status]["links"] = links


class Known:
    """What the steps so far have taught schemathesis."""

    password = PASSWORD
    unused: ClassVar[list[str]] = []  # access tokens, the latest last


@schemathesis.auth(refresh_interval=None)
class Login:
    """Sends the token that an earlier step was given, or else that of a new login."""

    def get(self, case: Case[Any], context: AuthContext) -> str:
        return Known.unused.pop() if Known.unused else log_in(case.operation.base_url)

    def set(self, case: Case[Any], data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


def log_in(base_url: str | None) -> str:
    body = {"username": USERNAME, "password": Known.password}
    request = Request(  # noqa: S310 # our own server
        f"{(base_url or '').rstrip('/')}/auth/login",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request) as response:  # noqa: S310
        token: str = json.load(response)["access_token"]
        return token


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    """Keep what an answer gives to the steps that follow."""
    if response.status_code == 200 and b"refresh_token" in response.content:
        Known.unused.append(response.json()["access_token"])
        if isinstance(case.body, dict) and "new_password" in case.body:
            Known.password = str(case.body["new_password"])


@schemathesis.hook
def map_body(context: HookContext, body: Any) -> Any:
    """Let every other body prove the password, and none end what was made before."""
    if not isinstance(body, dict):
        return body
    known: dict[str, Any] = {"end_tokens": False}
    if len(str(body)) % 2:
        known |= {"username": USERNAME, "password": Known.password}
        known["current_password"] = Known.password
    fitting = {
        name: value
        for name, value in known.items()
        if type(body.get(name)) is type(value)
    }
    return body | fitting
