"""Limits on password attempts, counted before a hash is computed.

The only room that knows the limits library. Three budgets of the same size:

- of an account, shared by all networks that have not logged in to it before;
- of a network, for the accounts that it has not logged in to before;
- of a network for an account that it has logged in to: nobody else can use it up, so
  a stranger's guesses never lock the owner out.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import time
from typing import Final

from limits import RateLimitItem, RateLimitItemPerDay, parse_many
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from .errors import ConfigurationError, StoreUnavailableError, TooManyAttemptsError

_ACCOUNT: Final = "account"
_NETWORK: Final = "network"
_OWNER: Final = "owner"

# Names that nobody has are counted like others, and there are any number of them. In
# memory they share this many budgets, so a flood of names cannot fill the memory.
_MEMORY_BUCKETS: Final = 1 << 16

# For how long a network is remembered as one of an account's own.
_ACQUAINTANCE: Final = RateLimitItemPerDay(1, 90, namespace="tokenauth-known")


class Throttle:
    """Counts attempts on passwords.

    Args:
        limits: The budgets, in the notation of the limits library.
        url: Where they are counted: `memory://` or `redis://...`.

    Raises:
        ConfigurationError: the notation or the URL cannot be read.
    """

    def __init__(self, limits: str, url: str) -> None:
        self._limits = parse_limits(limits)
        self._buckets = _MEMORY_BUCKETS if url.startswith("memory:") else None
        try:
            storage = storage_from_string(url, wrap_exceptions=True)
        except Exception as error:  # noqa: BLE001 # each driver raises its own
            raise ConfigurationError(
                "TOKENAUTH_LIMITS_URL names no store that attempts can be counted in: "
                f"{type(error).__name__}. Use 'memory://' or 'redis://...' (with "
                "pip install 'flask-login-tokenauth[redis]')."
            ) from None
        self._counter = FixedWindowRateLimiter(storage)

    def reserve(self, account: str, network: str) -> None:
        """Count an attempt, before it is made; of parallel ones each counts.

        Args:
            account: The folded username, whether or not anybody has it.
            network: The client's network (see `network_of`).

        Raises:
            TooManyAttemptsError: a budget is used up; the error says how long.
            StoreUnavailableError: nobody can count.
        """
        try:
            for item, key in self._budgets(account, network):
                if not self._counter.hit(item, *key):
                    reset = self._counter.get_window_stats(item, *key).reset_time
                    raise TooManyAttemptsError(math.ceil(reset - time.time()))
        except StorageError:
            raise StoreUnavailableError from None

    def release(self, account: str, network: str) -> None:
        """Take an attempt back that was no guess: it succeeded, or was not made."""
        try:
            for item, key in self._budgets(account, network):
                self._counter.hit(item, *key, cost=-1)
        except StorageError:
            raise StoreUnavailableError from None

    def welcome(self, account: str, network: str) -> None:
        """Note that a network has logged in to an account, and forget its failures."""
        self.release(account, network)
        pair = self._key(_OWNER, account, network)
        try:
            for item in self._limits:
                self._counter.clear(item, *pair)
            known = _digest(account, network)
            self._counter.clear(_ACQUAINTANCE, known)
            self._counter.hit(_ACQUAINTANCE, known)
        except StorageError:
            raise StoreUnavailableError from None

    def _budgets(
        self, account: str, network: str
    ) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
        """Return the budgets that an attempt takes from, the network's first."""
        if self._counter.test(_ACQUAINTANCE, _digest(account, network)):
            keys = [self._key(_NETWORK, network), self._key(_ACCOUNT, account)]
        else:
            keys = [self._key(_OWNER, account, network)]
        return [(item, key) for key in keys for item in self._limits]

    def _key(self, budget: str, *parts: str) -> tuple[str, str]:
        digest = _digest(*parts)
        if self._buckets is not None:
            digest = str(int(digest, 16) % self._buckets)
        return (f"tokenauth-{budget}", digest)


def parse_limits(notation: str) -> list[RateLimitItem]:
    """Return the budgets that a text describes, for example `"10 per minute"`.

    Raises:
        ConfigurationError: it cannot be read, or allows nothing.
    """
    try:
        limits = parse_many(notation)
    except ValueError:
        limits = []
    if not limits or any(item.amount < 1 for item in limits):
        raise ConfigurationError(
            "TOKENAUTH_LOGIN_LIMITS must be in the notation of the limits library, for "
            "example '30 per minute; 100 per day'."
        )
    return limits


def network_of(address: str | None) -> str:
    """Return the network that an address belongs to, for counting.

    An IPv6 host owns its /64; an IPv4 address mapped into IPv6 is the IPv4 address. A
    client without an address (a Unix socket) is of one network with all the others.
    """
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


def _digest(*parts: str) -> str:
    """Return a key of fixed length: names are of any length, and private."""
    joined = "\0".join(parts).encode(errors="surrogatepass")
    return hashlib.blake2b(joined, digest_size=16).hexdigest()
