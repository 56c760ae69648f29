"""Users and where they are kept: the record, the store's promise, a store in a dict."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from flask_login import UserMixin

from ..errors import ConfigurationError, InvalidRequestError
from ..tokens.scopes import check_names, parse_scopes
from . import passwords

MAX_USERNAME_LENGTH = 128
"""Longest username that is looked up, in code points."""

# Categories of Unicode: control, format, surrogate, unassigned, line and paragraph
# separator.
_NOT_IN_NAMES = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


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
        """False: no login, and no token works."""
        ...

    def get_id(self) -> str:
        """The immutable, never reused id."""
        ...


@runtime_checkable
class UserStore(Protocol):
    """What a store of users promises.

    Every method raises `StoreUnavailableError` when the store cannot answer; any
    other exception is the application's own and lets nobody in.
    """

    def get(self, user_id: str) -> UserRecord | None:
        """Return the user with this id, or None."""
        ...

    def find(self, username: str) -> UserRecord | None:
        """Return the user with this folded name (see `fold_username`), or None."""
        ...

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        """Replace a hash if it still is the expected one, atomically.

        Returns:
            False when the stored hash is not the expected one any more.
        """
        ...


@runtime_checkable
class ManagedUserStore(UserStore, Protocol):
    """A store whose users can be added, changed and removed from here."""

    def add(self, user: User) -> bool:
        """Keep a new user.

        Returns:
            False when the name, or another spelling of it, or the id is taken.

        Raises:
            InvalidRequestError: the username cannot be used.
        """
        ...

    def all(self) -> Iterator[User]:
        """Yield every user, ordered by folded name."""
        ...

    def rename(self, user_id: str, username: str) -> bool:
        """Give a user another name; the id stays.

        Returns:
            False when another user has the name, or another spelling of it, or when
            there is no user with this id.

        Raises:
            InvalidRequestError: the username cannot be used.
        """
        ...

    def set_active(self, user_id: str, *, active: bool) -> bool:
        """Enable or disable a user; false when there is none with this id."""
        ...

    def set_scopes(self, user_id: str, scopes: str | Iterable[str]) -> bool:
        """Give a user these scopes and no others; false when there is no such user.

        Raises:
            ValueError: one of these cannot be the name of a scope.
        """
        ...

    def remove(self, user_id: str) -> bool:
        """Forget a user; false when there is none with this id."""
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


def id_of(user: UserRecord) -> str:
    """Return a user's id, for what is kept under it.

    Raises:
        TypeError: it is no text; no store would find the user again.
    """
    user_id: object = user.get_id()
    if not isinstance(user_id, str):
        raise TypeError(
            f"get_id() of {type(user).__name__} must return text, as Flask-Login's "
            f"UserMixin does, not {type(user_id).__name__}."
        )
    return user_id


def check_id(value: object) -> None:
    """Check that what a store is asked for is text.

    Raises:
        TypeError: it is not; a store that looked for it would find nothing, and who
            ends the sessions of user 7 must not be told that there were none.
    """
    if not isinstance(value, str):
        raise TypeError(f"An id or a name must be text, not {type(value).__name__}.")


def active_user(users: UserStore, user_id: str) -> UserRecord | None:
    """Return the user with this id; None when removed or disabled.

    A store that returns another user's record, as a stale cache does, counts as if it
    had none.
    """
    user = users.get(user_id)
    if user is None or not user.is_active or user.get_id() != user_id:
        return None
    return user


def scopes_of(user: UserRecord) -> frozenset[str]:
    """Return what a user may do; a user without `scopes` may do nothing special."""
    return parse_scopes(getattr(user, "scopes", None))


def fold_username(username: str) -> str | None:
    """Return the one form that all spellings of a username share (NFKC, case folded).

    Returns:
        None when it cannot be anybody's name: empty, longer than
        `MAX_USERNAME_LENGTH`, or with control, format or unassigned characters, of
        which some do not show.
    """
    # The length is capped first: normalisation takes quadratic time (CVE-2023-46695).
    if len(username) > MAX_USERNAME_LENGTH or not username:
        return None
    folded = unicodedata.normalize("NFKC", username).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    if any(unicodedata.category(c) in _NOT_IN_NAMES for c in folded):
        return None
    return folded


def folded_name(username: str) -> str:
    """Return the folded form of the name of a new user.

    Raises:
        InvalidRequestError: it cannot be anybody's name.
    """
    folded = fold_username(username)
    if folded is None:
        raise InvalidRequestError(
            f"A username has 1 to {MAX_USERNAME_LENGTH} characters, none of them a "
            "control or format character."
        )
    return folded


class DictUserStore:
    """Users in a dict of this process.

    Args:
        users: Username -> hash from `hash_password`, or username -> `User`.

    Raises:
        ConfigurationError: a hash cannot be read by any supported scheme, a name
            cannot be used, or two names are one when folded.
    """

    def __init__(self, users: Mapping[str, str | User]) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, User] = {}
        self._by_name: dict[str, User] = {}
        for username, entry in users.items():
            user = entry if isinstance(entry, User) else User(username, entry)
            self._add(username, user)

    def _add(self, username: str, user: User) -> None:
        name = fold_username(username)
        if name is None:
            raise ConfigurationError(f"{username[:40]!r} cannot be used as a username.")
        if name in self._by_name or user.id in self._by_id:
            raise ConfigurationError(
                f"The username {username!r} is taken: names that differ only in case "
                "or in Unicode form are one account, and ids are unique."
            )
        if user.password_hash is not None and not passwords.is_supported(
            user.password_hash
        ):
            raise ConfigurationError(
                f"The password hash of {username!r} is of no supported scheme. Make "
                "one with tokenauth.hash_password or 'flask tokenauth hash-password'; "
                "a clear-text password does not belong here. Read are argon2 and "
                "Werkzeug's scrypt and pbkdf2."
            )
        self._by_name[name] = self._by_id[user.id] = user

    def get(self, user_id: str) -> User | None:
        """Return the user with this id, or None."""
        check_id(user_id)
        return self._by_id.get(user_id)

    def find(self, username: str) -> User | None:
        """Return the user with this name in any spelling, or None."""
        check_id(username)
        folded = fold_username(username)
        return None if folded is None else self._by_name.get(folded)

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        """Replace a hash if it still is the expected one, atomically."""
        check_id(user_id)
        with self._lock:
            user = self._by_id.get(user_id)
            if user is None or user.password_hash != expected:
                return False
            user.password_hash = new
            return True

    def __repr__(self) -> str:
        return f"<DictUserStore of {len(self._by_id)} users>"
