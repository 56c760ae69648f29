"""The checks of every answer, themselves checked: each lets a breach through never."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from tests.harness.grammar import Challenge, check_answer, parse_challenge


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('Bearer realm="a b"', Challenge("Bearer", {"realm": "a b"})),
        (
            'Bearer realm="a", error="invalid_token", error_description="x"',
            Challenge(
                "Bearer",
                {"realm": "a", "error": "invalid_token", "error_description": "x"},
            ),
        ),
        ("Negotiate", Challenge("Negotiate", {})),
        ("Basic realm=a", Challenge("Basic", {"realm": "a"})),
    ],
)
def test_a_challenge_is_parsed(value: str, expected: Challenge) -> None:
    """RFC 9110 section 11.2."""
    assert parse_challenge(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        'Bearer realm="a',
        'Bearer realm="a"b"',
        'Bearer realm="a" error="b"',
        'Bearer realm="a",',
        'Bearer realm="a", realm="b"',
        'Bearer realm="a", Realm="b"',
        "Bearer realm=a",
        'Bearer realm="\\a"',
        'Bearer realm="é"',
        'Bearer realm="a\nb"',
        'Bearer realm="a", scope=""',
        'Bearer realm="a", scope="a  b"',
        'Bearer realm="a", error_description="b"',
        '=Bearer realm="a"',
    ],
)
def test_what_is_no_challenge_fails(value: str) -> None:
    """RFC 9110 section 11.2, RFC 6750 section 3."""
    with pytest.raises(AssertionError):
        parse_challenge(value)


GOOD_HEAD = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
BEARER = {"WWW-Authenticate": 'Bearer realm="a"'}
INVALID = {
    "WWW-Authenticate": (
        'Bearer realm="a", error="invalid_token", error_description="No."'
    )
}


def problem(code: str, status: int, **changes: Any) -> dict[str, Any]:
    kind = f"urn:tokenauth:problem:{code}"
    document = {
        "type": kind,
        "title": "A",
        "status": status,
        "detail": "B.",
        "code": code,
    }
    return document | changes


def answer(
    document: dict[str, Any], status: int, headers: dict[str, str] = GOOD_HEAD
) -> Response:
    return Response(
        json.dumps(document), status, headers, mimetype="application/problem+json"
    )


MISSING = problem("token_missing", 401)
NOT_FOUND = problem("not_found", 404)


@pytest.mark.parametrize(
    "response",
    [
        Response(status=401),
        answer(MISSING, 401),
        answer(MISSING, 401, GOOD_HEAD | INVALID),
        answer(problem("token_invalid", 401), 401, GOOD_HEAD | BEARER),
        answer(problem("token_invalid", 400), 400, GOOD_HEAD | INVALID),
        answer(MISSING, 403, GOOD_HEAD | BEARER),
        answer(NOT_FOUND, 404, GOOD_HEAD | BEARER),
        answer(NOT_FOUND, 404, {"Cache-Control": "no-store"}),
        answer(NOT_FOUND, 404, GOOD_HEAD | {"Cache-Control": "no-cache"}),
        answer(NOT_FOUND, 404, GOOD_HEAD | {"Retry-After": "1"}),
        answer(NOT_FOUND | {"type": "about:blank"}, 404),
        answer(NOT_FOUND | {"detail": ""}, 404),
        answer(NOT_FOUND | {"username": "alice"}, 404),
        answer(problem("unheard_of", 400), 400),
        answer(problem("too_many_attempts", 429), 429),
        answer(problem("overloaded", 503), 503, GOOD_HEAD | {"Retry-After": "0"}),
        answer(problem("method_not_allowed", 405), 405),
        answer(problem("insufficient_scope", 403), 403),
        Response(status=302, headers={"Location": "/"}),
        Response(headers={"Set-Cookie": "other=1"}),
    ],
)
def test_a_breach_fails(response: Response) -> None:
    """One rule is broken in each."""
    with pytest.raises((AssertionError, KeyError)):
        check_answer(response, EnvironBuilder("/auth/me").get_request())


@pytest.mark.parametrize("header", ["Bearer a.b", "Bearer !", "a.b"])
@pytest.mark.parametrize("cookie", ["session=x", "remember_token=; Max-Age=0"])
def test_a_cookie_for_a_token_fails(header: str, cookie: str) -> None:
    """A token request touches neither of Flask-Login's cookies, on any page."""
    environ = {"HTTP_AUTHORIZATION": header}
    request = EnvironBuilder("/", environ_base=environ).get_request()
    with pytest.raises(AssertionError):
        check_answer(Response(headers={"Set-Cookie": cookie}), request)
    check_answer(Response(headers={"Set-Cookie": "theme=dark"}), request)


@pytest.mark.parametrize(
    "response",
    [
        Response("hello"),
        answer(MISSING, 401, GOOD_HEAD | BEARER),
        answer(problem("token_invalid", 401), 401, GOOD_HEAD | INVALID),
        answer(NOT_FOUND, 404),
        answer(problem("overloaded", 503), 503, GOOD_HEAD | {"Retry-After": "1"}),
        answer(problem("password_refused", 422, rule="common"), 422),
    ],
)
def test_a_good_answer_passes(response: Response) -> None:
    """The checks are no wall."""
    check_answer(response, EnvironBuilder("/auth/me").get_request())
