"""Token authentication for Flask APIs, on Flask-Login and itsdangerous."""

from .accounts.names import fold_username, folded_name
from .accounts.passwords import hash_password
from .accounts.policy import PasswordPolicy
from .accounts.users import User, UserRecord, UserStore
from .app import create_app
from .errors import (
    AmbiguousTokenError,
    AuthError,
    ConfigurationError,
    FreshLoginRequiredError,
    InsufficientScopeError,
    InvalidCredentialsError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    MethodNotAllowedError,
    NotFoundError,
    OverloadedError,
    PasswordRefusedError,
    PayloadTooLargeError,
    RetryLaterError,
    ServerError,
    StoreUnavailableError,
    TokenError,
    TokenExpiredError,
    TokenInvalidError,
    TokenMissingError,
    TokenRevokedError,
    TooManyAttemptsError,
    UnsupportedMediaTypeError,
)
from .extension import TokenAuth
from .sessions.issuer import PERSONAL_TOKEN_PATTERN
from .sessions.session import Session
from .sessions.store import EndingFeed, SessionStore
from .stores.dict_users import DictUserStore
from .stores.memory import MemorySessionStore
from .tokens.claims import Claims
from .web.guards import (
    current_claims,
    fresh_login_required,
    require_scopes,
    token_required,
)
from .web.responses import TokenPair

__all__ = [
    "PERSONAL_TOKEN_PATTERN",
    "AmbiguousTokenError",
    "AuthError",
    "Claims",
    "ConfigurationError",
    "DictUserStore",
    "EndingFeed",
    "FreshLoginRequiredError",
    "InsufficientScopeError",
    "InvalidCredentialsError",
    "InvalidGrantError",
    "InvalidRequestError",
    "InvalidScopeError",
    "MemorySessionStore",
    "MethodNotAllowedError",
    "NotFoundError",
    "OverloadedError",
    "PasswordPolicy",
    "PasswordRefusedError",
    "PayloadTooLargeError",
    "RetryLaterError",
    "ServerError",
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
    "UnsupportedMediaTypeError",
    "User",
    "UserRecord",
    "UserStore",
    "create_app",
    "current_claims",
    "fold_username",
    "folded_name",
    "fresh_login_required",
    "hash_password",
    "require_scopes",
    "token_required",
]
