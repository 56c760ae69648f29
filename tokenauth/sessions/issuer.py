"""The tokens of a session: which there are, and what each of them says."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ..accounts.users import UserRecord, scopes_of
from ..errors import TokenInvalidError
from ..settings import Settings
from ..tokens.claims import Claims, ClaimsT, OnceClaims, RefreshClaims
from ..tokens.redact import Redacted
from ..tokens.scopes import format_scopes
from ..tokens.signing import ACCESS, REFRESH, TokenSigner
from .session import PERSONAL, Session

PERSONAL_PREFIX: Final = "tka_"
"""How every personal access token begins."""

PERSONAL_TOKEN_PATTERN: Final = r"\btka_[A-Za-z0-9_-]{40,}\.[A-Za-z0-9_-]{43}"
"""Regular expression by which secret scanners find personal access tokens: RE2,
Hyperscan, PCRE and Python read it alike."""


class TokenPair(Redacted, msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a login, in the words of RFC 6749 section 5.1.

    Attributes:
        access_token: Goes into the `Authorization` header.
        token_type: Always `Bearer`.
        expires_in: Seconds that the access token lives.
        refresh_token: Is traded for the next pair.
        refresh_expires_in: Seconds that the refresh token lives.
        scope: What the access token may do, separated by spaces.
    """

    access_token: Annotated[str, Meta(examples=["lwGmSm9obkRvZbZ..."])]
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: Annotated[int, Meta(examples=[900])]
    refresh_token: Annotated[str, Meta(examples=["mAGmSm9obkRvZbZ..."])]
    refresh_expires_in: Annotated[int, Meta(examples=[604800])]
    scope: Annotated[str, Meta(examples=["reports:read"])]

    def to_dict(self) -> dict[str, Any]:
        """Return the members of the answer, for a view that adds some of its own."""
        return msgspec.structs.asdict(self)


class TokenIssuer(Redacted):
    """The signers of one application, one a purpose, and what they sign.

    Args:
        settings: Keys, realm and lifetimes.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.access = self._signer(ACCESS, Claims)
        self.refresh = self._signer(REFRESH, RefreshClaims)
        self.personal = self._signer(PERSONAL, Claims, prefix=PERSONAL_PREFIX)

    def once(self, kind: str) -> TokenSigner[OnceClaims]:
        """Return the signer of one kind of one-time tokens: its keys are its own."""
        return self._signer(kind, OnceClaims)

    def bearer_signer(self, token: str) -> TokenSigner[Claims]:
        """Return the one signer that a token in an `Authorization` header can be of."""
        is_personal = isinstance(token, str) and token.startswith(PERSONAL_PREFIX)
        return self.personal if is_personal else self.access

    def pair(self, session: Session, user: UserRecord, now: float) -> TokenPair:
        """Return the tokens of a session as it stands.

        The refresh token is made from the session's row alone, so a retry that finds
        the same row is answered with the same token.
        """
        issued_at, ends_at = int(now), int(session.ends_at)
        expires_at = min(issued_at + int(self._settings.access_lifetime), ends_at)
        scopes = session.scopes & scopes_of(user)
        access = Claims(
            subject=session.user_id,
            session_id=session.id,
            issued_at=issued_at,
            expires_at=expires_at,
            authenticated_at=int(session.authenticated_at),
            scopes=scopes,
        )
        refresh = RefreshClaims(
            subject=session.user_id,
            session_id=session.id,
            issued_at=int(session.refreshed_at),
            expires_at=ends_at,
            authenticated_at=int(session.authenticated_at),
            scopes=session.scopes,
            generation=session.generation,
        )
        return TokenPair(
            access_token=self.access.issue(access),
            expires_in=expires_at - issued_at,
            refresh_token=self.refresh.issue(refresh),
            refresh_expires_in=ends_at - issued_at,
            scope=format_scopes(scopes),
        )

    def personal_token(self, session: Session) -> str:
        """Return the personal access token that a session keeps alive."""
        claims = Claims(
            subject=session.user_id,
            session_id=session.id,
            issued_at=int(session.created_at),
            expires_at=int(session.expires_at),
            authenticated_at=int(session.authenticated_at),
            scopes=session.scopes,
        )
        return self.personal.issue(claims)

    def signer_of(self, token: str) -> tuple[str, TokenSigner[Any]]:
        """Return the purpose of a token and its signer.

        Raises:
            TokenInvalidError: no purpose of this application issued it.
        """
        for purpose, signer in (
            (ACCESS, self.access),
            (REFRESH, self.refresh),
            (PERSONAL, self.personal),
        ):
            with contextlib.suppress(TokenInvalidError):
                signer.read(token)
                return purpose, signer
        raise TokenInvalidError

    def _signer(
        self, purpose: str, claims_type: type[ClaimsT], *, prefix: str = ""
    ) -> TokenSigner[ClaimsT]:
        return TokenSigner(
            self._settings.secret_keys,
            purpose=purpose,
            realm=self._settings.realm,
            claims_type=claims_type,
            prefix=prefix,
            clock_leeway=self._settings.clock_leeway,
        )
