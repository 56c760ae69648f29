"""A mixin for objects that hold a secret: they are neither printed nor pickled."""

from __future__ import annotations

from typing import NoReturn


class Redacted:
    """Mixin of classes that hold a key, a token or a hash.

    `repr`, `str` and `format` give the type alone and pickling is refused, so that
    the secret gets into no log, traceback, cache or task queue.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled: always raises `TypeError`."""
        raise TypeError(f"{type(self).__name__} holds a secret and cannot be pickled")
