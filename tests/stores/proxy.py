"""A store in front of a store, for what happens around its calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

StoreT = TypeVar("StoreT")
Around = Callable[[str, Callable[[], Any]], Any]


def proxied(store: StoreT, around: Around) -> StoreT:
    """Return a store whose calls all go through `around(name, call)`."""

    def method(name: str) -> Callable[..., Any]:
        def call(_: object, *args: Any, **kwargs: Any) -> Any:
            return around(name, partial(getattr(store, name), *args, **kwargs))

        return call

    names = [name for name in dir(store) if not name.startswith("_")]
    proxy: Any = type("Proxy", (), {name: method(name) for name in names})()
    return proxy  # type: ignore[no-any-return] # it has the store's methods
