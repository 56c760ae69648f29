"""Stores that announce when they cannot answer."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from .. import events
from ..errors import StoreUnavailableError
from ..events import Emit

T = TypeVar("T")


def announcing(store: T, promise: type, name: str, emit: Emit) -> T:
    """Return an object with a store's methods that announces `store_failed`.

    Args:
        store: What may be unavailable.
        promise: The class whose methods it has.
        name: Which store it is, for the event.
        emit: Announces an event.
    """
    methods = {
        method: _announcing(store, method, name, emit)
        for method, definition in vars(promise).items()
        if callable(definition) and not method.startswith("_")
    }
    return cast(T, SimpleNamespace(**methods))


def _announcing(
    store: object, method: str, name: str, emit: Emit
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            # Looked up each time: a test may replace a method of its store.
            return getattr(store, method)(*args, **kwargs)
        except StoreUnavailableError as error:
            emit(events.store_failed, store=name, cause=error.reason)
            raise

    return call
