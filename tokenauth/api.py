"""The endpoints: read a request, ask the authority once, answer."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from . import login, state
from .authority import Identity
from .errors import (
    AuthError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    TokenMissingError,
    TokenRevokedError,
)
from .responses import Problem, answer, json_response, no_content
from .schemas import (
    LoginRequest,
    Me,
    PasswordRequest,
    RefreshRequest,
    SessionList,
    read_body,
    view_of,
)
from .sessions import LOGIN, Session


def log_in() -> Response:
    """Trade username and password for a token pair."""
    body = read_body(request, LoginRequest)
    pair = state.current().authority.log_in(
        body.username,
        body.password,
        scope=body.scope,
        label=body.label,
        client=client(),
    )
    return json_response(pair)


def refresh() -> Response:
    """Trade a refresh token for the next pair."""
    body = read_body(request, RefreshRequest)
    return json_response(state.current().authority.refresh(body.refresh_token))


def log_out() -> Response:
    """End the session of the token; done is done, also the second time."""
    current = state.current()
    token = login.presented_token(request, current.settings.query_param)
    if token is None:
        raise TokenMissingError
    if isinstance(token, AuthError):
        raise token
    current.authority.log_out(token)
    return no_content()


def me() -> Response:
    """Say who the token stands for."""
    user, claims = _identity()
    session = _own_session(claims.session_id, claims.subject)
    return json_response(
        Me(
            id=claims.subject,
            username=getattr(user, "username", None),
            scope=" ".join(sorted(claims.scopes)),
            session=view_of(session, current_id=claims.session_id),
        )
    )


def list_sessions() -> Response:
    """List the user's own logins."""
    claims = _identity().claims
    sessions = state.current().authority.sessions_of(claims.subject)
    views = [view_of(each, current_id=claims.session_id) for each in sessions]
    return json_response(SessionList(sessions=views))


def end_session(session_id: str) -> Response:
    """End one of the user's own logins."""
    claims = _identity().claims
    authority = state.current().authority
    session = authority.session(session_id)
    if session is None or session.user_id != claims.subject or session.kind != LOGIN:
        raise NotFoundError
    authority.revoke_session(session_id, user_id=claims.subject)
    return no_content()


def end_sessions() -> Response:
    """End all of the user's own logins, or all but this one."""
    claims = _identity().claims
    keep = request.args.get("keep")
    if keep not in (None, "current"):
        raise InvalidRequestError("The parameter 'keep' can only be 'current'.")
    state.current().authority.revoke_user(
        claims.subject, kind=LOGIN, keep=claims.session_id if keep else None
    )
    return no_content()


def change_password() -> Response:
    """Change the user's own password; every other login ends."""
    identity = _identity()
    body = read_body(request, PasswordRequest)
    pair = state.current().authority.change_password(
        identity, body.current_password, body.new_password
    )
    return json_response(pair)


ROUTES: tuple[tuple[str, str, Callable[..., Response]], ...] = (
    ("POST", "/login", log_in),
    ("POST", "/refresh", refresh),
    ("POST", "/logout", log_out),
    ("GET", "/me", me),
    ("GET", "/sessions", list_sessions),
    ("DELETE", "/sessions", end_sessions),
    ("DELETE", "/sessions/<session_id>", end_session),
    ("POST", "/password", change_password),
)


def register(app: Flask, url_prefix: str) -> None:
    """Add the endpoints to an application.

    Args:
        app: The application.
        url_prefix: Where they are.
    """
    blueprint = Blueprint("tokenauth", __name__, url_prefix=url_prefix)
    for method, path, view in ROUTES:
        # Neither merged nor trailing slashes: no address of ours answers 3xx.
        blueprint.add_url_rule(
            path, view_func=view, methods=[method], merge_slashes=False
        )
    app.register_blueprint(blueprint)
    app.register_error_handler(AuthError, _answer)
    app.before_request(_refuse_unrouted)


def client() -> str | None:
    """Return the client's `User-Agent`: printable, and cut to 200 characters."""
    agent = request.headers.get("User-Agent", "")[:200]
    return "".join(c for c in agent if c.isprintable()) or None


def _identity() -> Identity:
    identity = login.identity()
    if identity is None:
        raise TokenMissingError
    return identity


def _own_session(session_id: str, user_id: str) -> Session:
    session = state.current().authority.session(session_id)
    if session is None or session.user_id != user_id:
        raise TokenRevokedError  # ended since the token was checked
    return session


def _answer(error: AuthError) -> Response:
    return answer(error, state.current().settings.realm)


def _refuse_unrouted() -> None:
    """Answer under our own prefix what Flask would answer in HTML."""
    routing = request.routing_exception
    if routing is None:
        return
    settings = state.current().settings
    if request.path.startswith(f"{settings.url_prefix}/"):
        raise Problem(_translated(routing), settings.realm)


def _translated(routing: HTTPException) -> AuthError:
    if isinstance(routing, MethodNotAllowed):
        return MethodNotAllowedError(list(routing.valid_methods or ()))
    return NotFoundError()
