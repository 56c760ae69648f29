"""Password hashes: made with argon2id, verified in three schemes, upgraded over time.

The only room that knows argon2 and Werkzeug's hashes. Passwords are hashed exactly as
received: not normalised, not truncated.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from typing import TYPE_CHECKING, Final

import msgspec
from werkzeug.security import check_password_hash

from ..errors import InvalidCredentialsError, PasswordRefusedError

if TYPE_CHECKING:
    import argon2


class Argon2Cost(msgspec.Struct, frozen=True):
    """What one argon2id computation costs.

    Args:
        memory: KiB that it fills.
        time: Passes over that memory.
        parallelism: Lanes.
    """

    memory: int = 19456
    time: int = 2
    parallelism: int = 1

    @property
    def work(self) -> int:
        """KiB filled in all passes together."""
        return self.memory * self.time


# OWASP Password Storage Cheat Sheet: settings of equal strength, weakest accepted.
OWASP_FLOOR: Final = (
    Argon2Cost(47104, 1),
    Argon2Cost(19456, 2),
    Argon2Cost(12288, 3),
    Argon2Cost(9216, 4),
    Argon2Cost(7168, 5),
)

# What a stored hash may ask for at most: a hash is data, and 4 GiB would run for
# seconds. Far above any setting in use.
MAX_COST: Final = Argon2Cost(memory=1 << 18, time=64, parallelism=64)
MAX_WORK: Final = 1 << 20
_MAX_PBKDF2_ITERATIONS: Final = 4_000_000

# What passes here is computed to its end. A hash that its scheme refuses half-way would
# take less time than others, and so tell that the account exists.
_ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)(?:\$v=(?:16|19))?"
    r"\$m=([1-9]\d{0,8}),t=([1-9]\d{0,8}),p=([1-9]\d{0,8})"
    r"\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)",
    re.ASCII,
)
_WERKZEUG_TAIL = r"\$[!-#%-~]+\$[0-9a-f]+"
_SCRYPT = re.compile(
    rf"scrypt(?::([1-9]\d{{0,8}}):([1-9]\d{{0,8}}):([1-9]\d{{0,8}}))?{_WERKZEUG_TAIL}",
    re.ASCII,
)
_PBKDF2 = re.compile(
    rf"pbkdf2:(?:sha1|sha224|sha256|sha384|sha512)(?::([1-9]\d{{0,8}}))?{_WERKZEUG_TAIL}",
    re.ASCII,
)


def is_strong_enough(cost: Argon2Cost) -> bool:
    """Whether a cost reaches OWASP's floor in at least one of its settings."""
    return cost.parallelism >= 1 and any(
        cost.memory >= floor.memory and cost.time >= floor.time for floor in OWASP_FLOOR
    )


def is_bearable(cost: Argon2Cost) -> bool:
    """Whether a cost is one that can be computed, and not too much to ask for."""
    return (
        8 * cost.parallelism <= cost.memory <= MAX_COST.memory
        and 1 <= cost.time <= MAX_COST.time
        and 1 <= cost.parallelism <= MAX_COST.parallelism
        and cost.work <= MAX_WORK
    )


def hash_password(password: str, cost: Argon2Cost | None = None) -> str:
    """Return the argon2id hash to store for a password.

    Args:
        password: The password, used exactly as given.
        cost: What computing it may cost; the default is OWASP's recommendation.

    Raises:
        PasswordRefusedError: it holds a lone surrogate, so no client could send it.
    """
    return _argon2(cost or Argon2Cost()).hash(_encode(password))


def is_supported(stored: object) -> bool:
    """Whether a stored hash is of a known scheme and asks for a bearable cost.

    Args:
        stored: What a store holds; that it is text at all is the store's promise.
    """
    return isinstance(stored, str) and (
        _argon2_cost(stored) is not None or _is_werkzeug(stored)
    )


def needs_upgrade(stored: str, cost: Argon2Cost) -> bool:
    """Whether a stored hash is weaker than what would be stored today."""
    if not stored.startswith("$argon2id$v=19$"):
        return True
    stored_cost = _argon2_cost(stored)
    return stored_cost is not None and stored_cost.work < cost.work


def dummy_hash(cost: Argon2Cost) -> str:
    """Return a well-formed hash that no password has.

    Verifying against it costs what verifying a real one costs, so an unknown account
    takes the same work as a known one.
    """
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()
        for size in (16, 32)
    )
    return (
        f"$argon2id$v=19$m={cost.memory},t={cost.time},p={cost.parallelism}"
        f"${salt}${digest}"
    )


def verify_password(stored: str, password: str) -> None:
    """Return if a password has this hash.

    Args:
        stored: A supported hash (see `is_supported`).
        password: The password as received.

    Raises:
        InvalidCredentialsError: it has not.
    """
    if _is_werkzeug(stored):
        matches = check_password_hash(stored, password)
    else:
        matches = _verify_argon2(stored, password)
    if not matches:
        raise InvalidCredentialsError


def _verify_argon2(stored: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return _argon2(Argon2Cost()).verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _argon2(cost: Argon2Cost) -> argon2.PasswordHasher:
    # Imported when used: a service that only verifies tokens never pays for it.
    import argon2

    return argon2.PasswordHasher(
        time_cost=cost.time,
        memory_cost=cost.memory,
        parallelism=cost.parallelism,
        type=argon2.Type.ID,
    )


def _argon2_cost(stored: str) -> Argon2Cost | None:
    """Return what a stored argon2 hash asks for, or None when it is none we compute."""
    match = _ARGON2.fullmatch(stored)
    if match is None or not (_is_base64(match[4], 8) and _is_base64(match[5], 4)):
        return None
    cost = Argon2Cost(*(int(group) for group in match.groups()[:3]))
    return cost if is_bearable(cost) else None


def _is_base64(text: str, min_size: int) -> bool:
    """Whether a text is what encoding at least so many bytes gives, unpadded."""
    try:
        raw = base64.b64decode(text + "==")  # what is too much is not looked at
    except binascii.Error:
        return False
    return len(raw) >= min_size and base64.b64encode(raw).decode().rstrip("=") == text


def _is_werkzeug(stored: str) -> bool:
    if match := _PBKDF2.fullmatch(stored):
        return int(match[1] or 1) <= _MAX_PBKDF2_ITERATIONS
    if match := _SCRYPT.fullmatch(stored):
        return match[1] is None or _is_scrypt(*(int(group) for group in match.groups()))
    return False


def _is_scrypt(n: int, r: int, p: int) -> bool:
    """Whether these parameters are scrypt's (RFC 7914 section 6), and bearable.

    Below 128 Werkzeug grants less memory than OpenSSL asks for.
    """
    block = 128 * r
    return (
        n.bit_count() == 1
        and 128 <= n < 1 << (block // 8)
        and block * n <= MAX_COST.memory * 1024
        and block * n * p <= MAX_WORK * 1024
    )


def _encode(password: str) -> bytes:
    """Return the UTF-8 of a password, or refuse it without quoting it."""
    try:
        return password.encode()
    except UnicodeEncodeError:
        pass
    raise PasswordRefusedError("not_text", "The password holds a lone surrogate.")
