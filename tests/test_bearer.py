"""The grammar of the Authorization header, and of the challenge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenauth import AuthError, TokenInvalidError, TokenMissingError
from tokenauth.bearer import MAX_TOKEN_LENGTH, challenge, read_header, read_token
from tokenauth.errors import AmbiguousTokenError, InsufficientScopeError


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
    ],
)
def test_a_token_is_found(text: str) -> None:
    """`Bearer` in any case, spaces in any number, or the bare token."""
    assert read_header(text) == "ab.cd"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "Basic eDp5",
        "Basic \xff\xfe",
        "Negotiate",
        "JohnDoe:John",
        "Bearer\tab.cd",
        "Digest username=x, realm=y",
        "ab.cd ef",
        "a" * 5000,
        "a." * 5000,
    ],
)
def test_other_credentials_are_not_ours(text: str | None) -> None:
    """What is not addressed to us is nobody's business here."""
    assert read_header(text) is None


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
        "a\xe9.b",
        "a\tb.c",
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
    ],
)
def test_two_headers_are_refused(text: str) -> None:
    """A server joins repeated headers with commas; which one counts is no question."""
    with pytest.raises(AmbiguousTokenError):
        read_header(text)


def test_the_longest_token_is_read() -> None:
    """The cap is exact."""
    longest = "a" * (MAX_TOKEN_LENGTH - 2) + ".b"
    assert read_token(longest) == longest
    with pytest.raises(TokenInvalidError):
        read_token("a" + longest)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Bearer " + "a." * 32768 + "a", TokenInvalidError),
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


@pytest.mark.parametrize("text", ["Basic " + "a" * 65536, "a." * 32768 + "a"])
def test_a_long_header_of_another_kind_is_not_ours(text: str) -> None:
    """Length alone does not make it ours."""
    assert read_header(text) is None


@given(st.text(max_size=200) | st.from_regex(r"[Bb]earer[ ,.\tA-z0-9=]*"))
def test_no_text_raises_anything_else(text: str) -> None:
    """Whatever the header says: a token, None, or an error of ours."""
    try:
        found = read_header(text)
    except AuthError:
        return
    assert found is None or found in text


def test_a_challenge_names_the_scope() -> None:
    """RFC 6750 section 3: realm, error, description, and what is missing."""
    error = InsufficientScopeError(frozenset({"b", "a"}))
    assert challenge("app", error) == (
        'Bearer realm="app", error="insufficient_scope", '
        'error_description="The token lacks a scope. Required here: a b.", scope="a b"'
    )
