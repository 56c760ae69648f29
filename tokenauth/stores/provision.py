"""The stores of an application: opened, checked, warned about where they are few."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..accounts.users import User, UserStore
from ..errors import ConfigurationError, StoreUnavailableError
from ..events import LOGGER
from ..sessions.session import new_session_id
from ..sessions.store import SessionStore
from ..settings import Settings
from . import TableStore, open_sessions, open_users
from .dict_users import DictUserStore
from .memory import MemorySessionStore

_MANY_PROCESSES: Final = (
    "users in a dict and sessions in memory belong to one process, but several serve "
    "this application: what one of them logs in, logs out or changes, the others do "
    "not know. Set TOKENAUTH_SESSION_URL and TOKENAUTH_USERS_URL to shared stores, or "
    "run one process"
)
_SETTINGS: Final = ("TOKENAUTH_USERS_URL", "TOKENAUTH_SESSION_URL")


class Stores(NamedTuple):
    """Where an application keeps its users and sessions."""

    users: UserStore
    sessions: SessionStore

    def check(self) -> None:
        """Return if each store can be read.

        Raises:
            StoreUnavailableError: one cannot answer.
        """
        nobody = new_session_id("")
        self.users.find(nobody)
        self.sessions.get(nobody)

    @property
    def with_tables(self) -> list[TableStore]:
        """Those whose tables are created before their first use."""
        return [store for store in self if isinstance(store, TableStore)]

    def check_tables(self) -> None:
        """Check the tables of each store; a database that is down is only logged.

        Raises:
            ConfigurationError: tables are missing, or of another version.
        """
        for setting, store in zip(_SETTINGS, self, strict=True):
            if isinstance(store, TableStore):
                try:
                    store.check_tables()
                except StoreUnavailableError as error:
                    # It may come up later; until then each request gets a 503.
                    text = "the tables of %s could not be checked: %s"
                    LOGGER.warning(text, setting, error.reason)


def provide(
    settings: Settings,
    users: UserStore | Mapping[str, str | User] | None,
    sessions: SessionStore | None,
) -> Stores:
    """Return an application's stores: those given, or those that its settings name.

    Args:
        settings: What the application decided.
        users: Users that were given.
        sessions: Sessions that were given.

    Raises:
        ConfigurationError: there are no users, a URL names no store, or its driver is
            missing.
    """
    found = _user_store(users, settings.users_url)
    if sessions is None:
        return Stores(found, open_sessions(settings.session_url, beside=found))
    _refuse_partial(sessions, SessionStore)
    return Stores(found, sessions)


def if_many_processes(stores: Stores) -> str | None:
    """Return the warning for an application that several processes serve, if any."""
    users, sessions = stores
    is_shared = not isinstance(users, DictUserStore) and not isinstance(
        sessions, MemorySessionStore
    )
    return None if is_shared else _MANY_PROCESSES


def _user_store(
    users: UserStore | Mapping[str, str | User] | None, url: str | None
) -> UserStore:
    if users is None and url is not None:
        return open_users(url)
    if isinstance(users, Mapping):
        return DictUserStore(users)
    if users is None:
        raise ConfigurationError(
            "TokenAuth needs users: TokenAuth(app, users), where users is a UserStore "
            "or a mapping username -> hash_password(...). Without them, "
            "TOKENAUTH_USERS_URL names a store."
        )
    _refuse_partial(users, UserStore)
    return users


def _refuse_partial(store: object, promise: type) -> None:
    """Return if a store is an object with all methods of a protocol.

    Raises:
        ConfigurationError: it is not; the message names what is missing.
    """
    methods = {
        name: None if isinstance(store, type) else getattr(store, name, None)
        for name in vars(promise)
        if not name.startswith("_")
    }
    wrong = [
        repr(name)
        for name, method in methods.items()
        if method is None or inspect.iscoroutinefunction(method)
    ]
    if wrong:
        kind = store if isinstance(store, type) else type(store)
        raise ConfigurationError(
            f"{kind.__name__} is no {promise.__name__}: it has no {', '.join(wrong)}. "
            "Pass an object, not the class, with these methods as plain functions "
            "('def', not 'async def')."
        )
