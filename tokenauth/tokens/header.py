"""Reads the token from the text of a request header.

`request.authorization` is not used: it raises on some bytes and keeps the credential in
its repr.
"""

from __future__ import annotations

import re

from ..errors import (
    AmbiguousTokenError,
    TokenInvalidError,
    TokenMissingError,
)

MAX_TOKEN_LENGTH = 4096
"""Maximum length of a token in characters."""

# About what servers accept. Only this much of a longer header is read.
_MAX_HEADER_LENGTH = 2 * MAX_TOKEN_LENGTH

# base64url parts joined by dots: a subset of RFC 6750's b64token. Possessive, so that
# matching is linear.
_PART = r"[A-Za-z0-9_-]++"
_FORM = rf"{_PART}(?:\.{_PART})++"
_BEARER = "[Bb][Ee][Aa][Rr][Ee][Rr]"  # twice as fast as ignoring case
_TOKEN = re.compile(_FORM, re.ASCII)
_HEADER = re.compile(rf" *+(?:{_BEARER} ++)?({_FORM}) *+", re.ASCII)

# `Bearer` or a bare token in a list. A server joins repeated headers with commas (RFC
# 9110 section 5.3), and no token contains one.
_LISTED = re.compile(rf"(?:^|,) *+(?:{_BEARER}(?![^ ,])|{_FORM} *+(?![^,]))", re.ASCII)

# The name of another scheme (RFC 9110 section 5.6.2); with a dot, it may be a token.
_SCHEME = re.compile(r"[A-Za-z0-9!#$%&'*+^_`|~-]+", re.ASCII)


def is_token(text: str) -> bool:
    """Return whether a text has the form of a token, forged or not."""
    return len(text) <= MAX_TOKEN_LENGTH and _TOKEN.fullmatch(text) is not None


def read_header(text: str | None) -> str | None:
    """Return the token that a header carries, or None if it is of another scheme.

    `Bearer <token>` in any case (RFC 9110 section 11.1), or the bare token.

    Args:
        text: The header's value as WSGI gives it; None or empty when there is none.

    Raises:
        TokenMissingError: `Bearer` without a token, or neither a scheme nor a token:
            it may be a bare token that was altered.
        TokenInvalidError: `Bearer` with something that cannot be a token.
        AmbiguousTokenError: a list of which a part is addressed to us.

    Example:
        >>> read_header("Bearer lwGmSm9obkRv.c2lnbmF0dXJl")
        'lwGmSm9obkRv.c2lnbmF0dXJl'
        >>> read_header("Basic QW5uOnNlY3JldA==") is None
        True
    """
    if not text:
        return None
    is_long = len(text) > _MAX_HEADER_LENGTH
    found = None if is_long else _HEADER.fullmatch(text)
    if found is not None and len(found[1]) <= MAX_TOKEN_LENGTH:
        return found[1]
    start = text[:_MAX_HEADER_LENGTH].strip(" ")
    if "," in start and _LISTED.search(start):
        raise AmbiguousTokenError
    scheme, _, rest = start.partition(" ")
    if scheme.lower() == "bearer":
        raise TokenInvalidError if rest or is_long else TokenMissingError
    if scheme and not (rest and _SCHEME.fullmatch(scheme)):
        raise TokenMissingError
    return None


def read_token(text: str) -> str:
    """Return a text that can only be meant as a token.

    Raises:
        TokenMissingError: it is empty.
        TokenInvalidError: it is too long or not of a token's form.
    """
    if is_token(text):
        return text
    raise TokenInvalidError if text else TokenMissingError
