"""Users in a dict of this process."""

from __future__ import annotations

import operator
import threading
from collections.abc import Mapping

from ..accounts.hash_schemes import is_supported
from ..accounts.names import check_id, fold_username
from ..accounts.users import User
from ..errors import ConfigurationError


class DictUserStore:
    """Users in a dict of this process: for tests, and for services of a few users.

    Changes that the application makes to its mapping take effect at once: who is added
    can log in, who is removed is logged out. A password that is changed here is kept
    in the store, not in the mapping, until the application changes that entry. An entry
    that is added later and cannot be used lets nobody in.

    Args:
        users: Username -> hash from `hash_password`, or username -> `User`.

    Raises:
        ConfigurationError: a hash cannot be read by any supported scheme, a name
            cannot be used, or two names are one when folded.

    Example:
        >>> users = {"Ann": User("Ann", id="u-1", scopes="reports:read")}
        >>> store = DictUserStore(users)
        >>> store.find("ann").id
        'u-1'
        >>> del users["Ann"]
        >>> store.get("u-1") is None
        True
    """

    def __init__(self, users: Mapping[str, str | User]) -> None:
        self._users = users
        self._lock = threading.Lock()
        self._entries: dict[str, str | User] = {}  # of the mapping, as it was last read
        self._made: dict[str, User] = {}  # of these
        self._keys: dict[str, str] = {}  # by id: where in the mapping the user is
        self._by_id: dict[str, User] = {}
        self._by_name: dict[str | None, User] = {}
        self._catch_up()
        self._check()

    def get(self, user_id: str) -> User | None:
        """Return the user with this id, or None."""
        check_id(user_id)
        key = self._keys.get(user_id)
        if key is None or self._users.get(key) is not self._entries.get(key):
            self._catch_up()
        return self._by_id.get(user_id)

    def find(self, username: str) -> User | None:
        """Return the user with this name, in any spelling, or None."""
        # The same work for every name: the time does not tell which are taken.
        self._catch_up()
        name = fold_username(username)
        return None if name is None else self._by_name.get(name)

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
        return f"<DictUserStore of {len(self._users)} users>"

    def _catch_up(self) -> None:
        """Take over what the application has changed in its mapping."""
        current, known = dict(self._users), self._entries
        if len(current) == len(known) and all(
            map(operator.is_, current.values(), map(known.get, current))
        ):
            return
        with self._lock:
            current, known = dict(self._users), self._entries
            made = {
                key: self._made[key] if entry is known.get(key) else _user(key, entry)
                for key, entry in current.items()
            }
            # Of two with one name or id, the first counts.
            backwards = [(key, made[key]) for key in reversed(made)]
            self._keys = {user.id: key for key, user in backwards}
            self._by_id = {user.id: user for _, user in backwards}
            self._by_name = {fold_username(key): user for key, user in backwards}
            self._entries, self._made = current, made

    def _check(self) -> None:
        for username, user in self._made.items():
            name = fold_username(username)
            if name is None:
                raise ConfigurationError(
                    f"{username[:40]!r} cannot be used as a username."
                )
            if not (self._by_name[name] is user is self._by_id[user.id]):
                raise ConfigurationError(
                    f"The username {username!r} is taken: names that differ only in "
                    "case or in Unicode form are one account, and ids are unique."
                )
            if user.password_hash is not None and not is_supported(user.password_hash):
                raise ConfigurationError(
                    f"The password hash of {username!r} is of no supported scheme. "
                    "Make one with tokenauth.hash_password or 'flask tokenauth "
                    "hash-password'; a clear-text password does not belong here. Read "
                    "are argon2 and Werkzeug's scrypt and pbkdf2."
                )


def _user(username: str, entry: str | User) -> User:
    return entry if isinstance(entry, User) else User(username, entry)
