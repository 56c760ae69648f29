"""What a token says, for operators: of any purpose, also when it is refused."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from ..errors import AuthError, TokenError, TokenInvalidError, TokenRevokedError
from ..tokens.claims import Claims, OnceClaims, RefreshClaims
from ..tokens.header import is_token
from ..tokens.signing import ACCESS, REFRESH, TokenSigner
from .issuer import PERSONAL_PREFIX, is_password_unchanged
from .session import LOGIN, is_session_id
from .verifier import Identity, SessionRules


class Inspection(NamedTuple):
    """What a token says, and why it is refused now, if it is."""

    purpose: str
    claims: Claims
    refusal: AuthError | None


class TokenInspector(SessionRules, frozen=True):
    """Reads tokens of any purpose. It changes nothing and announces nothing."""

    def inspect(self, token: str) -> Inspection:
        """Return what a token says, and whether it is accepted now.

        Raises:
            TokenInvalidError: not issued here, or altered. The detail says which of
                these, as far as it can be known without the key.
            StoreUnavailableError: a store cannot answer.
        """
        for purpose, signer in self._signers(token).items():
            with suppress(TokenInvalidError):
                return self._inspect(purpose, signer, signer.read(token))
        raise TokenInvalidError(_what_is_wrong(token))

    def _inspect(
        self, purpose: str, signer: TokenSigner[Any], claims: Claims
    ) -> Inspection:
        now = self.now()
        kind = LOGIN if purpose in (ACCESS, REFRESH) else purpose
        try:
            signer.check_times(claims, now)
            identity = self._identify(claims, kind, now)
            if not _is_current(signer, claims, identity):
                raise TokenRevokedError
        except TokenError as error:
            return Inspection(purpose, claims, error)
        return Inspection(purpose, identity.claims, None)

    def _signers(self, token: str) -> dict[str, TokenSigner[Any]]:
        """Return the signers that may have issued a token, by purpose.

        The application chooses the purposes of one-time tokens: the session that the
        unverified content names tells with which keys to verify it.
        """
        content = _unverified_content(token)
        named = str(content[2]) if len(content) > 2 else ""
        session = self.sessions.get(named) if is_session_id(named) else None
        once = {} if session is None else {session.kind: self.issuer.once(session.kind)}
        return once | self.issuer.signers


def _is_current(signer: TokenSigner[Any], claims: Claims, identity: Identity) -> bool:
    if isinstance(claims, RefreshClaims):
        return claims.generation == identity.session.generation
    if isinstance(claims, OnceClaims):
        return is_password_unchanged(signer, claims, identity.user)
    return True


def _unverified_content(token: str) -> list[Any]:
    content, _, _ = token.removeprefix(PERSONAL_PREFIX).rpartition(".")
    try:
        raw = base64.urlsafe_b64decode(content + "==")
        return msgspec.msgpack.decode(raw, type=list[Any])
    except (ValueError, msgspec.DecodeError):
        return []


def _what_is_wrong(token: str) -> str:
    if not is_token(token):
        return "This is not a token of tokenauth: it does not have the form of one."
    signature = token.rpartition(".")[2]  # HMAC-SHA-256 or Ed25519 in base64url
    if len(signature) not in {43, 86} or not _unverified_content(token):
        return "The token was cut or altered: copy it again, completely."
    return (
        "The token was not signed with this application's keys and realm (SECRET_KEY, "
        "TOKENAUTH_REALM, TOKENAUTH_SIGNING_KEY), or was altered, or is a one-time "
        "token that has ended."
    )
