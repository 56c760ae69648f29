"""The grammar of the Authorization header, and of the challenge."""

from __future__ import annotations

import string
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st

from tests.harness.grammar import parse_challenge
from tests.harness.kit import assert_problem, make_app
from tokenauth import (
    AuthError,
    FreshLoginRequiredError,
    InvalidCredentialsError,
    TokenExpiredError,
    TokenInvalidError,
    TokenMissingError,
)
from tokenauth.errors import (
    AmbiguousTokenError,
    InsufficientScopeError,
    InvalidGrantError,
    InvalidRequestError,
    StoreUnavailableError,
)
from tokenauth.tokens.header import (
    _MAX_HEADER_LENGTH,
    MAX_TOKEN_LENGTH,
    is_token,
    read_header,
    read_token,
)


@pytest.mark.parametrize(
    "text",
    [
        "Bearer ab.cd",
        "bearer ab.cd",
        "bEaReR ab.cd",
        "Bearer    ab.cd",
        "Bearer ab.cd  ",
        " Bearer ab.cd",
        "ab.cd",
        "ab.cd ",
        "  ab.cd  ",
    ],
)
def test_a_token_is_found(text: str) -> None:
    """`Bearer` in any case, spaces in any number, or the bare token."""
    assert read_header(text) == "ab.cd"


@pytest.mark.parametrize("form", ["{}", " {} ", "Bearer {}", "bearer  {} "])
def test_any_character_may_begin_or_end_a_token(form: str) -> None:
    """None is taken for a space or for a part of `Bearer`."""
    for char in string.ascii_letters + string.digits + "-_":
        for token in (f"{char}.{char}", f"{char}.{char}.{char}"):
            assert read_header(form.format(token)) == token


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "Basic eDp5",
        "Basic \xff\xfe",
        "Digest username=x, realm=y",
        "NotBearer ab.cd",
        "AWS4-HMAC-SHA256 ab.cd",
        "!#$%&'*+-^_`|~ ab.cd",
        "Basic eDp5, XBearer ab.cd",
        "Basic eDp5,\tBearer ab.cd",
    ],
)
def test_other_credentials_are_not_ours(text: str | None) -> None:
    """What is not addressed to us is ignored."""
    assert read_header(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Negotiate",
        "JohnDoe:John",
        "Bearer\tab.cd",
        "ab.cd ef",
        "ab.cd=",
        "ab",
        "ab.",
        ".cd",
        "ab..cd",
        "a\u0660.b",
        "ab.cd\n",
        "Bearer:ab.cd",
        "Bearer=ab.cd",
        "Bearer: ab.cd",
        "Bearer\t ab.cd",
        "\tBearer ab.cd",
        "Bearer\u00a0 ab.cd",
        '"Bearer ab.cd"',
        "Bearer\u00a0ab.cd",
        '"ab.cd"',
        "a" * 5000,
        "a." * 5000,
    ],
)
def test_header_without_a_scheme_is_refused(text: str) -> None:
    """It may be a bare token that was altered, so no cookie is used instead."""
    with pytest.raises(TokenMissingError):
        read_header(text)


@pytest.mark.parametrize("text", ["Bearer", "bearer", "Bearer ", "Bearer   "])
def test_bearer_without_a_token_is_missing(text: str) -> None:
    """Nothing was sent, so nothing was bad (CVE-2026-34531)."""
    with pytest.raises(TokenMissingError):
        read_header(text)


@pytest.mark.parametrize(
    "text",
    [
        "ab",
        "ab.",
        ".cd",
        "ab..cd",
        "ab.cd ef",
        "ab.cd=",
        "ab.cd;x=1",
        "ab.cd\n",
        "ab:cd",
        "ab/c.d+e",
        "a\u0660.b",
        "a\xe9.b",
        "a\tb.c",
        " \tab.cd",
        '"ab.cd"',
        "a." * (MAX_TOKEN_LENGTH // 2) + "aa",
    ],
)
def test_bearer_with_a_malformed_token_is_invalid(text: str) -> None:
    """Addressed to us, and bad."""
    with pytest.raises(TokenInvalidError):
        read_header(f"Bearer {text}")


@pytest.mark.parametrize(
    "text",
    [
        "Bearer ab.cd,Bearer ab.cd",
        "Bearer ab.cd, Bearer ef.gh",
        "Bearer ab.cd, junk",
        "Basic eDp5,Bearer ab.cd",
        "Basic eDp5, ab.cd",
        "ab.cd,ab.cd",
        "Bearer,Bearer ab.cd",
        "Bearer ab.cd,ab.cd",
        "Bearer ab.cd,Basic eDp5",
        "Bearer !!!, Bearer ab.cd",
        "junk,Bearer ab.cd",
        "junk, ab.cd",
        "ab.cd, junk",
        "ab.X,ab.cd",
        "Bearer X.ab,ef.gh",
        "Negotiate, Bearer",
        "ab.cd,",
        "ab.cd,\tef.gh",
        "Bearer ab.cd,",
        "Bearer ab.cd,!!!",
        "Bearer ab.cd,junk",
        "Bearer ab,c.def",
        "Bearer ab.c,def",
        "Bearer ,ab.cd",
        "Bearer \tab.cd,ef.gh",
        "Bearer ,",
    ],
)
def test_comma_is_refused(text: str) -> None:
    """A server joins repeated headers with commas, and no token contains one."""
    with pytest.raises(AmbiguousTokenError):
        read_header(text)


def test_the_longest_token_is_read() -> None:
    """The cap is exact."""
    longest = "a" * 4094 + ".b"
    assert read_token(longest) == longest
    with pytest.raises(TokenInvalidError):
        read_token("a" + longest)


@pytest.mark.advisory(
    "Django CVE-2025-14550", "Rails CVE-2021-22904, waitress CVE-2020-5236"
)
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Bearer " + "a." * 32768 + "a", TokenInvalidError),
        ("a." * 32768 + "a", TokenMissingError),
        ("Bearer ab.cd" + " " * 65536, TokenInvalidError),
        ("Bearer " + " " * 65536 + "ab.cd", TokenInvalidError),
        ("Bearer ab.cd, " + "a" * 65536, AmbiguousTokenError),
        ("ab.cd, " + "a" * 65536, AmbiguousTokenError),
    ],
)
def test_a_header_that_no_token_needs_is_refused(
    text: str, error: type[AuthError]
) -> None:
    """What is addressed to us and far too long is bad, whatever its rest says."""
    with pytest.raises(error):
        read_header(text)


@pytest.mark.parametrize("form", ["bearer ab.cd", "ab.cd"])
def test_the_longest_header_is_read(form: str) -> None:
    """That cap is exact, too."""
    longest = form.ljust(_MAX_HEADER_LENGTH)
    assert read_header(longest) == "ab.cd"
    assert not isinstance(outcome(read_header, longest + " "), str)


def test_a_long_header_of_another_kind_is_not_ours() -> None:
    """Length alone does not make it ours."""
    assert read_header("Basic " + "a" * 65536) is None


def outcome(reader: Callable[[str], str | None], text: str) -> str | AuthError | None:
    """Return what a reader returns or raises; an error that is not ours is raised."""
    try:
        return reader(text)
    except AuthError as error:
        return error


ours = st.sampled_from(["Bearer ab.cd", "bearer  x.y", "ab.cd"])
theirs = st.sampled_from(["Basic eDp5", "Negotiate YTpi", 'Digest uri="/"'])
broken = st.sampled_from(["Bearer", "Bearer !", "junk", "", "ab", "a.b="])


@given(
    st.tuples(ours, ours | theirs).flatmap(st.permutations),
    st.sampled_from([",", ", "]),
)
def test_of_two_headers_none_is_chosen(headers: list[str], joint: str) -> None:
    """In either order and however a server joins them."""
    assert isinstance(outcome(read_header, joint.join(headers)), AmbiguousTokenError)


@given(
    st.lists(ours | theirs | broken, min_size=2, max_size=4),
    st.sampled_from([",", ", "]),
)
def test_no_token_is_taken_out_of_a_list(headers: list[str], joint: str) -> None:
    """Whatever stands in it."""
    assert not isinstance(outcome(read_header, joint.join(headers)), str)


@given(
    st.text(max_size=200)
    | st.from_regex(r"[Bb]earer[ ,.\tA-z0-9=]*")
    | st.lists(st.sampled_from(["Bearer", "Basic", " ", ",", ".", "ab", "é", "="])).map(
        "".join
    )
)
@example("ab.cd")
def test_no_text_raises_anything_else(text: str) -> None:
    """Whatever it says: a token, None, or an error of ours that quotes nothing."""
    for reader in (read_header, read_token):
        found = outcome(reader, text)
        if isinstance(found, str):
            assert found in text
            assert is_token(found)
        if isinstance(found, AuthError):
            assert found.description == type(found)().description


@pytest.mark.parametrize(
    "junk", ["a.", ",", " ", ", ", "a.b,", "Bearer ", "Bearer a.b,", "é", "=", "a-"]
)
@pytest.mark.parametrize("start", ["", "Bearer ", "bearer  x"])
def test_long_junk_is_read_in_linear_time(start: str, junk: str) -> None:
    """CVE-2021-22904: of a megabyte, no more is read than a header may have."""
    text = start + junk * (1_000_000 // len(junk))
    begun = time.process_time()
    with suppress(AuthError):
        assert read_header(text) is None
    assert time.process_time() - begun < 0.2


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("Basic \xff\xfe", 401, "token_missing"),
        ("Basic !!!", 401, "token_missing"),
        ("JohnDoe:John", 401, "token_missing"),
        ("Bearer", 401, "token_missing"),
        ("Bearer \xff", 401, "token_invalid"),
        ("Bearer a b", 401, "token_invalid"),
        ("ab.cd", 401, "token_invalid"),
        ("ab.cd, ab.cd", 400, "invalid_request"),
    ],
)
def test_what_a_client_is_told(
    client: FlaskClient, header: str, status: int, code: str
) -> None:
    """The outcomes of `read_header`, as answers."""
    answer = client.get("/protected", environ_base={"HTTP_AUTHORIZATION": header})
    assert_problem(answer, status, code)


APP = make_app(config={"TOKENAUTH_REALM": "app"})


def challenge(_: str, error: AuthError) -> str | None:
    with APP.app_context():
        return dict(error.get_headers()).get("WWW-Authenticate")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TokenMissingError(), 'Bearer realm="app"'),
        (InvalidCredentialsError(), 'Bearer realm="app"'),
        (
            TokenExpiredError(),
            (
                'Bearer realm="app", error="invalid_token", error_description='
                '"The token has expired: refresh it, or log in again."'
            ),
        ),
        (
            InsufficientScopeError(frozenset({"b", "a"})),
            (
                'Bearer realm="app", error="insufficient_scope", error_description='
                '"The token lacks a scope. Required here: a b. Log in again to use a '
                'newly granted scope.", scope="a b"'
            ),
        ),
        (
            FreshLoginRequiredError(300),
            (
                'Bearer realm="app", error="insufficient_user_authentication", '
                'error_description="This needs a login at most 300 seconds old: log in '
                'again.", max_age="300"'
            ),
        ),
        (
            AmbiguousTokenError(),
            (
                'Bearer realm="app", error="invalid_request", error_description='
                '"Send exactly one token, in one header."'
            ),
        ),
        (InvalidRequestError(), None),
        (InvalidGrantError(), None),
        (StoreUnavailableError(), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AuthError) else "",
)
def test_a_challenge_says_what_is_missing(
    error: AuthError, expected: str | None
) -> None:
    """RFC 6750 section 3, RFC 9470 section 3: realm, error, and the cure."""
    assert challenge("app", error) == expected


@given(st.text(st.characters(exclude_categories=[])), st.text())
def test_a_challenge_keeps_its_grammar(detail: str, scope: str) -> None:
    """Whatever a detail or a scope holds, no quote, newline or accent gets through."""
    error = TokenInvalidError(detail)
    said = parse_challenge(challenge("app", error) or "")
    assert said.params["error"] == "invalid_token"
    assert len(said.params["error_description"]) == len(error.description)
    required = challenge("app", InsufficientScopeError(frozenset({scope}))) or ""
    assert required.isascii()
    assert required.isprintable()
