"""Signed tokens: what they say, how they are issued, how they are verified.

The only room that knows itsdangerous. A token is `<prefix><content>.<signature>`:
the content is a fixed MessagePack array in base64url, the signature HMAC-SHA-256
over the content's text. The signature is checked before one byte of the content is
interpreted, and no text but the issued one has that signature.
"""

from __future__ import annotations

import hashlib
import hmac
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from itsdangerous import Signer
from itsdangerous.encoding import want_bytes
from itsdangerous.signer import SigningAlgorithm
from msgspec import Meta

from ..errors import TokenExpiredError, TokenInvalidError
from .header import MAX_TOKEN_LENGTH
from .redact import Redacted

ACCESS: Final = "access"
REFRESH: Final = "refresh"

FORMAT_VERSION: Final = 1
"""First element of every payload; another version is refused."""

_Time = Annotated[int, Meta(ge=0)]


class Claims(
    msgspec.Struct,
    array_like=True,
    forbid_unknown_fields=True,
    frozen=True,
    gc=False,  # it refers to nothing that could refer back
    tag=FORMAT_VERSION,
):
    """What a verified token says. It names no person: the holder can read it.

    Attributes:
        subject: Id of the user.
        session_id: Id of the session that the token belongs to.
        issued_at: When it was issued, in seconds since the epoch.
        expires_at: From when on it is refused, in seconds since the epoch.
        authenticated_at: When the password was proved, in seconds since the epoch.
        scopes: What the token may do (RFC 6749 section 3.3).
    """

    subject: Annotated[str, Meta(min_length=1)]
    session_id: Annotated[str, Meta(min_length=22, max_length=22)]
    issued_at: _Time
    expires_at: _Time
    authenticated_at: _Time
    scopes: frozenset[str]


class RefreshClaims(Claims, frozen=True, tag=FORMAT_VERSION):
    """What a verified refresh token says.

    Attributes:
        generation: How often the session had been refreshed when it was issued.
    """

    generation: _Time


class OnceClaims(Claims, frozen=True, tag=FORMAT_VERSION):
    """What a verified one-time token says.

    Attributes:
        password: Keyed digest of the password hash that the user had when it was
            issued.
    """

    password: str


ClaimsT = TypeVar("ClaimsT", bound=Claims)

# Sets are sorted, so equal claims give equal tokens in every process.
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")

# Base64url without padding (RFC 7515 section 2), straight from binascii: the wrappers
# of base64 and itsdangerous take as long as the HMAC itself.
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


class _KeptHMAC(SigningAlgorithm):
    """HMAC-SHA-256 for a closed set of keys, each key's blocks hashed only once."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._macs = {key: _kept_mac(key) for key in keys}

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        mac = self._macs[key].copy()
        mac.update(value)
        return mac.digest()


def _kept_mac(key: bytes) -> hmac.HMAC:
    # OpenSSL's own object, where hmac has one: copied and fed through the class around
    # it, it takes half as long again.
    mac = hmac.new(key, digestmod="sha256")
    return getattr(mac, "_hmac", None) or mac


class TokenSigner(Redacted, Signer, Generic[ClaimsT]):
    """Issues and verifies the tokens of one purpose in one realm.

    The keys are derived once, here: HMAC of purpose and realm under each secret, so
    a token of another purpose, realm or library never verifies (RFC 8725 section
    3.12).

    Args:
        secret_keys: Secrets, oldest first: all verify, the last one signs.
        purpose: What the tokens are for; letters, digits and hyphens, and at most
            one colon.
        realm: The application's name in every derivation.
        claims_type: The shape of the content.
        prefix: Characters before the content, by which leak scanners know it.
        clock_leeway: Seconds that a token's issue may lie in the future, for hosts
            whose clocks differ.
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
        # The purpose holds no "/", so no two pairs of purpose and realm are one salt.
        super().__init__(
            secret_keys,
            salt=f"tokenauth/{purpose}/{realm}",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
        self.secret_keys = [self.derive_key(key) for key in self.secret_keys]
        self.key_derivation = "none"
        self.algorithm = _KeptHMAC(self.secret_keys)
        self._decoder = msgspec.msgpack.Decoder(claims_type)
        self._prefix = prefix.encode()
        self._clock_leeway = clock_leeway

    def issue(self, claims: ClaimsT) -> str:
        """Return the token that says this, signed with the newest key."""
        return self.sign(self._prefix + _to_base64url(_ENCODER.encode(claims))).decode()

    def verify(self, token: str, now: float) -> ClaimsT:
        """Return what a token says.

        Args:
            token: The token's text.
            now: Seconds since the epoch.

        Raises:
            TokenInvalidError: not issued here for this purpose, or altered, or issued
                further in the future than the leeway.
            TokenExpiredError: signed here, but its time is over (`now >= expires_at`).
        """
        claims = self.read(token)
        self.check_times(claims, now)
        return claims

    def read(self, token: str) -> ClaimsT:
        """Return what a token says, whether or not its time is over.

        Raises:
            TokenInvalidError: not issued here for this purpose, or altered.
        """
        if not isinstance(token, str) or len(token) > MAX_TOKEN_LENGTH:
            raise TokenInvalidError
        value, _, signature = token.encode("utf-8", "replace").rpartition(b".")
        if not self._is_signed(value, signature):
            raise TokenInvalidError
        content = value[len(self._prefix) :].translate(_FROM_URL) + b"=="
        try:
            return self._decoder.decode(a2b_base64(content))
        except (msgspec.DecodeError, ValueError):
            raise TokenInvalidError from None

    def check_times(self, claims: Claims, now: float) -> None:
        """Return if what a token says holds now; raise as `verify` does."""
        if now >= claims.expires_at:
            raise TokenExpiredError
        if claims.issued_at > now + self._clock_leeway:
            raise TokenInvalidError

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        """Compare the signature in its encoded form.

        itsdangerous compares it decoded, and base64 decoding forgives padding, junk
        and unused bits: one token would have many accepted spellings.
        """
        return self._is_signed(want_bytes(value), want_bytes(sig))

    def _is_signed(self, value: bytes, signature: bytes) -> bool:
        for key in reversed(self.secret_keys):
            expected = _to_base64url(self.algorithm.get_signature(key, value))
            if hmac.compare_digest(expected, signature):
                return True
        return False


def _to_base64url(raw: bytes) -> bytes:
    return b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=")
