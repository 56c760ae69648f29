"""The endpoints: their addresses, their description, and what is answered elsewhere."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from . import api, docs_page, state, token_api
from .bodies import FORM, JSON
from .config import Settings
from .errors import (
    AmbiguousTokenError,
    AuthError,
    FreshLoginRequiredError,
    InsufficientScopeError,
    InvalidCredentialsError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    MethodNotAllowedError,
    NotFoundError,
    OverloadedError,
    PasswordRefusedError,
    PayloadTooLargeError,
    StoreUnavailableError,
    TokenExpiredError,
    TokenInvalidError,
    TokenMissingError,
    TokenRevokedError,
    TooManyAttemptsError,
    UnsupportedMediaTypeError,
)
from .mint import TokenPair
from .openapi import Route
from .responses import Problem, answer
from .schemas import (
    Introspection,
    LoginRequest,
    Me,
    NewToken,
    PasswordRequest,
    RefreshRequest,
    SessionList,
    TokenForm,
    TokenList,
    TokenRequest,
)

_LOGINS: Final = "Logins"
_PERSONAL: Final = "Personal access tokens"
_SERVICES: Final = "For other services"

# What may go wrong, in the order in which it is checked.
_STORE = (StoreUnavailableError(),)
_TOKEN = (
    AmbiguousTokenError(),
    TokenMissingError(),
    TokenInvalidError(),
    TokenExpiredError(),
    TokenRevokedError(),
    *_STORE,
)
_LOGIN = (*_TOKEN, FreshLoginRequiredError())
_BODY = (InvalidRequestError(), PayloadTooLargeError(), UnsupportedMediaTypeError(JSON))
_FORM = (InvalidRequestError(), PayloadTooLargeError(), UnsupportedMediaTypeError(FORM))
_PASSWORD = (InvalidCredentialsError(), TooManyAttemptsError(), OverloadedError())

# What the refresh token of an answer is good for.
_REFRESH_TOKEN = "$response.body#/refresh_token"
_NEXT = {
    "refresh": {
        "operationId": "tokenauth_refresh",
        "requestBody": {"refresh_token": _REFRESH_TOKEN},
    },
    "revoke": {
        "operationId": "tokenauth_revoke",
        "requestBody": {"token": _REFRESH_TOKEN},
    },
}

ROUTES: Final = (
    Route(
        method="POST",
        path="/login",
        view=api.log_in,
        tag=_LOGINS,
        needs_token=False,
        body=LoginRequest,
        example={"username": "JohnDoe", "password": "correct horse battery"},
        answer=TokenPair,
        links=_NEXT,
        errors=(*_BODY, InvalidScopeError(), *_PASSWORD, *_STORE),
    ),
    Route(
        method="POST",
        path="/refresh",
        view=api.refresh,
        tag=_LOGINS,
        needs_token=False,
        body=RefreshRequest,
        example={"refresh_token": "lwGmSm9obkRvZbZ..."},
        answer=TokenPair,
        links=_NEXT,
        errors=(*_BODY, InvalidGrantError(), *_STORE),
    ),
    Route(
        method="POST",
        path="/logout",
        view=api.log_out,
        tag=_LOGINS,
        status=204,
        errors=_TOKEN,
    ),
    Route(
        method="GET",
        path="/me",
        view=api.me,
        tag=_LOGINS,
        answer=Me,
        errors=_TOKEN,
    ),
    Route(
        method="GET",
        path="/sessions",
        view=api.list_sessions,
        tag=_LOGINS,
        answer=SessionList,
        links={
            "end": {
                "operationId": "tokenauth_end_session",
                "parameters": {"session_id": "$response.body#/sessions/0/id"},
            }
        },
        errors=_LOGIN,
    ),
    Route(
        method="DELETE",
        path="/sessions",
        view=api.end_sessions,
        tag=_LOGINS,
        query={"keep": ("current",)},
        status=204,
        errors=(InvalidRequestError(), *_LOGIN),
    ),
    Route(
        method="DELETE",
        path="/sessions/<session_id>",
        view=api.end_session,
        tag=_LOGINS,
        status=204,
        errors=(*_LOGIN, NotFoundError()),
    ),
    Route(
        method="POST",
        path="/password",
        view=api.change_password,
        tag=_LOGINS,
        body=PasswordRequest,
        example={
            "current_password": "correct horse battery",
            "new_password": "staple tidy lantern",
        },
        answer=TokenPair,
        errors=(
            *_LOGIN,
            *_BODY,
            *_PASSWORD,
            PasswordRefusedError("too_short", "The new password is too short."),
        ),
    ),
    Route(
        method="GET",
        path="/tokens",
        view=token_api.list_tokens,
        tag=_PERSONAL,
        answer=TokenList,
        errors=_LOGIN,
    ),
    Route(
        method="POST",
        path="/tokens",
        view=token_api.create_token,
        tag=_PERSONAL,
        body=TokenRequest,
        example={"name": "nightly build", "expires_in": 2592000},
        status=201,
        answer=NewToken,
        links={
            "end": {
                "operationId": "tokenauth_end_token",
                "parameters": {"session_id": "$response.body#/id"},
            },
        },
        errors=(*_TOKEN, FreshLoginRequiredError(300), *_BODY, InvalidScopeError()),
    ),
    Route(
        method="DELETE",
        path="/tokens/<session_id>",
        view=token_api.end_token,
        tag=_PERSONAL,
        status=204,
        errors=(*_LOGIN, NotFoundError()),
    ),
    Route(
        method="POST",
        path="/revoke",
        view=token_api.revoke,
        tag=_SERVICES,
        needs_token=False,
        body=TokenForm,
        media_type=FORM,
        example={"token": "lwGmSm9obkRvZbZ..."},
        errors=(*_FORM, *_STORE),
    ),
    Route(
        method="POST",
        path="/introspect",
        view=token_api.introspect,
        tag=_SERVICES,
        body=TokenForm,
        media_type=FORM,
        example={"token": "lwGmSm9obkRvZbZ..."},
        answer=Introspection,
        errors=(
            *_TOKEN,
            InsufficientScopeError(frozenset({token_api.INTROSPECT})),
            *_FORM,
        ),
    ),
)

_DOCS: Final = (
    ("/openapi.json", docs_page.openapi),
    ("/docs", docs_page.page),
    ("/docs/<name>", docs_page.asset),
)


def register(app: Flask, settings: Settings) -> None:
    """Add the endpoints to an application.

    Args:
        app: The application.
        settings: What it decided.
    """
    blueprint = Blueprint(state.KEY, __name__, url_prefix=settings.url_prefix)
    rules = [(route.method, route.path, route.view) for route in ROUTES]
    if settings.docs:
        rules += [("GET", path, view) for path, view in _DOCS]
    for method, path, view in rules:
        # Neither merged nor trailing slashes: no address of ours answers 3xx.
        blueprint.add_url_rule(
            path, view_func=view, methods=[method], merge_slashes=False
        )
    app.register_blueprint(blueprint)
    _exempt_from_csrf(app, blueprint)
    app.register_error_handler(AuthError, _answer)
    app.before_request(_refuse_unrouted)


def _answer(error: AuthError) -> Response:
    return answer(error, state.current().settings.realm)


def _refuse_unrouted() -> None:
    """Answer under our own prefix what Flask would answer in HTML."""
    settings = state.current().settings
    if not f"{request.path}/".startswith(f"{settings.url_prefix}/"):
        return
    routing = request.routing_exception
    if isinstance(routing, MethodNotAllowed):
        allowed = list(routing.valid_methods or ())
        raise Problem(MethodNotAllowedError(allowed), settings.realm)
    if isinstance(routing, NotFound):
        raise Problem(NotFoundError(), settings.realm)


def _exempt_from_csrf(app: Flask, blueprint: Blueprint) -> None:
    """Tell Flask-WTF's CSRFProtect, if it is there: our routes heed no cookie."""
    if (csrf := app.extensions.get("csrf")) is not None:
        csrf.exempt(blueprint)
