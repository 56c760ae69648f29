"""Scopes: their grammar, and which of them a token gets (RFC 6749 section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import InvalidScopeError

MAX_SCOPE_LENGTH = 2048
"""Maximum length of the scopes of one token, which must fit into a header."""

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def is_scope(name: object) -> bool:
    """Return whether this can be the name of a scope."""
    return isinstance(name, str) and _SCOPE.fullmatch(name) is not None


def check_names(scopes: Iterable[object]) -> None:
    """Raise `ValueError` unless all of these can be names of scopes."""
    for name in scopes:
        if not is_scope(name):
            raise ValueError(
                f"{name!r:.40} cannot be the name of a scope: use printable ASCII "
                "without spaces, quotes and backslashes, for example 'reports:read'."
            )


def parse_scopes(scopes: str | Iterable[str] | None) -> frozenset[str]:
    """Return scopes as a set, given as their names or as a text with spaces."""
    return frozenset(scopes.split() if isinstance(scopes, str) else scopes or ())


def grant(asked: str | Iterable[str] | None, allowed: Iterable[str]) -> frozenset[str]:
    """Return the scopes that a new token gets.

    Args:
        asked: The names, or the client's text with one space between them. Defaults
            to all that are allowed.
        allowed: What may be granted; a malformed name never is.

    Raises:
        InvalidScopeError: not all of them may be granted, or a token cannot hold them.
    """
    granted = grantable = frozenset(filter(is_scope, allowed))
    if asked is not None:
        granted = frozenset(asked.split(" ") if isinstance(asked, str) else asked)
    if not granted <= grantable:
        raise InvalidScopeError
    if len(format_scopes(granted)) > MAX_SCOPE_LENGTH:
        raise InvalidScopeError("A token cannot hold so many scopes: request fewer.")
    return granted


def format_scopes(scopes: Iterable[str]) -> str:
    """Return scopes as one text, the same text for the same scopes."""
    return " ".join(sorted(scopes))
