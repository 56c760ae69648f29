"""What one application has: built once in `init_app`, found by `current_state`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec
from blinker import NamedSignal
from flask import Flask, current_app, has_request_context, request

from .. import events
from ..accounts.hashing_pool import HashingPool
from ..accounts.password_check import PasswordChecker
from ..accounts.passwords import PasswordHasher
from ..accounts.policy import PasswordPolicy
from ..accounts.users import User, UserStore
from ..events import Emit, Event
from ..sessions.cache import SessionCache
from ..sessions.inspection import TokenInspector
from ..sessions.issuer import TokenIssuer, TokenReader
from ..sessions.one_time import OneTimeTokens
from ..sessions.password_login import PasswordLogin
from ..sessions.personal import PersonalTokens
from ..sessions.service import SessionService
from ..sessions.session import Session
from ..sessions.store import SessionStore
from ..sessions.verifier import ServiceVerifier, Shared, TokenVerifier
from ..settings import Settings
from ..settings import load as load_settings
from ..stores import open_redis
from ..stores.announcing import announcing
from ..stores.provision import Stores, provide, reader_of

if TYPE_CHECKING:
    from ..accounts.throttle import LoginThrottle

KEY = "tokenauth"
"""Name in `app.extensions`, and of the endpoints' blueprint."""


class Clock:
    """The time of one application, in seconds since the epoch.

    Attributes:
        source: What tells the time instead, in tests; None: `time.time`.
    """

    def __init__(self) -> None:
        self.source: Callable[[], float] | None = None

    def __call__(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time() if self.source is None else self.source()


class VerifierState(msgspec.Struct, frozen=True, kw_only=True):
    """What an application has that verifies tokens.

    Attributes:
        settings: The checked configuration.
        header_key: The WSGI name of the header that carries the token.
        clock: The application's time.
        verifier: Checks tokens.
        emit: Sends an event to the application's receivers.
    """

    settings: Settings
    header_key: str
    clock: Clock
    verifier: TokenVerifier
    emit: Emit

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class State(VerifierState, frozen=True, kw_only=True):
    """What an application has that issues tokens, too.

    Attributes:
        stores: The stores as they were given.
        sessions: The store of sessions; announces when it cannot answer.
        inspector: Says what a token of any purpose is.
        service: Starts, refreshes and revokes sessions.
        password_login: Logs in with a password, and changes passwords.
        checker: Checks passwords.
        personal: Makes personal access tokens.
        one_time: Issues and redeems one-time tokens.
        throttle: Counts attempts on passwords.
        publics: The public keys of its tokens, newest first.
    """

    stores: Stores
    sessions: SessionStore
    inspector: TokenInspector
    service: SessionService
    password_login: PasswordLogin
    checker: PasswordChecker
    personal: PersonalTokens
    one_time: OneTimeTokens
    throttle: LoginThrottle
    publics: tuple[bytes, ...]


def build(
    app: Flask,
    users: UserStore | Mapping[str, str | User] | None,
    sessions: SessionStore | None,
) -> State:
    """Return the state of an application; the application itself is left alone.

    Raises:
        ConfigurationError: the application is set up in a way that is unsafe.
    """
    settings = _load(app)
    stores = provide(settings, users, sessions)
    clock = Clock()
    emit = partial(_emit, app, clock)
    users = announcing(stores.users, UserStore, "users", emit)
    sessions = announcing(stores.sessions, SessionStore, "sessions", emit)
    issuer = TokenIssuer(settings)
    shared = Shared(settings, issuer, users, sessions, emit, clock)
    throttle = _throttle(settings, clock)
    checker = _checker(shared, throttle)
    service, one_time = SessionService(shared), OneTimeTokens(shared)
    return State(
        settings=settings,
        header_key=settings.header_key,
        stores=stores,
        sessions=sessions,
        clock=clock,
        verifier=TokenVerifier(shared, read=_reader(stores, shared)),
        inspector=TokenInspector(shared),
        service=service,
        password_login=PasswordLogin(shared, service, one_time, checker),
        checker=checker,
        personal=PersonalTokens(shared),
        one_time=one_time,
        throttle=throttle,
        emit=emit,
        publics=issuer.publics,
    )


def build_verifier(app: Flask) -> VerifierState:
    """Return the state of an application that only verifies tokens.

    Raises:
        ConfigurationError: the application is set up in a way that is unsafe.
    """
    settings = _load(app, verify_only=True)
    stores = provide(settings, {}, None)
    clock = Clock()
    emit = partial(_emit, app, clock)
    issuer = cast(TokenIssuer, TokenReader(settings))  # it only reads
    shared = Shared(settings, issuer, *stores, emit, clock)
    stores.check_tables()
    sees_sessions = settings.session_url != "memory://"
    read = _reader(stores, shared) if sees_sessions else None
    return VerifierState(
        settings=settings,
        header_key=settings.header_key,
        clock=clock,
        verifier=ServiceVerifier(shared, read=read),
        emit=emit,
    )


def issuing_state() -> State | None:
    """Return the state of the current application; None if it only verifies tokens."""
    state = current_state()
    return state if isinstance(state, State) else None


def current_state() -> State:
    """Return the state of the current application.

    Where tokens are only verified it is a `VerifierState`, to all of which but
    `issuing_state` that makes no difference.

    Raises:
        RuntimeError: outside an application context, or the application has no
            `TokenAuth`.
    """
    # Each attribute of Flask's proxy takes longer than all of this.
    return state_of(current_app._get_current_object())  # type: ignore[attr-defined]


def state_of(app: Flask) -> State:
    """Return the state of an application.

    Raises:
        RuntimeError: it has no `TokenAuth`.
    """
    state: State | None = app.extensions.get(KEY)
    if state is None:
        raise RuntimeError(
            "This application has no TokenAuth: call TokenAuth(app, users) or init_app."
        )
    return state


def _load(app: Flask, *, verify_only: bool = False) -> Settings:
    settings = load_settings(app.config, app.name, verify_only=verify_only)
    if settings.query_param is not None:
        events.LOGGER.warning(
            "TOKENAUTH_QUERY_PARAM: tokens in URLs end up in logs, histories and "
            "Referer headers"
        )
    return settings


def _reader(stores: Stores, shared: Shared) -> Callable[[str], Session | None]:
    """Return what reads the session of a token."""
    lag = shared.settings.session_check_lag
    reader = reader_of(stores.sessions, lag, now=shared.now)
    return announcing(reader, SessionCache, "sessions", shared.emit).get


def _throttle(settings: Settings, clock: Clock) -> LoginThrottle:
    # Imported when used: the limits library takes longer to import than all the rest.
    from ..accounts.throttle import LoginThrottle

    return LoginThrottle(
        settings.login_limits,
        open_redis(settings.limits_url),
        secret=settings.secret_keys[0],
        realm=settings.realm,
        now=clock,
    )


def _checker(shared: Shared, throttle: LoginThrottle) -> PasswordChecker:
    settings, emit = shared.settings, shared.emit
    policy = PasswordPolicy(
        settings.password_min_length,
        settings.password_max_length,
        settings.password_breach_check,
        settings.realm,
    )
    return PasswordChecker(
        users=shared.users,
        hasher=PasswordHasher(settings.argon2, settings.password_verifier),
        policy=announcing(policy, PasswordPolicy, "breach_check", emit),
        throttle=announcing(throttle, type(throttle), "attempts", emit),
        pool=HashingPool(settings.password_concurrency),
        upgrades=settings.password_upgrade,
        emit=emit,
    )


def _emit(app: Flask, clock: Clock, signal: NamedSignal, **details: str | None) -> None:
    address = request.remote_addr if has_request_context() else None
    events.send(signal, app, Event(at=clock(), address=address, **details))
