"""The endpoints of logins: read a request, ask the authority once, answer."""

from __future__ import annotations

from flask import Response, request

from ...errors import (
    AuthError,
    FreshLoginRequiredError,
    InvalidRequestError,
    NotFoundError,
    TokenMissingError,
    TokenRevokedError,
)
from ...sessions.session import LOGIN, is_session_id
from ...sessions.verifier import Identity, active_session, active_sessions
from ...tokens.scopes import format_scopes
from .. import identity
from ..guards import require_token
from ..request import client_name, request_token, this_request, url_parameters
from ..responses import empty, json_response
from ..state import current_state
from .bodies import read_body
from .schemas import (
    LoginRequest,
    Me,
    PasswordRequest,
    RefreshRequest,
    SessionList,
    session_view,
)


def log_in() -> Response:
    """Trade username and password for a token pair."""
    body = read_body(request, LoginRequest)
    pair = current_state().password_login.log_in(
        body.username,
        body.password,
        scope=body.scope,
        label=body.label,
        client=client_name(this_request()),
        address=request.remote_addr,
    )
    return json_response(pair)


def refresh() -> Response:
    """Trade a refresh token for the next pair."""
    body = read_body(request, RefreshRequest)
    pair = current_state().service.refresh(
        body.refresh_token, address=request.remote_addr
    )
    return json_response(pair)


def log_out() -> Response:
    """End the session of the token. Calling it again has no effect."""
    try:
        token = request_token(this_request())
    except AuthError as error:
        identity.announce(error)
        raise
    if token is None:
        raise TokenMissingError
    current_state().service.log_out(token)
    return empty()


def me() -> Response:
    """Say who the token stands for."""
    found = require_token()
    claims = found.claims
    return json_response(
        Me(
            id=claims.subject,
            username=getattr(found.user, "username", None),
            scope=format_scopes(claims.scopes),
            session=session_view(found.session, current_id=claims.session_id),
        )
    )


def list_sessions() -> Response:
    """List the user's own logins."""
    claims = current_login().claims
    state = current_state()
    sessions = active_sessions(
        state.sessions, claims.subject, state.clock(), kind=LOGIN
    )
    views = [session_view(each, current_id=claims.session_id) for each in sessions]
    return json_response(SessionList(sessions=views))


def end_session(session_id: str) -> Response:
    """End one of the user's own logins."""
    return end_own(session_id, kind=LOGIN)


def end_sessions() -> Response:
    """End all of the user's own logins, or all but this one."""
    claims = current_login().claims
    keep = url_parameters(request, "keep")
    if keep not in ([], ["current"]):
        raise InvalidRequestError("The parameter 'keep' can only be 'current'.")
    current_state().service.revoke_user(
        claims.subject, kind=LOGIN, keep=claims.session_id if keep else None
    )
    return empty()


def change_password() -> Response:
    """Change the user's own password; every other login ends."""
    found = current_login()
    body = read_body(request, PasswordRequest)
    pair = current_state().password_login.change_password(
        found,
        body.current_password,
        body.new_password,
        address=request.remote_addr,
        end_tokens=body.end_tokens,
    )
    return json_response(pair)


def current_login() -> Identity:
    """Return who is logged in: what is left to a person, no script may do.

    Raises:
        FreshLoginRequiredError: the token is a personal access token.
        TokenRevokedError: the check of the token, which may lag, has not seen yet that
            this login is over.
        AuthError: as `current_identity`.
    """
    found = require_token()
    if found.session.kind != LOGIN:
        raise FreshLoginRequiredError
    if current_state().settings.session_check_lag:
        _check_session(found.claims.session_id)
    return found


def _check_session(session_id: str) -> None:
    state = current_state()
    if active_session(state.sessions, session_id, state.clock()) is None:
        raise TokenRevokedError


def end_own(session_id: str, *, kind: str) -> Response:
    """End what the user has of a kind; another's is answered as if it did not exist.

    Raises:
        NotFoundError: the user has no such session.
    """
    user_id = current_login().claims.subject
    state = current_state()
    session = state.sessions.get(session_id) if is_session_id(session_id) else None
    if session is None or session.user_id != user_id or session.kind != kind:
        raise NotFoundError
    state.service.revoke_session(session_id, user_id=user_id)
    return empty()
