"""Password hashes: made with argon2id, verified in three schemes, upgraded over time.

Passwords are hashed exactly as received: not normalised, not truncated.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from werkzeug.security import check_password_hash

from ..errors import OverloadedError, PasswordRefusedError
from ..events import LOGGER
from .hash_schemes import Argon2Cost, is_supported, is_werkzeug, needs_upgrade

if TYPE_CHECKING:
    import argon2

Verifier: TypeAlias = Callable[[str, str], bool | None]
"""Of the application, for hashes of another system: takes a stored hash and a password,
and returns whether they belong together, or None where the hash is not one of them."""


class PasswordHasher:
    """Makes and verifies password hashes.

    Args:
        cost: What a new hash costs; defaults to OWASP's recommendation.
        verifier: Is asked first about a stored hash.
    """

    def __init__(
        self, cost: Argon2Cost | None = None, verifier: Verifier | None = None
    ) -> None:
        self._cost = cost or Argon2Cost()
        self._verifier = verifier
        self.dummy = _dummy_hash(self._cost)

    def hash(self, password: str) -> str:
        """Return the argon2id hash to store for a password.

        Raises:
            PasswordRefusedError: it holds a lone surrogate.
            OverloadedError: there is not enough memory.
        """
        if not _is_text(password):
            raise PasswordRefusedError("not_text", "The password has a lone surrogate.")
        with _computing():
            return self._argon2.hash(password)

    def verify(self, stored: object, password: str) -> bool | None:
        """Return whether a password has a stored hash.

        The work is the same where there is no hash, or one that cannot be read: the
        dummy is verified, which no password has.

        Args:
            stored: What a store holds.
            password: The password as received.

        Returns:
            None when there is no hash that can be read.

        Raises:
            OverloadedError: there is not enough memory.
        """
        if not _is_text(password):  # no hash is: this says nothing of the account
            return False
        compared = stored if isinstance(stored, str) and stored else self.dummy
        if self._verifier is not None:
            verdict = self._verifier(compared, password)
            if verdict is not None:
                return verdict
        if not is_supported(compared):
            compared = self.dummy
        matches = verify_password(compared, password)
        return None if compared is self.dummy else matches

    def needs_upgrade(self, stored: str) -> bool:
        """Return whether a stored hash is weaker than a new one would be."""
        return needs_upgrade(stored, self._cost)

    @functools.cached_property
    def _argon2(self) -> argon2.PasswordHasher:
        # Imported when used: a service that only verifies tokens never needs it.
        import argon2

        return argon2.PasswordHasher(
            time_cost=self._cost.time,
            memory_cost=self._cost.memory,
            parallelism=self._cost.parallelism,
            type=argon2.Type.ID,
        )


def hash_password(password: str, cost: Argon2Cost | None = None) -> str:
    """Return the argon2id hash to store for a password.

    Args:
        password: The password, used exactly as given.
        cost: What computing it costs; defaults to OWASP's recommendation.

    Raises:
        PasswordRefusedError: it holds a lone surrogate, which no client could send.
        OverloadedError: there is not enough memory.

    Example:
        >>> hash_password("correct horse battery")[:30]
        '$argon2id$v=19$m=19456,t=2,p=1'
    """
    return PasswordHasher(cost).hash(password)


def verify_password(stored: str, password: str) -> bool:
    """Return whether a password has a hash of a supported scheme (`is_supported`).

    Raises:
        OverloadedError: there is not enough memory to tell.
    """
    import argon2

    with _computing():
        if is_werkzeug(stored):
            return check_password_hash(stored, password)
        try:
            return argon2.PasswordHasher().verify(stored, password)
        except argon2.exceptions.VerifyMismatchError:
            return False


@contextmanager
def _computing() -> Generator[None]:
    """Turn what stops a computation into `OverloadedError`: the password may be right.

    A hash that is supported is computed to its end, unless memory is short; argon2-cffi
    and OpenSSL have errors of their own for that.
    """
    from argon2.exceptions import Argon2Error

    try:
        yield
    except (MemoryError, ValueError, Argon2Error) as error:
        LOGGER.error(  # its type alone: no word of what was hashed
            "A password hash could not be computed (%s): is there enough memory?",
            type(error).__name__,
        )
        raise OverloadedError from None


def _dummy_hash(cost: Argon2Cost) -> str:
    """Return a well-formed hash that no known password has: all zeros."""
    parameters = f"m={cost.memory},t={cost.time},p={cost.parallelism}"
    return f"$argon2id$v=19${parameters}${'A' * 22}${'A' * 43}"


def _is_text(password: str) -> bool:
    """Return whether a password can be encoded: it has no lone surrogate."""
    return re.search("[\ud800-\udfff]", password) is None
