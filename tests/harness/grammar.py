"""What the standards ask of every answer, checked on every answer of every test."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from werkzeug.wrappers import Request, Response

from tokenauth import AuthError
from tokenauth.tokens.header import read_header

# The contract: code -> status, and `error` of the challenge. Empty: a challenge
# without `error`; None: no challenge. Clients rely on every line of it.
PROBLEMS: dict[str, tuple[int, str | None]] = {
    "token_missing": (401, ""),
    "token_invalid": (401, "invalid_token"),
    "token_expired": (401, "invalid_token"),
    "token_revoked": (401, "invalid_token"),
    "invalid_credentials": (401, ""),
    "insufficient_scope": (403, "insufficient_scope"),
    "fresh_login_required": (401, "insufficient_user_authentication"),
    "invalid_grant": (400, None),
    "invalid_request": (400, None),
    "invalid_scope": (400, None),
    "password_refused": (422, None),
    "not_found": (404, None),
    "method_not_allowed": (405, None),
    "payload_too_large": (413, None),
    "unsupported_media_type": (415, None),
    "too_many_attempts": (429, None),
    "overloaded": (503, None),
    "store_unavailable": (503, None),
    "server_error": (500, None),
}

# What clients of OAuth ask; errors of theirs name themselves by RFC 6749 section 5.2,
# too, or by the sections that these refer to.
OAUTH = {"/auth/refresh", "/auth/revoke", "/auth/introspect"}
OAUTH_ERRORS = {
    "invalid_client": {"token_missing"},
    "invalid_token": {"token_invalid", "token_expired", "token_revoked"},
    "insufficient_scope": {"insufficient_scope"},
    "invalid_grant": {"invalid_grant"},
    "invalid_scope": {"invalid_scope"},
    "unsupported_grant_type": {"invalid_request"},
    "invalid_request": {
        "invalid_request",
        "payload_too_large",
        "unsupported_media_type",
    },
    "temporarily_unavailable": {"store_unavailable", "too_many_attempts"},
    "server_error": {"server_error"},
}

# RFC 9110 sections 5.6.2, 5.6.4 and 11.2.
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t\x20-\x7e])*"'
_PARAM = rf"{_TOKEN}[ \t]*=[ \t]*(?:{_TOKEN}|{_QUOTED})"
_CHALLENGE = re.compile(
    rf"(?P<scheme>{_TOKEN})(?: +(?P<params>{_PARAM}(?:[ \t]*,[ \t]*{_PARAM})*))?"
)
_PARAMS = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*({_TOKEN}|{_QUOTED})")

# RFC 6750 section 3.
_BEARER_VALUE = re.compile(r'"[\x20-\x21\x23-\x5b\x5d-\x7e]*"')
_SCOPES = re.compile(r'"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*"')


class Challenge(NamedTuple):
    """One challenge: its scheme, and its parameters without their quotes."""

    scheme: str
    params: dict[str, str]


def parse_challenge(value: str) -> Challenge:
    """Return what a `WWW-Authenticate` header says, or fail where it breaks a rule."""
    match = _CHALLENGE.fullmatch(value)
    assert match, f"no challenge: {value!r}"
    pairs = _PARAMS.findall(match["params"] or "")
    params = {name.lower(): text for name, text in pairs}
    assert len(params) == len(pairs), f"an attribute twice: {value!r}"
    if match["scheme"].lower() == "bearer":
        assert params, f"Bearer needs an attribute: {value!r}"
        assert all(map(_BEARER_VALUE.fullmatch, params.values())), value
        assert "scope" not in params or _SCOPES.fullmatch(params["scope"]), value
        assert "error" in params or "error_description" not in params, value
    plain = {name: text.strip('"') for name, text in params.items()}
    return Challenge(match["scheme"], plain)


def check_answer(response: Response, request: Request) -> None:
    """Fail if an answer breaks what holds for all of them.

    RFC 9110 section 15.5.2: each 401 has a challenge, and each challenge its grammar. A
    request with a token changes no cookie; no route of ours redirects, or sets one but
    the refresh cookie, out of scripts' reach; a problem document is complete and says
    what the head says.
    """
    value = response.headers.get("WWW-Authenticate")
    assert value or response.status_code != 401, "401 without a challenge"
    challenge = None if value is None else parse_challenge(value)
    if request.path.startswith("/auth/"):
        assert not 300 <= response.status_code < 400 or response.status_code == 304
        for cookie in response.headers.getlist("Set-Cookie"):
            assert cookie.startswith("__Secure-tokenauth_refresh="), cookie
            assert {"HttpOnly", "Secure"} <= set(cookie.split("; ")), cookie
            assert response.headers["Cache-Control"] == "no-store"
    if carries_token(request):
        for cookie in response.headers.getlist("Set-Cookie"):
            assert not cookie.startswith(("session=", "remember_token=")), cookie
    if response.mimetype == "application/problem+json":
        _check_head(response)
        if request.method != "HEAD":
            document = json.loads(response.get_data())
            if request.path in OAUTH and response.status_code not in {404, 405}:
                assert document["code"] in OAUTH_ERRORS[document.pop("error")]
            check_problem(document, response.status_code, challenge)


def carries_token(request: Request) -> bool:
    """Whether a request's header holds a token, good or bad."""
    try:
        return read_header(request.environ.get("HTTP_AUTHORIZATION")) is not None
    except AuthError:
        return True


def check_problem(
    document: dict[str, Any], status: int, challenge: Challenge | None
) -> None:
    """Fail if a problem document is not the one of its code (RFC 9457 section 3.1)."""
    code = document["code"]
    required, error = PROBLEMS[code]
    assert document["status"] == status == required, document
    assert document["type"] == f"urn:tokenauth:problem:{code}"
    extra = {"rule"} if code == "password_refused" else set()
    assert set(document) == {"type", "title", "status", "detail", "code"} | extra
    assert document["title"]
    assert document["detail"].endswith((".", ")")), document["detail"]
    if error is None:
        # Two tokens in one request are refused as RFC 6750 section 3.1 says.
        assert challenge is None or challenge.params["error"] == code
    else:
        assert challenge is not None
        assert challenge.scheme == "Bearer"
        assert challenge.params.get("error", "") == error
    if challenge is not None and challenge.params.get("error"):
        assert challenge.params["error_description"]
    assert ("scope" in (challenge.params if challenge else {})) == (
        code == "insufficient_scope"
    )


def _check_head(response: Response) -> None:
    headers, status = response.headers, response.status_code
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert (status in {429, 503}) == ("Retry-After" in headers), status
    assert int(headers.get("Retry-After", "1")) >= 1
    assert (status == 405) == ("Allow" in headers), status
