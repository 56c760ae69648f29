"""Token authentication for Flask APIs, on Flask-Login and itsdangerous.

The names are imported when they are used: `tokenauth.tokens` needs no Flask.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .accounts.names import fold_username, folded_name
    from .accounts.passwords import hash_password
    from .accounts.policy import PasswordPolicy
    from .accounts.users import TokenUser, User, UserRecord, UserStore
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
    from .extension import TokenAuth, TokenVerifier
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
    "TokenUser",
    "TokenVerifier",
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

# Where the names are; of two modules that know one, the first has it.
_MODULES = (
    "errors tokens accounts.names accounts.passwords accounts.policy accounts.users "
    "sessions.session sessions.store stores.dict_users stores.memory web.guards "
    "web.responses extension app sessions.issuer"
)


def __getattr__(name: str) -> Any:
    """Import a public name, or a module of the package, at its first use."""
    for module in _MODULES.split() if name in __all__ else ():
        found = vars(importlib.import_module(f".{module}", __name__))
        if name in found:
            return globals().setdefault(name, found[name])
    try:
        return importlib.import_module(f".{name}", __name__)
    except ModuleNotFoundError:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message) from None
