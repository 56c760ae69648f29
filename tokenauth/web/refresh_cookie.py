"""The refresh token in a cookie that no script can read, for browsers.

Only `/auth/refresh` takes it, and only from a page of ours: it opens no view.
"""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from flask import Response, after_this_request
from msgspec import Meta
from werkzeug.wrappers import Response as BaseResponse

from ..errors import (
    ConfigurationError,
    InvalidGrantError,
    InvalidRequestError,
    StoreUnavailableError,
)
from ..sessions.issuer import TokenPair
from ..tokens.redact import Redacted
from .identity import announce
from .request import this_request
from .state import current_state

NAME: Final = "__Secure-tokenauth_refresh"
"""The cookie's name; browsers refuse such a one from plain HTTP (RFC 6265bis 4.1.3)."""

_FOREIGN: Final = (
    "The cookie is only for pages of this site, and of the origins that "
    "TOKENAUTH_ORIGINS names: the headers Sec-Fetch-Site and Origin name no such page."
)


ResponseT = TypeVar("ResponseT", bound=BaseResponse)


class CookieAnswer(Redacted, msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a login whose refresh token is in the cookie."""

    access_token: Annotated[str, Meta(examples=["lwGmSm9obkRvZbZ..."])]
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(examples=[900])]
    refresh_expires_in: Annotated[int, Meta(examples=[604800])]
    scope: Annotated[str, Meta(examples=["reports:read"])]


def check_login() -> None:
    """Check that a login may ask for the cookie.

    A page of another site could log its visitors in as somebody else (login CSRF). A
    client that is no browser says nothing of where it is.

    Raises:
        InvalidRequestError: the application sets no cookie, or the page is foreign.
    """
    if not current_state().settings.refresh_cookie:
        raise InvalidRequestError(
            "This server keeps no refresh token in a cookie: leave out 'cookie', or "
            "set TOKENAUTH_REFRESH_COOKIE to True."
        )
    headers = this_request().headers
    if ("Sec-Fetch-Site" in headers or "Origin" in headers) and not _is_ours():
        raise InvalidRequestError(_FOREIGN)


def take(given: str | None) -> str | None:
    """Return the cookie that a refresh is asked by; None: the body has the token.

    Args:
        given: The refresh token of the body.

    Raises:
        InvalidRequestError: there is no refresh token, or one in body and cookie, or
            nothing shows that the request comes from a page of ours.
        InvalidGrantError: there are several cookies: one may be of an attacker on a
            sibling domain, who would log the user in as himself.
    """
    cookies = _sent()
    if given is not None and cookies:
        raise InvalidRequestError(
            "Send a 'refresh_token' in the body, or the cookie, and not both."
        )
    if given is not None:
        return None
    if not cookies:
        raise InvalidRequestError("Send a 'refresh_token', or the cookie of a login.")
    if not _is_ours():
        raise InvalidRequestError(_FOREIGN)
    if len(cookies) > 1:
        clear()
        error = InvalidGrantError()
        announce(error)
        raise error
    return cookies[0]


def keep(pair: TokenPair) -> CookieAnswer:
    """Have the browser keep the refresh token; return the answer without it."""
    after_this_request(lambda response: set_on(response, pair))
    return without_refresh(pair)


def without_refresh(pair: TokenPair) -> CookieAnswer:
    """Return the answer without the refresh token."""
    return msgspec.convert(pair, CookieAnswer, from_attributes=True)


def set_on(response: ResponseT, pair: TokenPair) -> ResponseT:
    """Set the cookie on a response.

    Raises:
        ConfigurationError: the application sets no cookie.
    """
    if not current_state().settings.refresh_cookie:
        raise ConfigurationError(
            "There is no refresh cookie here: set TOKENAUTH_REFRESH_COOKIE to True."
        )
    response.set_cookie(
        NAME, pair.refresh_token, max_age=pair.refresh_expires_in, **_attributes()
    )
    return response


def clear() -> None:
    """Have the browser drop the cookie, and those that a sibling domain set."""
    labels = this_request().host.partition(":")[0].split(".")
    parents = {".".join(labels[n:]) for n in range(len(labels) - 1)}
    attributes = _attributes()
    domains = {attributes.pop("domain"), *(parents if len(_sent()) > 1 else ())}

    def drop(response: Response) -> Response:
        for domain in domains:
            response.delete_cookie(NAME, domain=domain, **attributes)
        return response

    after_this_request(drop)


def is_of(session_id: str) -> bool:
    """Return whether the request has the cookie of a session."""
    read = current_state().service.session_of_refresh
    return any(read(cookie) == session_id for cookie in _sent())


def clear_ended() -> None:
    """Have the browser drop a cookie whose session has ended."""
    cookies, service = _sent(), current_state().service
    with contextlib.suppress(StoreUnavailableError):  # what was done is done
        ids = map(service.session_of_refresh, cookies)
        if cookies and not any(id and service.active_session(id) for id in ids):
            clear()


def _sent() -> list[str]:
    is_on = current_state().settings.refresh_cookie
    return this_request().cookies.getlist(NAME) if is_on else []


def _is_ours() -> bool:
    """Return whether a browser says that a page of ours sent the request.

    No script of a page can set either header (Fetch standard, forbidden names).
    """
    request = this_request()
    if request.headers.get("Sec-Fetch-Site") in ("same-origin", "same-site"):
        return True
    own = f"{request.scheme}://{request.host}"
    return request.headers.get("Origin") in (own, *current_state().settings.origins)


def _attributes() -> dict[str, Any]:
    settings = current_state().settings
    return {
        "path": this_request().root_path + settings.url_prefix,
        "domain": settings.refresh_cookie_domain,
        "secure": True,
        "httponly": True,
        "samesite": settings.refresh_cookie_samesite,
    }
