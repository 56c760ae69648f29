"""Signs and verifies tokens. The only module that imports itsdangerous.

A token is `<prefix><content>.<signature>`: MessagePack in base64url, and HMAC-SHA-256
or Ed25519 over that text. The signature is checked before the content is decoded, and
only one spelling of it is accepted. Nothing in a token chooses key or algorithm.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Generic

import msgspec
from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode, want_bytes
from itsdangerous.signer import SigningAlgorithm

from ..errors import TokenExpiredError, TokenInvalidError
from .claims import Claims, ClaimsT
from .header import MAX_TOKEN_LENGTH
from .redact import Redacted

if TYPE_CHECKING:
    from .key_set import FetchedKeys, KeySet

ACCESS: Final = "access"
REFRESH: Final = "refresh"

MAX_REMEMBERED: Final = 4096
"""Verified tokens of one purpose that a process remembers, the oldest go first."""

# Sets are sorted, so equal claims give equal tokens in every process.
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


class _CopiedHMAC(SigningAlgorithm):
    """HMAC-SHA-256 that hashes each key's block once and copies the state."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._macs = {key: hmac.new(key, digestmod="sha256") for key in keys}

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        mac = self._macs[key].copy()
        mac.update(value)
        return mac.digest()


class TokenSigner(Redacted, Signer, Generic[ClaimsT]):
    """Signs and verifies the tokens of one purpose in one realm.

    The keys are derived once, by HMAC of purpose and realm under each secret, so a
    token of another purpose, realm or library never verifies (RFC 8725 section 3.12).

    Args:
        secret_keys: Secrets, oldest first: all verify, the last one signs.
        purpose: What the tokens are for: letters, digits and hyphens, and at most one
            colon.
        realm: Name of the application.
        claims_type: Type of the content.
        prefix: Text before the content, by which secret scanners find tokens.
        clock_leeway: Seconds that the time of issue may be in the future.
    """

    def __init__(
        self,
        secret_keys: Sequence[bytes],
        *,
        purpose: str,
        realm: str,
        claims_type: type[ClaimsT],
        prefix: str = "",
        clock_leeway: float = 0,
    ) -> None:
        # No purpose contains "/", so no two pairs of purpose and realm are one salt.
        super().__init__(
            secret_keys,
            salt=f"tokenauth/{purpose}/{realm}",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
        self.secret_keys = [self.derive_key(key) for key in self.secret_keys]
        self.key_derivation = "none"
        self.algorithm = _CopiedHMAC(self.secret_keys)
        self._decoder = msgspec.msgpack.Decoder(claims_type)
        self._prefix = prefix.encode()
        self._clock_leeway = clock_leeway

    def issue(self, claims: ClaimsT) -> str:
        """Return the token of these claims, signed with the newest key."""
        return self.sign(self._prefix + base64_encode(_ENCODER.encode(claims))).decode()

    def verify(self, token: str, now: float) -> ClaimsT:
        """Return the claims of a token that is valid now, in seconds since the epoch.

        Raises:
            TokenInvalidError: not issued here for this purpose, or altered, or issued
                further in the future than the leeway.
            TokenExpiredError: it has expired (`now >= expires_at`).
        """
        claims = self.read(token)
        self.check_times(claims, now)
        return claims

    def read(self, token: str) -> ClaimsT:
        """Return the claims of a token, expired or not.

        Raises:
            TokenInvalidError: not issued here for this purpose, or altered.
        """
        if not isinstance(token, str) or len(token) > MAX_TOKEN_LENGTH:
            raise TokenInvalidError
        value, _, signature = token.encode("utf-8", "replace").rpartition(b".")
        if not self.verify_signature(value, signature):
            raise TokenInvalidError
        try:
            return self._decoder.decode(base64_decode(value[len(self._prefix) :]))
        except (BadData, msgspec.DecodeError, UnicodeDecodeError):
            raise TokenInvalidError from None

    def check_times(self, claims: Claims, now: float) -> None:
        """Check that claims are valid now; raises as `verify` does."""
        if now >= claims.expires_at:
            raise TokenExpiredError
        if claims.issued_at > now + self._clock_leeway:
            raise TokenInvalidError

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        """Return whether a signature is right, compared in its encoded form.

        itsdangerous compares it decoded, and base64 decoding forgives padding, junk
        and unused bits: one token would have many accepted spellings.
        """
        value, sig = want_bytes(value), want_bytes(sig)
        for key in reversed(self.secret_keys):
            expected = base64_encode(self.algorithm.get_signature(key, value))
            if hmac.compare_digest(expected, sig):
                return True
        return False


class _Ed25519(SigningAlgorithm):
    """Ed25519 over purpose and realm, a line end, and the value.

    One key pair is for all of them; neither they nor a value has a line end.
    """

    def __init__(self, context: bytes) -> None:
        # Imported when used: it needs a package that not every application has.
        from . import ed25519

        self._ed25519, self._context = ed25519, context + b"\n"

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return self._ed25519.sign(key, self._context + value)

    def verify_signature(self, key: bytes, value: bytes, sig: bytes) -> bool:
        return self._ed25519.verifies(key, sig, self._context + value)


class KeyPairSigner(TokenSigner[ClaimsT]):
    """Signs with a private key, and verifies by public keys alone.

    Verified tokens are remembered by their whole text, as long as their key is known.

    Args:
        keys: The public keys.
        private: The private key; without it nothing is signed.
        options: As of `TokenSigner`.
    """

    def __init__(
        self, keys: KeySet | FetchedKeys, private: bytes | None = None, **options: Any
    ) -> None:
        super().__init__([], **options)
        self.algorithm = _Ed25519(self.salt)
        self.secret_keys = [] if private is None else [private]
        self._keys = keys
        self._lock = threading.Lock()

    def read(self, token: str) -> ClaimsT:
        """Return the claims of a token, expired or not; raises as `TokenSigner.read`.

        Where keys are fetched, they are once more for a token of an unknown key.
        """
        known = self._keys.current()
        try:
            return self._recall(known, token)
        except TokenInvalidError:
            if (newer := self._keys.newer(known)) is None:
                raise
        return self._recall(newer, token)

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        """Return whether a signature is right, in the one spelling that it has."""
        value, sig = want_bytes(value), want_bytes(sig)
        try:
            raw = base64_decode(sig)
        except BadData:
            return False
        if len(raw) != 64 or not hmac.compare_digest(base64_encode(raw), sig):
            return False
        verify = self.algorithm.verify_signature
        return any(verify(key, value, raw) for key in self._keys.current().keys)

    def _recall(self, known: KeySet, token: str) -> ClaimsT:
        memo = known.memos[self.salt]
        claims: ClaimsT | None = memo.get(token) if isinstance(token, str) else None
        if claims is None:
            # By these keys or newer ones: only then it is remembered with these.
            claims = super().read(token)
            with self._lock:
                while len(memo) >= MAX_REMEMBERED:
                    del memo[next(iter(memo))]
                memo[token] = claims
        return claims
