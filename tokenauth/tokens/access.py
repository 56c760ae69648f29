"""Verifies access tokens in any Python service, without the issuer's secret."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..errors import ConfigurationError, TokenMissingError
from .claims import Claims
from .redact import Redacted
from .signing import ACCESS, KeyPairSigner


class AccessTokenVerifier(Redacted):
    """Verifies the access tokens of an issuer by its public keys.

    Sessions are not looked at: a revoked login ends with its access token. One object
    serves all threads; it remembers tokens that it verified, until they expire.

    Args:
        keys: The issuer's public keys, each in one line (`ed25519-public:...`) or in
            PEM; or the `https` address of its `/auth/keys`.
        realm: The issuer's `TOKENAUTH_REALM`.
        clock_leeway: Seconds that the time of issue may be in the future.

    Raises:
        ConfigurationError: a key or the realm cannot be used, or `cryptography` is not
            installed.

    Example:
        >>> key = "ed25519-public:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE"
        >>> verifier = AccessTokenVerifier([key], realm="shop")
        >>> verifier.verify(read_header("Bearer lwGmSm9obkRv.c2lnbmF0dXJl"))
        Traceback (most recent call last):
            ...
        tokenauth.errors.TokenInvalidError: ...
    """

    def __init__(
        self, keys: Sequence[str] | str, *, realm: str, clock_leeway: float = 30
    ) -> None:
        from .key_set import open_keys, read_verify_keys

        if not realm or not isinstance(realm, str):
            raise ConfigurationError("realm must be the issuer's TOKENAUTH_REALM.")
        self._signer: KeyPairSigner[Claims] = KeyPairSigner(
            open_keys(read_verify_keys("keys", keys)),
            purpose=ACCESS,
            realm=realm,
            claims_type=Claims,
            clock_leeway=clock_leeway,
        )

    def verify(self, token: str | None, *, now: float | None = None) -> Claims:
        """Return what a token says.

        Args:
            token: The token; `read_header` takes it out of an `Authorization` header.
            now: Seconds since the epoch; defaults to the system's clock.

        Raises:
            TokenMissingError: there is none.
            TokenInvalidError: not issued there as an access token, or altered.
            TokenExpiredError: its lifetime has passed.
            StoreUnavailableError: the issuer's keys could not be fetched yet.
        """
        if token is None:
            raise TokenMissingError
        return self._signer.verify(token, time.time() if now is None else now)
