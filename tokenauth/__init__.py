"""Token authentication for Flask APIs, on Flask-Login and itsdangerous."""

from .app import create_app
from .errors import (
    AuthError,
    FreshLoginRequiredError,
    InsufficientScopeError,
    InvalidCredentialsError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OverloadedError,
    PasswordRefusedError,
    StoreUnavailableError,
    TokenError,
    TokenExpiredError,
    TokenInvalidError,
    TokenMissingError,
    TokenRevokedError,
    TooManyAttemptsError,
)
from .extension import TokenAuth
from .guards import current_claims, fresh_login_required, require_scopes
from .mint import PERSONAL_TOKEN_PATTERN, TokenPair
from .passwords import hash_password
from .sessions import Session, SessionStore
from .stores.memory import MemorySessionStore
from .tokens import Claims
from .users import DictUserStore, User, UserStore

__all__ = [
    "PERSONAL_TOKEN_PATTERN",
    "AuthError",
    "Claims",
    "DictUserStore",
    "FreshLoginRequiredError",
    "InsufficientScopeError",
    "InvalidCredentialsError",
    "InvalidGrantError",
    "InvalidRequestError",
    "InvalidScopeError",
    "MemorySessionStore",
    "OverloadedError",
    "PasswordRefusedError",
    "Session",
    "SessionStore",
    "StoreUnavailableError",
    "TokenAuth",
    "TokenError",
    "TokenExpiredError",
    "TokenInvalidError",
    "TokenMissingError",
    "TokenPair",
    "TokenRevokedError",
    "TooManyAttemptsError",
    "User",
    "UserStore",
    "create_app",
    "current_claims",
    "fresh_login_required",
    "hash_password",
    "require_scopes",
]
