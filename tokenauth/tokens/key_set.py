"""The public keys that verify tokens: given, or fetched from the issuer."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..errors import StoreUnavailableError
from ..events import LOGGER
from .ed25519 import PUBLIC, decode_key, is_sound, read_key
from .keys import numbered

RETRY_SECONDS: Final = 10
"""How often the keys are fetched at most, whatever tokens come."""

REFRESH_SECONDS: Final = 300
"""Age at which fetched keys are fetched again, so that a removed key is dropped."""

_TIME_OUT: Final = 3  # seconds
_MAX_BYTES: Final = 65536


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another address could be without TLS, or another's."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _fetch(address: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(address, timeout=_TIME_OUT) as answer:
        text: bytes = answer.read(_MAX_BYTES)
        return text


class KeySet:
    """Public keys, newest first, and the tokens that were verified by them.

    Attributes:
        keys: The keys, 32 bytes each.
        memos: By purpose and realm: the claims of verified tokens.
    """

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self.keys = keys
        self.memos: defaultdict[bytes, dict[str, Any]] = defaultdict(dict)

    def current(self) -> KeySet:
        """Return the keys as they are now."""
        return self

    def newer(self, known: KeySet) -> KeySet | None:  # noqa: ARG002
        """Return the keys if they changed; these never do."""
        return None


class FetchedKeys:
    """The keys that an issuer publishes; the last good ones are kept while it is down.

    Args:
        address: Of the JWK set.
        fetch: Returns what is at an address; raises `OSError`.
        monotonic: Seconds of a clock that is never set.
    """

    def __init__(
        self,
        address: str,
        *,
        fetch: Callable[[str], bytes] = _fetch,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._fetch = address, fetch
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known = KeySet(())
        self._asked_at = float("-inf")
        self.newer(self._known)

    def current(self) -> KeySet:
        """Return the keys as they are now.

        Raises:
            StoreUnavailableError: they could never be fetched.
        """
        is_old = self._monotonic() - self._asked_at >= REFRESH_SECONDS
        if is_old or not self._known.keys:
            self.newer(self._known)
        if not self._known.keys:
            raise StoreUnavailableError(RETRY_SECONDS, reason="unreachable")
        return self._known

    def newer(self, known: KeySet) -> KeySet | None:
        """Return other keys than those known, after asking for them if it is time."""
        with self._lock:
            now = self._monotonic()
            if known is self._known and now - self._asked_at >= RETRY_SECONDS:
                self._asked_at = now
                self._ask()
            return None if known is self._known else self._known

    def _ask(self) -> None:
        try:
            keys = _read_jwk_set(self._fetch(self._address))
        except Exception as error:  # noqa: BLE001 # whatever it is, the last ones stay
            LOGGER.warning(
                "the issuer's keys (TOKENAUTH_VERIFY_KEYS) could not be fetched: %s",
                type(error).__name__,
            )
            return
        if keys != self._known.keys:
            self._known = KeySet(keys)


def read_verify_keys(
    name: str, given: object, *, testing: bool = False
) -> tuple[bytes, ...] | str:
    """Return public keys, newest first as they are given, or the address of them.

    Raises:
        ConfigurationError: it is neither, or the address is without TLS.
    """
    schemes = ("https://", "http://") if testing else ("https://",)
    if isinstance(given, str) and given.startswith(schemes):
        return given
    return read_public_keys(name, given or None, testing=testing)


def read_public_keys(
    name: str, given: object, *, testing: bool = False
) -> tuple[bytes, ...]:
    """Return the public keys of a list; raises `ConfigurationError`."""
    hint = "public; a service may have the 'https://' address of '/auth/keys' instead"
    named = numbered(name, given, hint).items()
    return tuple(read_key(n, key, PUBLIC, testing=testing) for n, key in named)


def open_keys(keys: tuple[bytes, ...] | str) -> KeySet | FetchedKeys:
    """Return where the keys are found that were given or are at an address."""
    return FetchedKeys(keys) if isinstance(keys, str) else KeySet(keys)


def _read_jwk_set(text: bytes) -> tuple[bytes, ...]:
    """Return the Ed25519 keys of a set; those of other kinds are for others.

    Raises:
        ValueError: it is no set, one of its keys is not sound, or none is left.
    """
    found = msgspec.json.decode(text, type=dict[str, list[dict[str, Any]]])
    keys = tuple(
        decode_key(f"{PUBLIC}{jwk.get('x')}", PUBLIC) or b""
        for jwk in found.get("keys", ())
        if jwk.get("crv") == "Ed25519"
    )
    if not keys or not all(map(is_sound, keys)):
        raise ValueError("no keys, or one that is not sound")
    return keys
