"""Objects that hold a secret: nothing about them can be printed or pickled."""

from __future__ import annotations

from typing import NoReturn


class Redacted:
    """Mixin of whatever holds a key, a token or a hash.

    `repr`, `str` and `format` give the type alone, and pickling is refused, so
    that no log line, traceback, cache or task queue can carry the secret away.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{type(self).__name__} holds a secret and cannot be pickled")
