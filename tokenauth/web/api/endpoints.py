"""The endpoints: where each is, what serves it, what the description says of it."""

from __future__ import annotations

from typing import Final

from ...errors import (
    AmbiguousTokenError,
    FreshLoginRequiredError,
    InsufficientScopeError,
    InvalidCredentialsError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
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
from ...sessions.issuer import TokenPair
from . import logins as api
from . import tokens as token_api
from .bodies import FORM, JSON
from .openapi import Route
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
