"""The endpoints of tokens: personal ones, and what other services ask of any."""

from __future__ import annotations

from typing import Final

import msgspec

from ... import errors
from ...accounts.users import scopes_of
from ...sessions.session import NEVER, PERSONAL
from ...sessions.verifier import Identity
from ...tokens.jwk import JwkSet, jwk_set
from ...tokens.scopes import format_scopes
from .. import guards
from ..identity import count_use
from ..state import current_state
from . import schemas
from .endpoint import PUBLIC, Guard, Route
from .logins import TOKEN, USER, current_login, end_own

INTROSPECT = "introspect"
"""Scope that a token needs to ask about other tokens."""

_RECENT_LOGIN = Guard(
    guards.token_required(guards.fresh_login_required(max_age=300)(current_login)),
    (*TOKEN.errors, errors.FreshLoginRequiredError(300)),
)
# RFC 7662 section 2.1: the caller authorises itself with a bearer token of its own.
_CALLER = Guard(
    guards.token_required(guards.require_scopes(INTROSPECT)(guards.require_token)),
    (*TOKEN.errors, errors.InsufficientScopeError(frozenset({INTROSPECT}))),
)
_LIMITED = errors.TooManyAttemptsError()
_CREATE_ERRORS = (errors.InvalidScopeError(), _LIMITED)

_TAG: Final = "Personal access tokens"
_SERVICES: Final = "For other services"


@Route("GET", "/tokens", USER, _TAG)
def list_tokens(found: Identity) -> schemas.TokenList:
    """List the user's own personal access tokens, newest first."""
    allowed = scopes_of(found.user)
    sessions = current_state().personal.of_user(found.claims.subject)
    return schemas.TokenList([schemas.token_view(each, allowed) for each in sessions])


@Route("POST", "/tokens", _RECENT_LOGIN, _TAG, status=201, errors=_CREATE_ERRORS)
def create_token(found: Identity, body: schemas.TokenRequest) -> schemas.NewToken:
    """Make a personal access token; its text is in this answer and nowhere else."""
    count_use("tokens", found.claims.subject)
    session, token = current_state().personal.create(
        found, name=body.name, scope=body.scope, expires_in=body.expires_in
    )
    view = schemas.token_view(session, scopes_of(found.user))
    return schemas.NewToken(token=token, **msgspec.structs.asdict(view))


@Route("DELETE", "/tokens/<session_id>", USER, _TAG)
def end_token(found: Identity, session_id: str) -> None:
    """End one of the user's own personal access tokens."""
    end_own(found, session_id, kind=PERSONAL)


@Route("POST", "/revoke", PUBLIC, _SERVICES, is_oauth=True, status=200)
def revoke(body: schemas.TokenForm) -> None:
    """End the session of a token (RFC 7009); holding the token is the right to."""
    current_state().service.revoke_token(body.token)


@Route("GET", "/keys", PUBLIC, _SERVICES)
def keys() -> JwkSet:
    """Return the public keys that verify tokens, newest first (RFC 7517, RFC 8037).

    There are none where tokens are signed with a secret.
    """
    return jwk_set(current_state().publics)


@Route("POST", "/introspect", _CALLER, _SERVICES, is_oauth=True, errors=[_LIMITED])
def introspect(caller: Identity, body: schemas.TokenForm) -> schemas.Introspection:
    """Return what a token is good for now (RFC 7662)."""
    count_use("introspect", caller.claims.subject)
    try:
        found = current_state().verifier.authenticate(body.token)
        current_state().personal.note_use(found.session)
    except errors.TokenError:
        return schemas.Introspection(active=False)
    claims = found.claims
    return schemas.Introspection(
        active=True,
        sub=claims.subject,
        username=getattr(found.user, "username", None),
        scope=format_scopes(claims.scopes),
        token_type="Bearer",
        iat=claims.issued_at,
        exp=None if found.session.expires_at == NEVER else claims.expires_at,
        auth_time=claims.authenticated_at or None,
    )
