"""Limits on password attempts, counted before a hash is computed.

With `counters` the only room that knows the limits library. Three budgets, all of the
same size:

- of an account, shared by all networks that have not logged in to it before;
- of a network, for the accounts that it has not logged in to before;
- of a network for an account that it has logged in to: nobody else can use it up, so
  a stranger's guesses never lock the owner out.

Only attempts that are made count: one that is refused, or put off, or that succeeds,
takes nothing from any budget.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final, NamedTuple, TypeAlias

from limits import RateLimitItem, RateLimitItemPerDay, parse_many
from limits.errors import StorageError
from limits.storage import Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from ..errors import ConfigurationError, StoreUnavailableError, TooManyAttemptsError
from ..tokens.redact import Redacted
from .counters import MemoryCounters

Budget: TypeAlias = tuple[RateLimitItem, str]

# Accounts (and networks) share this many budgets: a flood of random names, which are
# counted like others, cannot fill the storage. In memory few, in a shared one many.
_FEW_BUDGETS: Final = 1 << 14
_MANY_BUDGETS: Final = 1 << 18

# A network is remembered as an account's own for one to two of these after a login.
_PERIOD_DAYS: Final = 45
_KNOWN: Final = RateLimitItemPerDay(1, 2 * _PERIOD_DAYS)

_TIMEOUTS: Final = {"socket_connect_timeout": 2, "socket_timeout": 2}
_LONGEST_WINDOW: Final = 366 * 86400


class Attempt(NamedTuple):
    """An attempt on a password, and the budgets that it is counted in.

    Attributes:
        account: The folded username, whether or not anybody has it.
        network: The client's network (see `network_of`).
        is_known: Whether the network has logged in to the account before.
        budgets: Where it is counted.
    """

    account: str
    network: str
    is_known: bool
    budgets: tuple[Budget, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Whom it is made for: the owner, or else a network and an account."""
        return tuple({key: None for _, key in self.budgets})


class LoginThrottle(Redacted):
    """Counts attempts on passwords.

    Args:
        limits: The budgets, in the notation of the limits library.
        url: Where they are counted: `memory://` or `redis://...`.
        secret: Keeps it secret which names and networks share a budget.
        realm: The application; applications that count in one place do so apart.
        now: Seconds since the epoch, for counts in memory.

    Attributes:
        in_memory: Whether this process alone sees the counts.

    Raises:
        ConfigurationError: the notation or the URL cannot be read.
    """

    def __init__(
        self,
        limits: str,
        url: str,
        *,
        secret: bytes,
        realm: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.now = now
        self._limits = parse_limits(limits)
        self._secret = secret
        self._realm = realm
        self.in_memory = url.startswith("memory:")
        self._buckets = _FEW_BUDGETS if self.in_memory else _MANY_BUDGETS
        self._storage = (
            MemoryCounters(self._read_clock) if self.in_memory else _open_storage(url)
        )
        self._counter = FixedWindowRateLimiter(self._storage)
        # In memory apart, where a flood of one would push out the other.
        known = MemoryCounters(self._read_clock) if self.in_memory else self._storage
        self._known = FixedWindowRateLimiter(known)

    def reserve(self, account: str, address: str | None) -> Attempt:
        """Count an attempt before it is made; of parallel ones each counts.

        Args:
            account: The folded username, whether or not anybody has it.
            address: The client's network address.

        Raises:
            TooManyAttemptsError: a budget is used up; the error says for how long.
            StoreUnavailableError: the storage cannot answer.
        """
        with _failing_closed():
            attempt = self._attempt(account, network_of(address))
            for taken, budget in enumerate(attempt.budgets, start=1):
                if not self._counter.hit(*budget):
                    seconds = self._seconds_left(budget)
                    self._give_back(attempt.budgets[:taken])
                    raise TooManyAttemptsError(seconds)
        return attempt

    def check(self) -> None:
        """Return if the storage answers.

        Raises:
            StoreUnavailableError: the storage cannot answer.
        """
        with _failing_closed():
            self._storage.get("tokenauth/check")

    def cancel(self, attempt: Attempt) -> None:
        """Take back an attempt that was not made after all.

        Raises:
            StoreUnavailableError: the storage cannot answer.
        """
        with _failing_closed():
            self._give_back(attempt.budgets)

    def record_success(self, attempt: Attempt) -> None:
        """Take back an attempt that succeeded, and note that the network may.

        What the network failed at this account before is forgotten; what it failed
        elsewhere, or others here, is not: an own account would reset the count.

        Raises:
            StoreUnavailableError: the storage cannot answer.
        """
        with _failing_closed():
            if attempt.is_known:
                for item, key in attempt.budgets:
                    self._counter.clear(item, key)
            else:
                self._give_back(attempt.budgets)
            pair = self._pair(attempt.account, attempt.network)
            for period in (self._period(), self._period() + 1):
                self._known.hit(_KNOWN, pair, str(period))

    def _attempt(self, account: str, network: str) -> Attempt:
        pair = self._pair(account, network)
        is_known = not self._known.test(_KNOWN, pair, str(self._period()))
        keys = [self._bucket("network", network), self._bucket("account", account)]
        if is_known:
            keys = [f"{pair}/failed"]
        budgets = tuple((item, key) for key in keys for item in self._limits)
        return Attempt(account, network, is_known, budgets)

    def _give_back(self, budgets: Iterable[Budget]) -> None:
        for item, key in budgets:
            left = self._storage.incr(item.key_for(key), item.get_expiry(), -1)
            if left < 0:  # the window ended meanwhile: this is the next one
                self._counter.clear(item, key)

    def _read_clock(self) -> float:
        return self.now()  # `now` may be replaced

    def _seconds_left(self, budget: Budget) -> int:
        # Each storage tells the end of a window by its own clock.
        now = self.now() if self.in_memory else time.time()
        item, key = budget
        return math.ceil(self._storage.get_expiry(item.key_for(key)) - now)

    def _period(self) -> int:
        return int(self.now() // (_PERIOD_DAYS * 86400))

    def _pair(self, account: str, network: str) -> str:
        digest = _digest(self._realm, account, network)
        return f"tokenauth/{digest.hex()}"

    def _bucket(self, kind: str, name: str) -> str:
        digest = hmac.digest(self._secret, _digest(self._realm, kind, name), "sha256")
        bucket = int.from_bytes(digest[:8]) % self._buckets
        space = _digest(self._realm).hex()[:16]
        return f"tokenauth/{space}/{kind}/{bucket}"


def parse_limits(notation: str) -> list[RateLimitItem]:
    """Return the limits that a text describes, the shortest window first.

    Args:
        notation: For example `"30 per minute; 100 per day"`.

    Raises:
        ConfigurationError: it cannot be read, or allows nothing.
    """
    try:
        limits = parse_many(notation)
    except ValueError:
        limits = []
    windows = [item.get_expiry() for item in limits if item.amount > 0]
    if not windows or len(windows) < len(limits) or max(windows) > _LONGEST_WINDOW:
        raise ConfigurationError(
            "TOKENAUTH_LOGIN_LIMITS must be in the notation of the limits library, for "
            "example '30 per minute; 100 per day': at least 1, per a year at most."
        )
    return sorted(limits, key=lambda item: item.get_expiry())


def network_of(address: str | None) -> str:
    """Return the network that an address belongs to, for counting.

    An IPv6 host owns its /64; an IPv4 address mapped into IPv6 is the IPv4 address. A
    client without an address (a Unix socket) is of one network with all the others:
    behind a proxy, Werkzeug's `ProxyFix` tells them apart.
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


def _open_storage(url: str) -> Storage:
    if url.startswith("redis") and find_spec("redis") is None:
        raise ConfigurationError(
            "Redis needs its driver: pip install 'flask-login-tokenauth[redis]'."
        )
    options = _TIMEOUTS if url.startswith(("redis", "valkey")) else {}
    try:
        storage = storage_from_string(url, wrap_exceptions=True, **options)
        if isinstance(storage, Storage):
            return storage
        reason = "it is asynchronous"
    except Exception as error:  # noqa: BLE001 # each driver raises its own
        reason = type(error).__name__
    raise ConfigurationError(
        f"TOKENAUTH_LIMITS_URL names no store that attempts can be counted in: {reason}"
        ". Use 'memory://' or 'redis://...'."
    )


@contextmanager
def _failing_closed() -> Generator[None]:
    try:
        yield
    except StorageError:
        raise StoreUnavailableError from None


def _digest(*parts: str) -> bytes:
    """Return a digest of fixed length: names are of any length, and private."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode(errors="surrogatepass")
        digest.update(len(raw).to_bytes(8) + raw)
    return digest.digest()
