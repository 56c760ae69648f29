"""The tokens of a session: which kinds there are, and what each of them says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ..accounts.users import UserRecord, scopes_of
from ..settings import Settings
from ..tokens.claims import Claims, ClaimsT, OnceClaims, RefreshClaims
from ..tokens.redact import Redacted
from ..tokens.scopes import format_scopes
from ..tokens.signing import ACCESS, REFRESH, KeyPairSigner, TokenSigner
from .session import LOGIN, PERSONAL, Session

if TYPE_CHECKING:
    from ..tokens.key_set import FetchedKeys, KeySet

PERSONAL_PREFIX: Final = "tka_"
"""How every personal access token begins."""

PERSONAL_TOKEN_PATTERN: Final = r"\btka_[A-Za-z0-9_-]{40,}\.[A-Za-z0-9_-]{43,86}"
"""Regular expression by which secret scanners find personal access tokens: RE2,
Hyperscan, PCRE and Python read it alike."""


class TokenPair(Redacted, msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a login, with the names of RFC 6749 section 5.1.

    Attributes:
        access_token: Goes into the `Authorization` header.
        token_type: Always `Bearer`.
        expires_in: Seconds until the access token expires.
        refresh_token: Is exchanged for the next pair.
        refresh_expires_in: Seconds until the refresh token expires.
        scope: What the access token may do, separated by spaces.
    """

    access_token: Annotated[str, Meta(examples=["lwGmSm9obkRvZbZ..."])]
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: Annotated[int, Meta(examples=[900])]
    refresh_token: Annotated[str, Meta(examples=["mAGmSm9obkRvZbZ..."])]
    refresh_expires_in: Annotated[int, Meta(examples=[604800])]
    scope: Annotated[str, Meta(examples=["reports:read"])]

    def to_dict(self) -> dict[str, Any]:
        """Return the pair as a dict that can be sent as JSON; it holds the tokens."""
        return msgspec.structs.asdict(self)


class TokenIssuer:
    """Issues the tokens of one application, with one signer for each purpose.

    Where tokens are only verified, it has the signers of `bearer` alone.

    Attributes:
        publics: The public keys of an application that signs with a key pair, newest
            first.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.publics: tuple[bytes, ...] = ()
        # Imported when used: not every application has cryptography installed.
        if settings.signing_key is not None:
            from ..tokens.ed25519 import public_of

            older = reversed(settings.signing_key_fallbacks)
            self.publics = (public_of(settings.signing_key), *older)
        keys = None
        if publics := self.publics or settings.verify_keys:
            from ..tokens.key_set import open_keys

            keys = open_keys(publics)
        self.access = self._signer(ACCESS, Claims, keys=keys)
        self.personal = self._signer(
            PERSONAL, Claims, prefix=PERSONAL_PREFIX, keys=keys
        )
        if settings.secret_key:
            self.refresh = self._signer(REFRESH, RefreshClaims)
            self.cookie = self._signer("cookie", Claims)
            self.signers: dict[str, TokenSigner[Any]] = {
                ACCESS: self.access,
                REFRESH: self.refresh,
                PERSONAL: self.personal,
            }

    def bearer(self, token: str) -> tuple[TokenSigner[Claims], str]:
        """Return the signer of an `Authorization` header's token.

        Returns:
            The one signer that can have issued it, and the kind that its session has.
        """
        is_personal = isinstance(token, str) and token.startswith(PERSONAL_PREFIX)
        return (self.personal, PERSONAL) if is_personal else (self.access, LOGIN)

    def _signer(
        self,
        purpose: str,
        claims_type: type[ClaimsT],
        *,
        prefix: str = "",
        keys: KeySet | FetchedKeys | None = None,
    ) -> TokenSigner[ClaimsT]:
        options: dict[str, Any] = {
            "purpose": purpose,
            "realm": self._settings.realm,
            "claims_type": claims_type,
            "prefix": prefix,
            "clock_leeway": self._settings.clock_leeway,
        }
        if keys is not None:
            return KeyPairSigner(keys, self._settings.signing_key, **options)
        return TokenSigner(self._settings.secret_keys, **options)

    def once(self, kind: str) -> TokenSigner[OnceClaims]:
        """Return the signer of one kind of one-time tokens, with keys of its own."""
        return self._signer(kind, OnceClaims)

    def pair(
        self,
        session: Session,
        user: UserRecord,
        now: float,
        *,
        scopes: frozenset[str] | None = None,
    ) -> TokenPair:
        """Return the tokens of a session; `scopes` may narrow the access token.

        The refresh token is made from the session's row alone, so a retry that finds
        the same row is answered with the same token.
        """
        issued_at, ends_at = int(now), int(session.ends_at)
        expires_at = min(issued_at + int(self._settings.access_lifetime), ends_at)
        allowed = session.scopes & scopes_of(user)
        scopes = allowed if scopes is None else allowed & scopes
        access = _claims(
            Claims, session, issued_at=issued_at, expires_at=expires_at, scopes=scopes
        )
        refresh = _claims(
            RefreshClaims,
            session,
            issued_at=int(session.refreshed_at),
            expires_at=ends_at,
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
        """Return the personal access token of a session."""
        return self.personal.issue(_claims(Claims, session))

    def once_token(self, session: Session, user: UserRecord) -> str:
        """Return the one-time token of a session; a password change ends it, too."""
        signer = self.once(session.kind)
        digest = signer.get_signature(_password_of(user)).decode()
        return signer.issue(_claims(OnceClaims, session, password=digest))


def is_password_unchanged(
    signer: TokenSigner[OnceClaims], claims: OnceClaims, user: UserRecord
) -> bool:
    """Return whether a user has the password hash for which a token was issued."""
    return signer.verify_signature(_password_of(user), claims.password)


def _password_of(user: UserRecord) -> bytes:
    """Return what is signed of a user's password: no content of a token has a colon."""
    return f"password:{user.password_hash or ''}".encode()


def _claims(claims_type: type[ClaimsT], session: Session, **changed: Any) -> ClaimsT:
    """Return what a token of a session says, by default until the session's end."""
    facts: dict[str, Any] = {
        "subject": session.user_id,
        "session_id": session.id,
        "issued_at": int(session.created_at),
        "expires_at": int(session.expires_at),
        "authenticated_at": int(session.authenticated_at),
        "scopes": session.scopes,
    }
    return claims_type(**(facts | changed))
