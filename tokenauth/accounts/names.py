"""Usernames: the one form that all spellings of a name share."""

from __future__ import annotations

import unicodedata
from typing import Final

from ..errors import InvalidRequestError

MAX_USERNAME_LENGTH: Final = 254
"""Longest username that is looked up, in code points: that of an e-mail address."""

# Categories of Unicode: control, format, surrogate, unassigned, line and paragraph
# separator.
_NOT_IN_NAMES: Final = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


def check_id(value: object) -> None:
    """Check that an id or a name is text.

    Raises:
        TypeError: it is not; a store that looked for it would find nothing, and who
            ends the sessions of user 7 must not be told that there were none.
    """
    if not isinstance(value, str):
        raise TypeError(f"An id or a name must be text, not {type(value).__name__}.")


def fold_username(username: str) -> str | None:
    """Return the one form that all spellings of a username share.

    That is NFKC, case folded, without white space at either end, which keyboards add
    unasked.

    Args:
        username: The name as it was typed.

    Returns:
        The folded name, or None when nobody can have this name. That is one that is
        empty, longer than 254 characters, or with control, format or unassigned
        characters, some of which are invisible.

    Raises:
        TypeError: it is no text.

    Example:
        >>> fold_username(" ANN@Example.com "), fold_username("")
        ('ann@example.com', None)
    """
    check_id(username)
    # The length is capped first: normalisation takes quadratic time (CVE-2023-46695).
    if len(username) > MAX_USERNAME_LENGTH:
        return None
    folded = unicodedata.normalize("NFKC", username).casefold()
    folded = unicodedata.normalize("NFKC", folded).strip()
    if any(unicodedata.category(c) in _NOT_IN_NAMES for c in folded):
        return None
    return folded or None


def folded_name(username: str) -> str:
    """Return the folded form of a new user's name.

    Args:
        username: The name as it was typed.

    Raises:
        InvalidRequestError: nobody can have this name.
    """
    folded = fold_username(username)
    if folded is None:
        raise InvalidRequestError(
            f"A username has 1 to {MAX_USERNAME_LENGTH} characters, none of them a "
            "control or format character."
        )
    return folded
