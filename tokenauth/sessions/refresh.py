"""Rules of a refresh: one use of a token wins, a retry is answered, a theft ends it."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from .. import events
from ..accounts.networks import network_of
from ..errors import InvalidGrantError, TokenError, TokenRevokedError
from ..tokens.claims import RefreshClaims
from ..tokens.scopes import grant
from ..tokens.signing import REFRESH
from .issuer import TokenPair
from .session import LOGIN, Session
from .verifier import SessionRules

_MOST_SESSIONS: Final = 10_000


class GraceNetworks:
    """Notices a retry from another network, which may be a thief's.

    It knows the refreshes of its own process only, and of those the latest.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def note(self, session: Session, network: str) -> None:
        """Remember the network of a rotation."""
        with self._lock:
            _, retries = self._seen.pop(session.id, ("", 0))
            self._seen[session.id] = network, retries
            if len(self._seen) > _MOST_SESSIONS:
                self._seen.popitem(last=False)

    def retries(self, session: Session, network: str) -> int:
        """Return how many came from another network, this one included, or 0."""
        with self._lock:
            first, retries = self._seen.get(session.id, (network, 0))
            if network == first:
                return 0
            self._seen[session.id] = first, retries + 1
        return retries + 1


class RefreshRules(SessionRules, frozen=True):
    """Refreshes sessions."""

    networks: GraceNetworks = msgspec.field(default_factory=GraceNetworks)

    def refresh(
        self,
        token: str,
        *,
        admit: Callable[[str], object],
        scope: str | None = None,
        address: str | None = None,
    ) -> TokenPair:
        """Exchange a refresh token for the next pair; the old one stops working.

        Of any number of uses of one token, one rotates it. A retry within the grace
        gets the same successor, since signing the same row gives the same token; any
        later use is a theft and ends the session (RFC 9700 section 4.14). `scope`
        narrows the new access token alone (RFC 6749 section 6). `admit` may refuse the
        user of a good token.
        """
        now = self.now()
        claims = None
        try:
            claims = self.issuer.refresh.read(token)
            identity = self._identify(claims, LOGIN, now)
            admit(claims.subject)
            scopes = grant(scope, identity.session.scopes)
            session = self._advance(claims, identity.session, now, address)
        except TokenError as error:
            self._announce_refusal(error, claims, REFRESH)
            raise InvalidGrantError from None
        return self.issuer.pair(session, identity.user, now, scopes=scopes)

    def _advance(
        self, claims: RefreshClaims, session: Session, now: float, address: str | None
    ) -> Session:
        """Return the session as a refresh token leaves it.

        The expiry of an older generation is not checked: also a token of long ago
        shows that it was stolen.
        """
        network = network_of(address)
        if claims.generation == session.generation:
            self.issuer.refresh.check_times(claims, now)
            rotated = self._rotate(session, now)
            if rotated is not None:
                self.networks.note(rotated, network)
                self._announce(events.session_refreshed, rotated)
                return rotated
            latest = self.active_session(session.id)
            if latest is None:
                raise TokenRevokedError
            session = latest  # another use came first
        if self._is_retry(claims, session, now):
            retries = self.networks.retries(session, network)
            if retries < (self.settings.refresh_other_networks or math.inf):
                reason = "other_network" if retries else None
                self._announce(events.refresh_repeated, session, reason=reason)
                return session
        self._end_reused(claims, session)
        raise InvalidGrantError

    def _rotate(self, session: Session, now: float) -> Session | None:
        idle_end = min(now + self.settings.session_idle_lifetime, session.expires_at)
        return self.sessions.rotate(
            session.id, session.generation, now=now, idle_expires_at=idle_end
        )

    def _is_retry(self, claims: RefreshClaims, session: Session, now: float) -> bool:
        """Return whether a token is the previous one, rotated within the grace.

        The rotation may lie in the future: another host's clock made it, or another
        request while this one waited.
        """
        grace, leeway = self.settings.refresh_grace, self.settings.clock_leeway
        since = now - session.refreshed_at
        is_in_grace = max(since, 0) < grace and since >= -max(leeway, grace)
        return is_in_grace and claims.generation == session.generation - 1

    def _end_reused(self, claims: RefreshClaims, session: Session) -> None:
        self.sessions.end(session.id)
        if claims.generation > session.generation:
            # Nobody can have it before the client: the store was restored.
            self._announce(events.session_revoked, session, reason="store_set_back")
        else:
            self._announce(events.refresh_reused, session)
