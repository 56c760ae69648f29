"""What is announced of an error: a token that was refused, a store that failed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from ..errors import (
    AmbiguousTokenError,
    StoreUnavailableError,
    TokenError,
    TokenMissingError,
)
from . import identity

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
            outcome = identity.kept()
            if outcome is None or error is not outcome.error:  # known since then
                identity.announce(error)
            raise

    return announcing
