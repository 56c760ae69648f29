"""The rooms of one application, built once from its configuration and its stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from blinker import NamedSignal
from flask import Flask, has_request_context, request

from . import config, events
from .authenticator import Authenticator
from .authority import Authority
from .credentials import Credentials
from .errors import ConfigurationError
from .events import Event
from .gate import Gate
from .mint import Mint
from .once import OneTimeTokens
from .passwords import PasswordPolicy
from .personal import PersonalTokens
from .sessions import SessionStore
from .state import State
from .stores import open_sessions
from .users import DictUserStore, User, UserStore

if TYPE_CHECKING:
    from .throttle import Throttle


def assemble(
    app: Flask,
    users: UserStore | Mapping[str, str | User] | None,
    sessions: SessionStore | None,
    *,
    now: Callable[[], float],
) -> State:
    """Return the rooms of an application; the application itself is left alone.

    Args:
        app: The application.
        users: Where users are kept.
        sessions: Where sessions are kept; None: where the settings say.
        now: Seconds since the epoch.

    Raises:
        ConfigurationError: the application is set up in a way that is not safe.
    """
    settings = config.load(app.config, app.name)
    user_store = _user_store(users)
    session_store = _session_store(sessions, settings.session_url)
    emit = partial(_emit, app, now)
    throttle = _throttle(settings, now)
    credentials = Credentials(
        user_store,
        cost=settings.argon2,
        policy=PasswordPolicy(
            settings.password_min_length, settings.password_max_length
        ),
        throttle=throttle,
        gate=Gate(settings.password_concurrency),
        emit=emit,
    )
    mint = Mint(settings)
    return State(
        settings=settings,
        authenticator=Authenticator(mint, user_store, session_store, now=now),
        authority=Authority(
            settings, mint, user_store, session_store, credentials, emit=emit, now=now
        ),
        personal=PersonalTokens(mint, session_store, emit=emit, now=now),
        once=OneTimeTokens(mint, user_store, session_store, emit=emit, now=now),
        throttle=throttle,
        emit=emit,
    )


def _user_store(users: UserStore | Mapping[str, str | User] | None) -> UserStore:
    store = DictUserStore(users) if isinstance(users, Mapping) else users
    if not isinstance(store, UserStore):
        raise ConfigurationError(
            "TokenAuth needs users: TokenAuth(app, users), where users is a UserStore "
            "or a mapping username -> hash_password(...)."
        )
    return store


def _session_store(sessions: SessionStore | None, url: str) -> SessionStore:
    store = open_sessions(url) if sessions is None else sessions
    if not isinstance(store, SessionStore):
        raise ConfigurationError(
            "TokenAuth keeps sessions in a SessionStore: leave sessions out, or pass "
            "an object with all of its methods."
        )
    return store


def _throttle(settings: config.Settings, now: Callable[[], float]) -> Throttle:
    # Imported when used: the limits library takes longer to import than all the rest.
    from .throttle import Throttle

    return Throttle(
        settings.login_limits,
        settings.limits_url,
        secret=settings.secret_keys[0],
        realm=settings.realm,
        now=now,
    )


def _emit(
    app: Flask,
    now: Callable[[], float],
    signal: NamedSignal,
    **details: str | None,
) -> None:
    address = request.remote_addr if has_request_context() else None
    events.send(signal, app, Event(at=now(), address=address, **details))
