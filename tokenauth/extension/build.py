"""Builds what one application has: settings, stores, and the rules on top of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from blinker import NamedSignal
from flask import Flask, has_request_context, request

from .. import events
from ..accounts.hashing_pool import HashingPool
from ..accounts.password_check import PasswordChecker
from ..accounts.passwords import PasswordHasher
from ..accounts.policy import PasswordPolicy
from ..accounts.users import User, UserStore
from ..errors import ConfigurationError
from ..events import Event
from ..sessions.cache import SessionCache
from ..sessions.inspection import TokenInspector
from ..sessions.issuer import TokenIssuer
from ..sessions.one_time import OneTimeTokens
from ..sessions.password_login import PasswordLogin
from ..sessions.personal import PersonalTokens
from ..sessions.service import SessionService
from ..sessions.store import EndingFeed, SessionStore
from ..sessions.verifier import ServiceVerifier, SessionRules, TokenVerifier
from ..settings import Settings
from ..settings import load as load_settings
from ..stores import open_redis
from ..stores.announcing import announcing
from ..stores.memory import MemorySessionStore
from ..stores.provision import Stores, provide
from ..web.state import KEY, Clock, State, VerifierState

if TYPE_CHECKING:
    from ..accounts.throttle import LoginThrottle


def build(
    app: Flask,
    users: UserStore | Mapping[str, str | User] | None,
    sessions: SessionStore | None,
) -> State:
    """Return the state of an application; the application itself is left alone.

    Raises:
        ConfigurationError: the application is set up in a way that is unsafe.
    """
    _check_application(app)
    settings = _load(app)
    stores = provide(settings, users, sessions)
    clock = Clock()
    shared = _shared(app, clock, stores, settings)
    throttle = _throttle(settings, clock)
    service, one_time = SessionService(**shared), OneTimeTokens(**shared)
    checker = _checker(service, throttle)
    return State(
        settings=settings,
        header_key=settings.header_key,
        stores=stores,
        sessions=service.sessions,
        clock=clock,
        verifier=TokenVerifier(**_for_requests(shared, stores.sessions)),
        inspector=TokenInspector(**shared),
        service=service,
        password_login=PasswordLogin(
            **shared, service=service, once=one_time, checker=checker
        ),
        checker=checker,
        personal=PersonalTokens(**shared),
        one_time=one_time,
        throttle=throttle,
        emit=service.emit,
        publics=service.issuer.publics,
    )


def build_verifier(app: Flask) -> VerifierState:
    """Return the state of an application that only verifies tokens.

    Raises:
        ConfigurationError: the application is set up in a way that is unsafe.
    """
    _check_application(app)
    settings = _load(app, verify_only=True)
    stores = provide(settings, {}, None)
    clock = Clock()
    shared = _for_requests(_shared(app, clock, stores, settings), stores.sessions)
    stores.check_tables()
    return VerifierState(
        settings=settings,
        header_key=settings.header_key,
        clock=clock,
        verifier=ServiceVerifier(
            **shared, sees_sessions=settings.session_url != "memory://"
        ),
        emit=shared["emit"],
    )


def _load(app: Flask, *, verify_only: bool = False) -> Settings:
    settings = load_settings(app.config, app.name, verify_only=verify_only)
    if settings.query_param is not None:
        events.LOGGER.warning(
            "TOKENAUTH_QUERY_PARAM: tokens in URLs end up in logs, histories and "
            "Referer headers"
        )
    return settings


def _shared(
    app: Flask, clock: Clock, stores: Stores, settings: Settings
) -> dict[str, Any]:
    """Return what all `SessionRules` work with; its stores announce their failures."""
    emit = partial(_emit, app, clock)
    sessions = announcing(stores.sessions, SessionStore, "sessions", emit)
    return {
        "settings": settings,
        "issuer": TokenIssuer(settings),
        "users": announcing(stores.users, UserStore, "users", emit),
        "sessions": sessions,
        "emit": emit,
        "now": clock,
        "read": sessions.get,
    }


def _for_requests(shared: dict[str, Any], sessions: SessionStore) -> dict[str, Any]:
    """Return the same; where checks may lag, with a cache that reads the sessions.

    Raises:
        ConfigurationError: a lag is allowed, and the store cannot tell what ended.
    """
    lag, emit = shared["settings"].session_check_lag, shared["emit"]
    if not lag or isinstance(sessions, MemorySessionStore):
        return shared
    if not isinstance(sessions, EndingFeed):
        raise ConfigurationError(
            "TOKENAUTH_SESSION_CHECK_LAG needs a session store with the method "
            "'ended_since' (see EndingFeed): set it to 0, or add that method."
        )
    cache = SessionCache(sessions, lag, now=shared["now"])
    return shared | {"read": announcing(cache, SessionCache, "sessions", emit).get}


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


def _checker(rules: SessionRules, throttle: LoginThrottle) -> PasswordChecker:
    settings, emit = rules.settings, rules.emit
    policy = PasswordPolicy(
        settings.password_min_length,
        settings.password_max_length,
        settings.password_breach_check,
        settings.realm,
    )
    return PasswordChecker(
        users=rules.users,
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


def _check_application(app: Flask) -> None:
    """Refuse what is no application, or has a login manager already."""
    # No class is asked for: OpenTelemetry puts another one in Flask's place.
    if not isinstance(getattr(app, "extensions", None), dict):
        raise ConfigurationError(
            "The first argument is the Flask application: TokenAuth(app, users)."
        )
    if KEY in app.extensions:
        raise ConfigurationError(
            "This application has a TokenAuth already: use that one."
        )
    if hasattr(app, "login_manager"):
        raise ConfigurationError(
            "This application has a LoginManager already. TokenAuth brings its own: "
            "register the user_loader on 'auth.login_manager' instead."
        )
