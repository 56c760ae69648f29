"""Users and the protocol of their stores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from flask_login import UserMixin

from ..tokens.scopes import check_names, parse_scopes
from .names import fold_username


class UserRecord(Protocol):
    """Any object with Flask-Login's methods and a password hash is a user.

    `scopes` names what the user may do, as an iterable of str or as one text with
    spaces; absent means none.
    """

    @property
    def password_hash(self) -> str | None:
        """The stored hash; None when no password opens this account."""
        ...

    @property
    def is_active(self) -> bool:
        """Whether the user may log in; if not, no token works either."""
        ...

    def get_id(self) -> str:
        """Return the immutable, never reused id."""
        ...


@runtime_checkable
class UserStore(Protocol):
    """What a store of users promises.

    Every method raises `StoreUnavailableError` when the store cannot answer; any
    other exception is the application's own and lets nobody in.
    """

    def get(self, user_id: str) -> UserRecord | None:
        """Return the user with this id, or None.

        Args:
            user_id: What the user's `get_id` returns, or any other text.
        """
        ...

    def find(self, username: str) -> UserRecord | None:
        """Return the user with this folded name, or None.

        Args:
            username: The name in the form that `fold_username` returns.
        """
        ...

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        """Replace a hash if it still is the expected one, atomically.

        Args:
            user_id: The user's id.
            new: The hash to store; None: no password opens the account any more.
            expected: The hash that must be stored now.

        Returns:
            False when the stored hash is not the expected one any more.
        """
        ...


class User(UserMixin):  # type: ignore[misc] # Flask-Login ships no types
    """A user as the stores of this package keep it.

    Args:
        username: Name to log in with.
        password_hash: From `hash_password`; None: no password opens this account.
        id: Immutable and never reused; the username where none is given.
        is_active: False: no login, and no token works.
        scopes: What the user may do: names, or one text with spaces (RFC 6749 section
            3.3).

    Raises:
        ValueError: one of these cannot be the name of a scope.
    """

    is_active: bool = True

    def __init__(
        self,
        username: str,
        password_hash: str | None = None,
        *,
        id: str | None = None,
        is_active: bool = True,
        scopes: str | Iterable[str] = (),
    ) -> None:
        self.id = username if id is None else id
        self.username = username
        self.password_hash = password_hash
        if not is_active:  # a subclass that computes it is not told of the default
            self.is_active = False  # pyright: ignore[reportIncompatibleMethodOverride]
        self.scopes = parse_scopes(scopes)
        check_names(self.scopes)

    def __repr__(self) -> str:
        return f"<User {self.id!r}>"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the hash out: a pickle may end up in a cache or a task queue."""
        return self.__dict__ | {"password_hash": None}


class TokenUser(UserMixin):  # type: ignore[misc] # Flask-Login has no types
    """The user of a token, on a service that has no users: what the token says.

    Attributes:
        id: The user's id on the application that issued the token.
        scopes: What the token may do.
    """

    password_hash: str | None = None

    def __init__(self, id: str, scopes: frozenset[str]) -> None:
        self.id = id
        self.scopes = scopes

    def __repr__(self) -> str:
        return f"<TokenUser {self.id!r}>"


def id_of(user: UserRecord) -> str:
    """Return a user's id, for what is kept under it.

    Raises:
        TypeError: this is no user; or the id is no text, or empty, and no store would
            find the user again; or `is_active` is a method, as before Flask-Login 0.3,
            and always true.
    """
    if not hasattr(user, "get_id"):
        raise TypeError(
            "A user with get_id() is needed here, such as auth.users.find(name), not "
            f"{type(user).__name__}. Where an id is enough, pass it as text: str(id)."
        )
    if callable(getattr(user, "is_active", None)):
        raise TypeError(
            f"is_active of {type(user).__name__} must be an attribute or a property, "
            "as in Flask-Login's UserMixin: a method disables nobody."
        )
    user_id: object = user.get_id()
    if not isinstance(user_id, str) or not user_id:
        raise TypeError(
            f"get_id() of {type(user).__name__} must return text, at least one "
            f"character, as Flask-Login's UserMixin does, not {type(user_id).__name__}."
        )
    return user_id


def active_user(users: UserStore, user_id: str) -> UserRecord | None:
    """Return the user with this id; None when removed or disabled.

    A store that returns another user's record, as a stale cache does, counts as if it
    had none.
    """
    user = users.get(user_id)
    if user is None or not user.is_active or user.get_id() != user_id:
        return None
    return user


def find_user(users: UserStore, username: str) -> UserRecord | None:
    """Return the user with this name, in any spelling, or None."""
    folded = fold_username(username)
    return None if folded is None else users.find(folded)


def scopes_of(user: UserRecord) -> frozenset[str]:
    """Return what a user may do; a user without `scopes` may do nothing special."""
    return parse_scopes(getattr(user, "scopes", None))
