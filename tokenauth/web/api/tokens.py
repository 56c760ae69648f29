"""The endpoints of tokens: personal ones, and what other services ask of any."""

from __future__ import annotations

import msgspec
from flask import Response, request

from ...accounts.users import scopes_of
from ...errors import TokenError
from ...sessions.session import NEVER, PERSONAL
from ...tokens.scopes import format_scopes
from ..guards import fresh_login_required, require_scopes, token_required
from ..responses import empty, json_response
from ..state import current_state
from .bodies import read_body, read_form
from .logins import current_login, end_own
from .schemas import (
    Introspection,
    NewToken,
    TokenForm,
    TokenList,
    TokenRequest,
    token_view,
)

INTROSPECT = "introspect"
"""Scope that a token needs to ask about other tokens."""


def list_tokens() -> Response:
    """List the user's own personal access tokens."""
    identity = current_login()
    allowed = scopes_of(identity.user)
    sessions = current_state().personal.of_user(identity.claims.subject)
    return json_response(TokenList([token_view(each, allowed) for each in sessions]))


@token_required
@fresh_login_required(max_age=300)
def create_token() -> Response:
    """Make a personal access token; its text is in this answer and nowhere else."""
    identity = current_login()
    body = read_body(request, TokenRequest)
    session, token = current_state().personal.create(
        identity, name=body.name, scope=body.scope, expires_in=body.expires_in
    )
    view = token_view(session, scopes_of(identity.user))
    return json_response(NewToken(token=token, **msgspec.structs.asdict(view)), 201)


def end_token(session_id: str) -> Response:
    """End one of the user's own personal access tokens."""
    return end_own(session_id, kind=PERSONAL)


def revoke() -> Response:
    """End what a token belongs to (RFC 7009); holding it is the right to."""
    form = read_form(request, TokenForm)
    current_state().service.revoke_token(form.token)
    return empty(200)


@token_required
@require_scopes(INTROSPECT)
def introspect() -> Response:
    """Say what a token is good for now (RFC 7662)."""
    form = read_form(request, TokenForm)
    try:
        identity = current_state().verifier.authenticate(form.token)
        current_state().personal.note_use(identity.session)
    except TokenError:
        return json_response(Introspection(active=False))
    claims = identity.claims
    return json_response(
        Introspection(
            active=True,
            sub=claims.subject,
            username=getattr(identity.user, "username", None),
            scope=format_scopes(claims.scopes),
            token_type="Bearer",
            iat=claims.issued_at,
            exp=None if identity.session.expires_at == NEVER else claims.expires_at,
            auth_time=claims.authenticated_at or None,
        )
    )
