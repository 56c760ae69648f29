"""Which stored hashes are supported, and what computing them may cost.

Supported are argon2 and Werkzeug's scrypt and pbkdf2.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec


class Argon2Cost(msgspec.Struct, frozen=True):
    """The parameters of argon2id.

    Args:
        memory: KiB of memory that are filled.
        time: Passes over that memory.
        parallelism: Lanes.
    """

    memory: int = 19456
    time: int = 2
    parallelism: int = 1

    @property
    def work(self) -> int:
        """KiB that are filled in all passes together."""
        return self.memory * self.time


# OWASP Password Storage Cheat Sheet: the least memory, and passes over it.
_OWASP_FLOOR: Final = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))

# The most that a stored hash may ask for: a hash is data, and 4 GiB would run for
# seconds. Far above any setting in use.
MAX_COST: Final = Argon2Cost(memory=1 << 18, time=64, parallelism=64)
MAX_WORK: Final = 1 << 20
_MAX_PBKDF2_ITERATIONS: Final = 4_000_000

# Hashes that match are computed to the end. One that its scheme refuses half-way would
# take less time than others, and so tell that the account exists.
_CHAR = "[A-Za-z0-9+/]"
_BASE64 = rf"(?:{_CHAR}{{4}})*(?:{_CHAR}[AQgw]|{_CHAR}{{2}}[AEIMQUYcgkosw048])?"
_ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)(?:\$v=(?:16|19))?"
    r"\$m=([1-9]\d{0,8}),t=([1-9]\d{0,8}),p=([1-9]\d{0,8})"
    rf"\$(?=[^$]{{11}}){_BASE64}\$(?=.{{6}}){_BASE64}",  # 8 and 4 bytes
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
    """Return whether a cost reaches OWASP's floor in at least one of its settings."""
    return any(
        cost.memory >= memory and cost.time >= time for memory, time in _OWASP_FLOOR
    )


def is_bearable(cost: Argon2Cost) -> bool:
    """Return whether a cost can be computed and is not too much to ask for."""
    return (
        8 * cost.parallelism <= cost.memory <= MAX_COST.memory
        and 1 <= cost.time <= MAX_COST.time
        and 1 <= cost.parallelism <= MAX_COST.parallelism
        and cost.work <= MAX_WORK
    )


def is_supported(stored: object) -> bool:
    """Return whether a stored hash is of a known scheme and has a bearable cost."""
    return isinstance(stored, str) and (
        _argon2_cost(stored) is not None or is_werkzeug(stored)
    )


def needs_upgrade(stored: str, cost: Argon2Cost) -> bool:
    """Return whether a stored hash is weaker than a new one of a cost would be."""
    if not stored.startswith("$argon2id$v=19$"):
        return True
    stored_cost = _argon2_cost(stored)
    return stored_cost is not None and stored_cost.work < cost.work


def _argon2_cost(stored: str) -> Argon2Cost | None:
    """Return the cost of a stored argon2 hash; None when it is not supported."""
    match = _ARGON2.fullmatch(stored)
    if match is None:
        return None
    cost = Argon2Cost(*(int(group) for group in match.groups()))
    return cost if is_bearable(cost) else None


def is_werkzeug(stored: str) -> bool:
    """Return whether a stored hash is one of Werkzeug's, with a bearable cost."""
    if match := _PBKDF2.fullmatch(stored):
        return int(match[1] or 1) <= _MAX_PBKDF2_ITERATIONS
    if match := _SCRYPT.fullmatch(stored):
        return match[1] is None or _is_scrypt(*(int(group) for group in match.groups()))
    return False


def _is_scrypt(n: int, r: int, p: int) -> bool:
    """Return whether parameters are scrypt's (RFC 7914 section 6) and bearable.

    Below 128 Werkzeug grants less memory than OpenSSL asks for.
    """
    block = 128 * r
    return (
        n.bit_count() == 1
        and 128 <= n < 1 << (block // 8)
        and block * n <= MAX_COST.memory * 1024
        and block * n * p <= MAX_WORK * 1024
    )
