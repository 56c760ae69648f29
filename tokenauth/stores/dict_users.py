"""Users in a dict of this process."""

from __future__ import annotations

import operator
import threading
from collections.abc import Mapping

from ..accounts.hash_schemes import is_supported
from ..accounts.names import check_id, fold_username
from ..accounts.users import User
from ..errors import ConfigurationError
from ..events import LOGGER


class DictUserStore:
    """Users in a dict of this process: for tests, and for services of a few users.

    Changes that the application makes to its mapping take effect at once: who is added
    can log in, who is removed is logged out. A password that is changed here is kept
    in the store, not in the mapping, until the application changes that entry.

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
        self._entries: dict[str, str | User] = {}
        self._keys: dict[str, str] = {}  # by id: where in the mapping the user is
        self._by_id: dict[str, User] = {}
        self._by_name: dict[str, User] = {}
        for username, entry in dict(users).items():
            self._add(username, entry)

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
        if not self._changed(dict(self._users)):
            return
        with self._lock:
            current = dict(self._users)
            changed = self._changed(current)
            for username in changed & self._entries.keys():
                self._remove(username)
            for username in changed & current.keys():
                try:
                    self._add(username, current[username])
                except ConfigurationError as error:  # it would have stopped the start
                    self._entries[username] = current[username]
                    LOGGER.error("A user is ignored: %s", error)

    def _changed(self, current: dict[str, str | User]) -> set[str]:
        known = self._entries
        if len(current) == len(known) and all(
            map(operator.is_, current.values(), map(known.get, current))
        ):
            return set()
        names = current.keys() | known.keys()
        return {name for name in names if current.get(name) is not known.get(name)}

    def _add(self, username: str, entry: str | User) -> None:
        user = entry if isinstance(entry, User) else User(username, entry)
        name = fold_username(username)
        if name is None:
            raise ConfigurationError(f"{username[:40]!r} cannot be used as a username.")
        if name in self._by_name or user.id in self._by_id:
            raise ConfigurationError(
                f"The username {username!r} is taken: names that differ only in case "
                "or in Unicode form are one account, and ids are unique."
            )
        if user.password_hash is not None and not is_supported(user.password_hash):
            raise ConfigurationError(
                f"The password hash of {username!r} is of no supported scheme, or "
                "costs too much to compute. Make one with tokenauth.hash_password or "
                "'flask tokenauth hash-password'; a clear-text password does not "
                "belong here. Read are argon2 and Werkzeug's scrypt and pbkdf2."
            )
        self._entries[username] = entry
        self._by_name[name] = user
        self._by_id[user.id] = user
        self._keys[user.id] = username

    def _remove(self, username: str) -> None:
        del self._entries[username]
        name = fold_username(username) or ""
        user = self._by_name.get(name)
        if user is not None and self._keys[user.id] == username:
            del self._by_name[name], self._by_id[user.id], self._keys[user.id]
