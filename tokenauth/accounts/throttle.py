"""Limits on password attempts, counted before a hash is computed.

Failures are counted for

- an account, from all networks that have not logged in to it before;
- a network, at all accounts that it has not logged in to before;
- a network at an account that it has logged in to: nobody outside of it can use this
  limit up, so a stranger's guesses do not lock the owner out there.

Successes are limited as well, far above what a person needs: else somebody could keep
the processors busy with a password that is right. What is refused, or not tried after
all, is neither. Where a password is changed, attempts are counted apart. So is what a
user does without a password (ASVS 2.4.1).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, NamedTuple

from ..tokens.redact import Redacted
from .counters import (
    Counters,
    Limited,
    MemoryCounters,
    RedisCounters,
    parse_limits,
    times,
)
from .networks import network_of, wider_network_of

# Successes may be so many times the limit with the shortest window: by default 300 a
# minute of an account and 1200 of a network, which may be that of a whole university.
_SUCCESSES_OF_ACCOUNT: Final = 10
_SUCCESSES_OF_NETWORK: Final = 40

# The same for what needs a token: 300 a minute. A service asks about each token that it
# gets: 6000 a minute.
_USES: Final = {"refresh": 10, "tokens": 10, "introspect": 200}

# Names that no user has, and networks, share this many counts: a flood of random ones
# cannot fill the storage. In memory few, in a shared one many.
_FEW_BUCKETS: Final = 1 << 14
_MANY_BUCKETS: Final = 1 << 18

MAX_KNOWN_NETWORKS: Final = 100
"""Networks that are recognised for one account; a new one takes a random place."""

_KNOWN_SECONDS: Final = 90 * 86400


class Attempt(NamedTuple):
    """An attempt on a password, and where it is counted.

    Attributes:
        name: The folded username, or as it was sent if nobody can have it.
        place: Where the client's network is remembered for the account.
        mark: What is remembered there for this network.
        is_known: Whether the account has logged in from the network before.
        failures: Where it counts unless it succeeds.
        successes: Where it counts if it succeeds.
        keys: Account, network and wider network, for `HashingPool`.
    """

    name: str
    place: str
    mark: int
    is_known: bool
    failures: tuple[Limited, ...]
    successes: tuple[Limited, ...]
    keys: tuple[str, ...]


class LoginThrottle(Redacted):
    """Counts attempts on passwords.

    Each method raises `StoreUnavailableError` when the storage cannot answer.

    Args:
        limits: The limits, in the notation of the limits library.
        client: A client of the Redis where attempts are counted; None: in memory.
        secret: Keeps secret which names and networks share a count.
        realm: The application; applications that use one storage count apart.
        now: Seconds since the epoch.

    Attributes:
        in_memory: Whether this process alone sees the counts.
    """

    def __init__(
        self,
        limits: str,
        client: Any = None,
        *,
        secret: bytes,
        realm: str,
        now: Callable[[], float],
    ) -> None:
        self._limits = parse_limits(limits)
        self._secret = secret
        self._realm = realm
        self.in_memory = client is None
        self._buckets = _FEW_BUCKETS if self.in_memory else _MANY_BUCKETS
        self._storage = MemoryCounters(now) if client is None else RedisCounters(client)
        self._counters = Counters(self._storage, now)
        # In memory apart, where a flood of one would push out the other.
        self._known = MemoryCounters(now) if self.in_memory else self._storage

    def reserve(
        self,
        name: str,
        address: str | None,
        *,
        user_id: str | None = None,
        purpose: Literal["login", "change"] = "login",
        admit: Callable[[Attempt], None] = lambda _: None,
    ) -> Attempt:
        """Count an attempt before it is made.

        Args:
            name: The folded username, whether or not anybody has it.
            address: The client's network address.
            user_id: The user who was found, so that all spellings that a store takes
                for one name are counted together.
            purpose: What the password is checked for.
            admit: Raises an error if the attempt could not be made now. It is asked
                first, so that what is refused anyway costs no more than that.

        Raises:
            TooManyAttemptsError: a limit is reached.
        """
        account = ("name", name) if user_id is None else ("user", user_id)
        attempt = self._attempt(purpose, name, account, network_of(address))
        admit(attempt)
        for item, key in attempt.successes:
            if not self._counters.test(item, key):
                raise self._counters.refusal(item, key)
        self._counters.reserve(attempt.failures)
        return attempt

    def count_use(self, what: str, user_id: str) -> None:
        """Count a use of an endpoint by a user, or raise `TooManyAttemptsError`."""
        use = times(self._limits[0], _USES[what]), self._key("use", what, user_id)
        self._counters.reserve((use,))

    def cancel(self, attempt: Attempt) -> None:
        """Take back an attempt that was not made after all."""
        self._counters.give_back(attempt.failures)

    def record_success(self, attempt: Attempt) -> None:
        """Count an attempt as a success, and remember the network for the account.

        The failures of this network at this account are forgotten; those elsewhere, or
        of others here, are not: an account of one's own would reset them.
        """
        if attempt.is_known:
            self._clear(attempt.failures)
        else:
            self._counters.give_back(attempt.failures)
        for item, key in attempt.successes:
            self._counters.hit(item, key)
        self._remember(attempt.place, attempt.mark)

    def record_trusted(self, user_id: str, address: str | None) -> None:
        """Forget an account's failed logins and remember the network for it.

        For a user whom something better than a guess has identified, as a mailed link
        does: else strangers' guesses would keep the owner out of every new network.
        """
        account, network = ("user", user_id), network_of(address)
        keys = [self._key("login", *e) for e in (account, ("pair", *account, network))]
        self._clear((item, key) for item in self._limits for key in keys)
        self._remember(*self._place(account, network))

    def check(self) -> None:
        """Return if the storage answers."""
        self._storage.check()

    def _attempt(
        self, purpose: str, name: str, account: tuple[str, str], network: str
    ) -> Attempt:
        # Users are as many as the store has; made-up names have no end.
        make = self._key if account[0] == "user" else self._bucket
        account_key = make(purpose, *account)
        network_key = self._bucket(purpose, "network", network)
        place, mark = self._place(account, network)
        is_known = self._known.get(place) == mark
        failed = [network_key, account_key]
        if is_known:
            failed = [self._key(purpose, "pair", *account, network)]
        # Apart for owners: a stranger's guess at their name is not in their way.
        whose = "owner" if is_known else "stranger"
        keys = (account_key, network, f"around {wider_network_of(network)}")
        shortest = self._limits[0]
        return Attempt(
            name=name,
            place=place,
            mark=mark,
            is_known=is_known,
            failures=tuple((item, key) for key in failed for item in self._limits),
            successes=(
                (times(shortest, _SUCCESSES_OF_ACCOUNT), f"{account_key}/good"),
                (times(shortest, _SUCCESSES_OF_NETWORK), f"{network_key}/good"),
            ),
            keys=tuple(f"{whose} {key}" for key in keys),
        )

    def _clear(self, limited: Iterable[Limited]) -> None:
        for item, key in limited:
            self._counters.clear(item, key)

    def _remember(self, place: str, mark: int) -> None:
        """Remember that an account has logged in from a network.

        A count serves as the memory: one of a hundred for each account, whose value
        tells which network it is for.
        """
        for _ in range(9):  # again if another login of the account came in between
            if self._known.incr(place, _KNOWN_SECONDS, mark) == mark:
                return
            self._known.clear(place)

    def _place(self, account: tuple[str, str], network: str) -> tuple[str, int]:
        digest = self._digest("known", *account, network)
        place = int.from_bytes(digest[:8]) % MAX_KNOWN_NETWORKS
        mark = int.from_bytes(digest[8:14]) + 1
        return self._key("known", *account, str(place)), mark

    def _bucket(self, purpose: str, kind: str, name: str) -> str:
        digest = self._digest(purpose, kind, name)
        bucket = int.from_bytes(digest[:8]) % self._buckets
        return self._key(purpose, kind, "bucket", str(bucket))

    def _key(self, *parts: str) -> str:
        return self._digest(*parts).hex()[:32]

    def _digest(self, *parts: str) -> bytes:
        """Return a digest of names that nobody can compute without the secret."""
        text = json.dumps([self._realm, *parts])
        return hmac.digest(self._secret, text.encode(), "sha256")
