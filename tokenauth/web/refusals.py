"""What is announced of an error: a token that was refused, a store that failed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from .. import events
from ..errors import (
    AmbiguousTokenError,
    AuthError,
    StoreUnavailableError,
    TokenError,
    TokenMissingError,
)
from . import found, state

P = ParamSpec("P")
R = TypeVar("R")


def announced(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function announce a store that fails it and a token that it refuses."""

    @wraps(function)
    def announcing(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TokenMissingError:
            raise  # nothing was sent, so nothing was refused
        except (AmbiguousTokenError, StoreUnavailableError, TokenError) as error:
            if error is not found.outcome():  # that one is known since it was found
                announce(error)
            raise

    return announcing


def announce(error: AuthError) -> None:
    """Tell the application's receivers of an error."""
    signal, cause = events.token_refused, None
    if isinstance(error, StoreUnavailableError):
        signal, cause = events.store_failed, error.reason
    state.current().emit(signal, reason=error.code, cause=cause, **error.about)
