"""The rooms of one application, built once from its configuration and its stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING

from blinker import NamedSignal
from flask import Flask, has_request_context, request

from .. import events
from .. import settings as config
from ..accounts.hashing_pool import HashingPool
from ..accounts.password_check import PasswordChecker
from ..accounts.policy import PasswordPolicy
from ..accounts.users import User, UserStore
from ..events import Event
from ..sessions.issuer import TokenIssuer
from ..sessions.one_time import OneTimeTokens
from ..sessions.personal import PersonalTokens
from ..sessions.service import SessionService
from ..sessions.store import SessionStore
from ..sessions.verifier import TokenVerifier
from ..stores.provision import provide, reader_of
from ..tokens.keys import looks_guessable
from . import state
from .api import endpoints, openapi
from .state import State

if TYPE_CHECKING:
    from ..accounts.throttle import LoginThrottle


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
        users: Where users are kept; None: where the settings say.
        sessions: The same for sessions.
        now: Seconds since the epoch.

    Raises:
        ConfigurationError: the application is set up in a way that is not safe.
    """
    settings = config.load(app.config, app.name)
    if not app.testing and any(map(looks_guessable, settings.secret_keys)):
        events.LOGGER.warning(
            "SECRET_KEY or a fallback is so regular that it can be guessed: make one "
            "with 'flask tokenauth new-secret'"
        )
    stores = provide(settings, users, sessions)
    emit = partial(_emit, app)
    throttle = _throttle(settings, now)
    credentials = PasswordChecker(
        stores.users,
        cost=settings.argon2,
        policy=PasswordPolicy(
            settings.password_min_length,
            settings.password_max_length,
            settings.password_breach_check,
            settings.realm,
        ),
        throttle=throttle,
        pool=HashingPool(settings.password_concurrency),
        emit=emit,
    )
    mint = TokenIssuer(settings)
    read = reader_of(stores.sessions, settings.session_check_lag, now=now)
    return State(
        settings=settings,
        stores=stores,
        verifier=TokenVerifier(mint, *stores, read=read, now=now),
        service=SessionService(
            settings, mint, *stores, credentials, emit=emit, now=now
        ),
        checker=credentials,
        personal=PersonalTokens(mint, stores.sessions, emit=emit, now=now),
        once=OneTimeTokens(mint, *stores, emit=emit, now=now),
        throttle=throttle,
        emit=emit,
        describe=cache(
            partial(
                openapi.describe,
                endpoints.ROUTES,
                url_prefix=settings.url_prefix,
                title=settings.realm,
            )
        ),
    )


def _throttle(settings: config.Settings, now: Callable[[], float]) -> LoginThrottle:
    # Imported when used: the limits library takes longer to import than all the rest.
    from ..accounts.throttle import LoginThrottle

    return LoginThrottle(
        settings.login_limits,
        settings.limits_url,
        secret=settings.secret_keys[0],
        realm=settings.realm,
        now=now,
    )


def _emit(app: Flask, signal: NamedSignal, **details: str | None) -> None:
    address = request.remote_addr if has_request_context() else None
    now = state.of(app).service.now()  # which tests may have stopped
    events.send(signal, app, Event(at=now, address=address, **details))
