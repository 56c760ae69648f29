"""The `Authorization` header's text: to a token, to None, or to an error.

Three outcomes: the token's text; None, "no credentials of our kind"; or an error,
"addressed to us and bad". Grammar and length are settled here, in linear time and
before any other work. `request.authorization` is not used: it raises on some bytes
and keeps the credential in its repr.
"""

from __future__ import annotations

import re

from ..errors import (
    AmbiguousTokenError,
    TokenInvalidError,
    TokenMissingError,
)

MAX_TOKEN_LENGTH = 4096
"""Longest token that is looked at, in characters."""

# About what servers let through; no more than this of a longer one is looked at, for
# to copy one of 64 KiB takes longer than to accept a token.
_MAX_HEADER_LENGTH = 2 * MAX_TOKEN_LENGTH

# base64url parts joined by dots: a subset of RFC 6750's b64token. The parts and the
# dot have no character in common, so matching is linear.
_PART = r"[A-Za-z0-9_-]+"
_FORM = rf"{_PART}(?:\.{_PART})+"
_TOKEN = re.compile(_FORM, re.ASCII)

# What nearly everybody sends, settled by one look.
_USUAL = re.compile(rf"Bearer {_PART}\.{_PART}", re.ASCII)
_MAX_USUAL_LENGTH = len("Bearer ") + MAX_TOKEN_LENGTH

# The same in a list of headers, between commas: splitting one of 8,000 parts would
# take longer than a request.
_LISTED_TOKEN = re.compile(rf"(?:^|,){_FORM}(?![^,])", re.ASCII)
_LISTED_OURS = re.compile(
    rf"(?:^|,) *(?:bearer(?![^ ,])|{_FORM} *(?![^,]))", re.ASCII | re.IGNORECASE
)

# The name of another scheme (RFC 9110 section 5.6.2); with a dot, it may be a token.
_SCHEME = re.compile(r"[A-Za-z0-9!#$%&'*+^_`|~-]+", re.ASCII)


def is_token(text: str) -> bool:
    """Whether a text has the form of our tokens (it may still be a forged one)."""
    return len(text) <= MAX_TOKEN_LENGTH and _TOKEN.fullmatch(text) is not None


def read_header(text: str | None) -> str | None:
    """Return the token that an `Authorization` header carries.

    `Bearer <token>` in any case (RFC 9110 section 11.1), or the bare token.

    Args:
        text: The header's value as WSGI gives it; None or empty when there is none.
            A server joins repeated headers with commas, which no token contains.

    Returns:
        The token, or None when the header is absent or of another scheme.

    Raises:
        TokenMissingError: `Bearer` without a token, or what names no scheme either: a
            bare token that was altered, a key of the application's own.
        TokenInvalidError: `Bearer` with something that cannot be a token.
        AmbiguousTokenError: more than one header, one of which carries a token.
    """
    if not text:
        return None
    if len(text) <= _MAX_USUAL_LENGTH and _USUAL.fullmatch(text):
        return text[7:]
    is_long = len(text) > _MAX_HEADER_LENGTH
    shown = text[:_MAX_HEADER_LENGTH].strip(" ")
    if "," in shown:
        _refuse_joined(shown)
    scheme, _, rest = shown.partition(" ")
    if scheme[:7].lower() == "bearer":
        if is_long:
            raise TokenInvalidError
        return read_token(rest.lstrip(" "))
    if not rest and not is_long and is_token(scheme):
        return scheme
    if scheme and not (rest and _SCHEME.fullmatch(scheme)):
        raise TokenMissingError
    return None


def read_token(text: str) -> str:
    """Return a text that is certainly meant as a token, if it can be one.

    Raises:
        TokenMissingError: it is empty.
        TokenInvalidError: it is too long or not of a token's form.
    """
    if is_token(text):
        return text
    raise TokenInvalidError if text else TokenMissingError


def _refuse_joined(text: str) -> None:
    """Refuse a list of headers one of which is ours (RFC 9110 section 5.3).

    A comma alone makes no list: a token that was tampered with may hold one, too.
    """
    first, _, others = text.partition(",")
    tokens = len(_LISTED_TOKEN.findall(others))
    is_list = " " in others or tokens + _is_whole(first) > 1
    if is_list and _LISTED_OURS.search(text):
        raise AmbiguousTokenError


def _is_whole(part: str) -> bool:
    """Whether a part is credentials by itself, ours or another scheme's."""
    scheme, _, rest = part.strip(" ").partition(" ")
    if scheme.lower() == "bearer":
        return is_token(rest.lstrip(" "))
    return bool(rest) or is_token(scheme)
